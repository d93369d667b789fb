"""For users' tests: contracts for adapters, and Hypothesis strategies."""
