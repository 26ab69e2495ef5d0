"""Hold the parts of the no-lookahead instrument: where to cut a tape, what to put behind the cut, what is a fault."""
