"""Hold the PJ-1 evidence: backtester, miner, auditor."""
