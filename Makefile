.DEFAULT_GOAL := help
.PHONY: help run run-distributed test chaos lint bench lock docs

UV ?= $(or $(wildcard .venv/bin/uv),uv)
COMPILE = $(UV) pip compile pyproject.toml --quiet --universal --generate-hashes \
	--python-version 3.11 --no-header --no-annotate $(if $(UPGRADE),--upgrade)

help:  ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run:  ## Start everything in one process and print its URL
	@scripts/bootstrap run
	@exec .venv/bin/encola dev

run-distributed:  ## Start Redis, RabbitMQ, two APIs and two workers, and print their URLs
	@scripts/bootstrap distributed
	@exec .venv/bin/python scripts/run_distributed.py

test:  ## Run every test but the long ones of `make chaos`
	@scripts/bootstrap dev
	.venv/bin/python -m pytest tests/unit
	.venv/bin/python -m pytest tests/integration -n 2 --dist loadfile
	.venv/bin/python -m pytest tests/chaos/test_invariants.py tests/chaos/test_short_run.py

chaos:  ## Die at every write, plant bugs, then kill, cut and wipe for ten minutes and count (OPTIONS=…)
	@scripts/bootstrap dev
	.venv/bin/python -m pytest tests/chaos/test_crash_points.py tests/chaos/test_planted_bugs.py
	.venv/bin/python -m tests.chaos $(OPTIONS)

lint:  ## Check format, lint, types and layers
	@scripts/bootstrap dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench:  ## Measure, and compare with the alternatives
	@scripts/bootstrap dev
	.venv/bin/python -m bench
	.venv/bin/python -m bench distributed
	.venv/bin/python -m bench call_service
	.venv/bin/python -m bench call_service --faults

docs:  ## Write the pages that are generated from the code
	@scripts/bootstrap dev
	.venv/bin/python scripts/generate_docs.py

lock:  ## Resolve the dependencies anew (needs uv; UPGRADE=1 takes the latest)
	$(COMPILE) --group build --extra distributed -o requirements/run.lock
	$(COMPILE) --group dev --extra distributed --extra opentelemetry --extra postgresql --extra testing -c requirements/run.lock -o requirements/dev.lock
