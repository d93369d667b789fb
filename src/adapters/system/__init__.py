"""The machine's clock, and its source of identity and chance."""
