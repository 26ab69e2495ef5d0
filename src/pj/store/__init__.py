"""Keep and judge market data: the GOLDEN_DATA archive, quality reports, gaps by the exchange calendar."""
