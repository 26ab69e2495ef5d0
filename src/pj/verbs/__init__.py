"""The command line's verbs: a table of what they are, and one module per family of what they do."""
