"""An agent of a user's own in place of the shipped one: slow or failing when the question says so."""

import asyncio

from encola import Encola, JobContext, JobFailed

app = Encola()

ANSWER = "A lease is the right of one attempt to write, for a while [1]. " * 5


@app.job("agent_execution", queue="agent_tasks", retries=3)
async def answer(ctx: JobContext, params: dict[str, str]) -> dict[str, object]:
    question = params["input_text"]
    await ctx.progress(1, 2, "Redactando")
    if "fail" in question and ctx.attempt == 1:
        raise JobFailed("The query service did not answer.")
    out = ctx.output("answer")
    for word in ANSWER.split():
        out.write(f"{word} ")
        await asyncio.sleep(0.1 if "slow" in question else 0)
    source = {"n": 1, "title": "Leases", "source": "leases.md", "score": 1.0, "excerpt": "A lease ends."}
    return {"answer": ANSWER, "sources": [source], "metadata": {}}
