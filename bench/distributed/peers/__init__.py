"""The same two jobs in each system; run in the peers' own environment, ``.venv-bench``."""
