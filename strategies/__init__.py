"""Hold what is believed and the evidence for or against it."""
