"""The client's side; run in the peers' own environment, ``.venv-bench``."""
