"""Touch the world: processes, files, brokers, console, simulators."""
