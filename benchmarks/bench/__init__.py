"""bench: what the benchmark scripts share: nets, sides, quiet moments, tables."""
