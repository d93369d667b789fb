"""The commands in the documents work against a real server, and so does the JavaScript."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from documents import blocks_of, name_of, pages_with
from playwright.async_api import async_playwright
from processes import DevServer

DOCUMENTED = "http://127.0.0.1:8000"
# A refusal must not pass for success, nor a stream that does not end for a long test.
STRICT_CURL = 'curl() { command curl --fail-with-body --max-time 60 "$@"; }\n'
PROMPT = "$ "
RUN_JAVASCRIPT = """
(jobId) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error('the example did not come to its end')), 20000);
  %s
})
"""


@pytest.mark.parametrize("page", pages_with("bash", "console"), ids=name_of)
def test_the_commands_of_a_page_work(page: Path, shared_server: DevServer, tmp_path: Path) -> None:
    outcome = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", STRICT_CURL + commands_of(page, shared_server.url)],
        env=environment(shared_server.url),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("page", pages_with("javascript"), ids=name_of)
async def test_the_javascript_of_a_page_sees_a_job_to_its_end(page: Path, shared_server: DevServer) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = await browser.new_page()
        await tab.goto(f"{shared_server.url}/livez")
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        for block in blocks_of(page, "javascript"):
            said.clear()
            await tab.evaluate(RUN_JAVASCRIPT % block.text, submit_talk(shared_server.url))
            assert "completed" in said[-1]
        await browser.close()


def commands_of(page: Path, url: str) -> str:
    """Return all commands of a page as one script."""
    parts = []
    for block in blocks_of(page, "bash", "console"):
        lines = block.text.splitlines()
        if block.language == "console":
            lines = [line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)]
        parts += lines
    return "\n".join(parts).replace(DOCUMENTED, url)


def environment(url: str) -> dict[str, str]:
    """Return the environment of a user whose server runs at ``url``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENCOLA_")}
    return {**kept, "ENCOLA_URL": url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def submit_talk(url: str) -> str:
    """Submit a job that writes partial output, and return its id."""
    body = {"type": "talk", "params": {"words": ["one ", "two ", "three"]}}
    return str(httpx.post(f"{url}/api/jobs", json=body).raise_for_status().json()["job_id"])
