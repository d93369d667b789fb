"""What every source of ids promises."""

import re
import statistics
import uuid
from itertools import pairwise

import pytest

from encola.application.ports import Ids
from encola.domain.context import is_job_id


class IdsContract:
    """The promise of :class:`~encola.application.ports.Ids`. Subclass it and give ``ids``."""

    @pytest.fixture
    def ids(self) -> Ids:
        """Return a source of ids."""
        raise NotImplementedError("return a source of ids")

    def test_a_job_id_is_a_uuid_of_version_7(self, ids: Ids) -> None:
        job_id = ids.job_id()

        assert is_job_id(job_id)
        assert uuid.UUID(job_id).version == 7
        assert uuid.UUID(job_id).variant == uuid.RFC_4122

    def test_job_ids_are_unique_and_rise(self, ids: Ids) -> None:
        drawn = [ids.job_id() for _ in range(5_000)]

        assert drawn == sorted(set(drawn))

    def test_a_job_id_cannot_be_guessed_from_the_one_before(self, ids: Ids) -> None:
        numbers = [uuid.UUID(ids.job_id()).int & (1 << 62) - 1 for _ in range(100)]
        steps = {after - before for before, after in pairwise(numbers)}

        assert len(steps) == 99

    def test_an_epoch_is_short_and_rarely_the_same(self, ids: Ids) -> None:
        epochs = [ids.epoch() for _ in range(100)]

        assert all(1 <= len(epoch) <= 16 and epoch.isascii() and epoch.isalnum() for epoch in epochs)
        assert len(set(epochs)) > 95

    def test_chance_is_spread_between_zero_and_one(self, ids: Ids) -> None:
        drawn = [ids.chance() for _ in range(2_000)]

        assert all(0 <= chance < 1 for chance in drawn)
        assert 0.4 < statistics.fmean(drawn) < 0.6
        assert min(drawn) < 0.1 < 0.9 < max(drawn)

    @pytest.mark.parametrize("digits", [16, 32])
    def test_random_digits_are_as_many_as_asked_for_and_rarely_the_same(self, ids: Ids, digits: int) -> None:
        drawn = [ids.random_hex(digits) for _ in range(2_000)]

        assert all(re.fullmatch(f"[0-9a-f]{{{digits}}}", text) for text in drawn)
        assert len(set(drawn)) == 2_000

    def test_random_digits_are_never_zeros_only(self, ids: Ids) -> None:
        assert "00" not in {ids.random_hex(2) for _ in range(10_000)}
