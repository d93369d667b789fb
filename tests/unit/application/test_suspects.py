from datetime import timedelta

from encola.application.suspects import SUSPECTED_AFTER, Suspects
from encola.testing.builders import a_job

SUSPECT = a_job(1, losses=SUSPECTED_AFTER)
AT_ONCE = timedelta(0)


async def test_an_unsuspicious_job_runs_beside_any_other() -> None:
    suspects = Suspects(1, AT_ONCE)
    async with suspects.place(SUSPECT), suspects.place(a_job(2, losses=SUSPECTED_AFTER - 1)) as may_run:
        assert may_run


async def test_two_suspects_do_not_run_beside_each_other() -> None:
    suspects = Suspects(1, AT_ONCE)
    async with suspects.place(SUSPECT) as first, suspects.place(SUSPECT) as second:
        assert (first, second) == (True, False)


async def test_a_suspect_runs_after_another_has_ended() -> None:
    suspects = Suspects(1)
    async with suspects.place(SUSPECT):
        pass
    async with suspects.place(SUSPECT) as may_run:
        assert may_run
