"""Hold the compiled rules of PJ-1: integers and arrays only, the same answers as ``live`` row for row."""
