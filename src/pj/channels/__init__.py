"""Carry what the processes tell each other: tapes, stats files, the journal, the control file; formats in one place."""
