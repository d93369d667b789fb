"""The job that is measured: it does nothing."""

from encola import Encola, JobContext

app = Encola()
PARAMS = {"text": "x" * 180}


@app.job("noop")
async def noop(ctx: JobContext, params: object) -> None:
    """Return at once."""
