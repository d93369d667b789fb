"""What one builds without Encola; run in the peers' own environment, ``.venv-bench``."""
