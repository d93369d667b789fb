"""For users' tests: contracts for adapters, builders, Hypothesis strategies, and a state machine."""
