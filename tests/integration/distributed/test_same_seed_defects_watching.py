"""What one process answers, several must answer too: the same tests on the distributed profile."""

from test_seed_defects_watching import *  # noqa: F403
