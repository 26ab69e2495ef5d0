"""Run the whole pipeline against the simulators: what to play, the processes, the wait, the table."""
