"""A state machine that drives any stores at random, beside a model that is a dict."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from encola.application.ports import FeedEntry, IdempotencyKey, JobFilter, Lease
from encola.domain.context import ExecutionContext, JobId
from encola.domain.errors import IllegalTransition, JobChanged, JobNotFound
from encola.domain.event import JobEvent, announce
from encola.domain.job import Job, JobError, JobStatus, Priority
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, GLOBEX, LEASE, NOON, a_chunk, a_job
from encola.testing.job_model import JobModel
from encola.testing.stores import Stores
from encola.testing.strategies import json_values, progresses, retry_policies
