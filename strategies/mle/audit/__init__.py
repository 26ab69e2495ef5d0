"""Judge the evidence: pure statistics, the frozen split, the verdict."""
