"""What may be registered as a handler, and what is known of it."""

from typing import Any

import pytest
from pydantic import BaseModel

from encola.application.handlers import HandlerRegistry, JobType, params_model_of, plain_json
from encola.application.job_context import JobContext
from encola.domain.errors import InvalidSettings, NotJson, UnknownJobType


class Params(BaseModel):
    a: int


async def typed(ctx: JobContext, params: Params) -> None: ...


async def plain(ctx: JobContext, params: dict[str, Any]) -> None: ...


def bare(ctx, params):  # type: ignore[no-untyped-def]
    return None


async def test_the_model_is_that_of_the_second_parameter() -> None:
    assert params_model_of(typed) is Params
    assert params_model_of(plain) is None
    assert params_model_of(bare) is None
    assert params_model_of(lambda ctx, params: None) is None


@pytest.mark.parametrize("function", [lambda: None, lambda ctx: None, lambda ctx, params, more: None])
def test_a_handler_takes_a_context_and_params(function: Any) -> None:
    with pytest.raises(InvalidSettings, match="two parameters"):
        params_model_of(function)


def test_annotations_that_mean_nothing_are_refused() -> None:
    def lost(ctx: JobContext, params: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidSettings, match="Nowhere"):
        params_model_of(lost)


def test_a_name_is_registered_once() -> None:
    registry = HandlerRegistry()
    registry.add(JobType(name="a", function=plain))

    with pytest.raises(InvalidSettings, match="'a' is registered twice"):
        registry.add(JobType(name="a", function=typed))


@pytest.mark.parametrize("own_first", [True, False])
def test_a_shipped_type_gives_way_to_ones_own(own_first: bool) -> None:
    own, shipped = JobType(name="a", function=plain), JobType(name="a", function=typed, is_shipped=True)
    registry = HandlerRegistry()
    for job_type in (own, shipped) if own_first else (shipped, own):
        registry.add(job_type)

    assert registry.get("a") is own
    assert list(registry) == [own]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    registry = HandlerRegistry()
    with pytest.raises(UnknownJobType, match="known are none"):
        registry.get("a")
    registry.add(JobType(name="b", function=plain))
    with pytest.raises(UnknownJobType, match="known are b"):
        registry.get("a")
    assert "b" in registry
    assert "a" not in registry


def test_classes_are_not_taken_for_their_instances() -> None:
    for value in (Params, JobType):
        with pytest.raises(NotJson):
            plain_json(value)
