"""What one process answers, several must answer too: the same tests on the distributed profile."""

from test_realtime import *  # noqa: F403
