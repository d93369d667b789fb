"""What every system is given and gives back, and where the servers are."""

import os

PARAMS = {"text": "x" * 180}
RESULT = {"ok": True}
NAP_SECONDS = 1.0

REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:1/0")
AMQP_URL = os.environ.get("BENCH_AMQP_URL", "amqp://127.0.0.1:1/")
