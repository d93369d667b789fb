"""``python -m bench.distributed.peers.submit SYSTEM TASK JOBS``: enqueue, and print how.

Prints the seconds it took and the Redis keys under which the outcomes will be found.
"""

import importlib
import json
import sys
import time


def main() -> None:
    """Enqueue in this process, as the users of the system do."""
    system, task, jobs = sys.argv[1:]
    module = importlib.import_module(f"bench.distributed.peers.{system}")
    start = time.perf_counter()
    keys = module.submit(task, int(jobs))
    print(json.dumps({"seconds": time.perf_counter() - start, "keys": keys}))


if __name__ == "__main__":
    main()
