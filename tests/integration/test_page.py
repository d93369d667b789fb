"""The page at the root, driven in a real browser against a real server."""

import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Locator, Page, async_playwright, expect
from processes import DevServer

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 20_000
SLOW = "Explain slowly what a lease is"
NOTE_VIOLATIONS = """
  window.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.blockedURI));
"""

expect.set_options(timeout=PATIENCE)


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Yield a tab; what its scripts or its content policy complain of fails the test."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(ARGUMENTS)
        )
        context = await browser.new_context(locale="es-ES", viewport={"width": 1280, "height": 800})
        context.set_default_timeout(PATIENCE)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        await context.add_init_script(NOTE_VIOLATIONS)
        page = await context.new_page()
        yield page
        complaints += await page.evaluate("window.violations")
        await browser.close()
    assert not complaints


@pytest.fixture
def own_agent(start_server: Callable[..., DevServer]) -> DevServer:
    """Return a server whose agent is slow, or fails, when the question says so."""
    return start_server(ENCOLA_APP="page_app:app")


async def ask(page: Page, question: str) -> Locator:
    await page.get_by_label("Tu pregunta").fill(question)
    await page.keyboard.press("Enter")
    return page.locator(".turn").last


def status(turn: Locator) -> Locator:
    return turn.locator(".status")


async def sees_partial_answer(turn: Locator) -> None:
    await expect(status(turn)).to_have_text("Procesando")
    await expect(turn.locator(".answer")).to_contain_text("lease")


async def test_a_question_gets_an_answer_with_its_sources(dev_server: DevServer, page: Page) -> None:
    await page.goto(dev_server.url)
    turn = await ask(page, "What happens to a job when its worker dies?")
    await expect(status(turn)).to_have_text("Completado")
    await expect(turn.locator(".answer")).not_to_be_empty()
    await turn.locator("summary").first.click()
    await expect(turn.locator("blockquote").first).to_be_visible()
    await expect(turn.locator("blockquote").first).not_to_be_empty()
    await expect(page.locator("#history-list")).to_contain_text("What happens to a job")


async def test_the_answer_is_read_while_it_is_written(own_agent: DevServer, page: Page) -> None:
    await page.goto(own_agent.url)
    turn = await ask(page, SLOW)
    await sees_partial_answer(turn)
    await expect(turn.get_by_role("progressbar")).to_be_visible()
    await expect(status(turn)).to_have_text("Completado")
    await expect(turn.get_by_role("progressbar")).to_be_hidden()
    await turn.get_by_role("button", name="Fuente 1").first.click()
    await expect(turn.locator("blockquote").first).to_be_visible()


async def test_a_keyboard_is_enough(own_agent: DevServer, page: Page) -> None:
    await page.goto(own_agent.url)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Tu pregunta")).to_be_focused()
    await page.keyboard.type(SLOW)
    await page.keyboard.press("Enter")
    turn = page.locator(".turn")
    await sees_partial_answer(turn)
    await page.keyboard.press("Escape")
    await expect(status(turn)).to_have_text("Cancelado")
    await page.keyboard.press("Shift+Tab")
    await expect(turn.get_by_role("button", name="Reintentar")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Tu pregunta")).to_be_focused()
    await expect(status(turn)).to_have_text("Completado")


async def test_a_cancelled_question_leaves_the_page_ready_for_the_next(
    own_agent: DevServer, page: Page
) -> None:
    await page.goto(own_agent.url)
    turn = await ask(page, SLOW)
    await sees_partial_answer(turn)
    await turn.get_by_role("button", name="Cancelar").click()
    await expect(page.locator(".turn .status")).to_have_text("Cancelado")
    await expect(page.get_by_label("Tu pregunta")).to_be_focused()
    await expect(status(await ask(page, "What is a lease?"))).to_have_text("Completado")
    await expect(page.locator(".turn")).to_have_count(2)


async def test_a_failure_says_why_and_can_be_retried(own_agent: DevServer, page: Page) -> None:
    await page.goto(own_agent.url)
    turn = await ask(page, "Please fail once")
    await expect(turn.locator(".error")).to_have_text("The query service did not answer.")
    await expect(page.get_by_label("Tu pregunta")).to_be_enabled()
    await turn.get_by_role("button", name="Reintentar").click()
    await expect(status(turn)).to_have_text("Completado")
    await expect(turn.locator(".error")).to_be_hidden()


async def test_a_reload_picks_the_running_job_up_again(own_agent: DevServer, page: Page) -> None:
    await page.goto(own_agent.url)
    await sees_partial_answer(await ask(page, SLOW))
    await page.reload()
    turn = page.locator(".turn")
    await expect(turn.locator(".question")).to_have_text(SLOW)
    await sees_partial_answer(turn)
    await expect(status(turn)).to_have_text("Completado")
    await expect(turn).to_have_count(1)


async def test_another_tab_picks_the_running_job_up_too(own_agent: DevServer, page: Page) -> None:
    await page.goto(own_agent.url)
    await sees_partial_answer(await ask(page, SLOW))
    other = await page.context.new_page()
    await other.goto(own_agent.url)
    await expect(status(other.locator(".turn"))).to_have_text("Completado")


async def test_a_lost_server_is_announced_and_the_answer_still_comes(
    own_agent: DevServer, page: Page
) -> None:
    await page.goto(own_agent.url)
    turn = await ask(page, SLOW)
    await sees_partial_answer(turn)
    own_agent.kill9()
    await expect(page.locator("#connection")).to_have_text("Conexión perdida, reintentando…")
    own_agent.restart()
    await expect(page.locator("#connection")).to_be_empty()
    await expect(status(turn)).to_have_text("Completado")
    await expect(page.locator(".turn")).to_have_count(1)


async def test_a_question_asked_while_the_server_is_gone_is_sent_once(
    own_agent: DevServer, page: Page
) -> None:
    await page.goto(own_agent.url)
    await expect(page.locator("#history-empty")).to_be_visible()
    own_agent.kill9()
    turn = await ask(page, "What is a lease?")
    await expect(page.locator("#connection")).to_have_text("Conexión perdida, reintentando…")
    await expect(status(turn)).to_have_text("Enviando")
    own_agent.restart()
    await expect(status(turn)).to_have_text("Completado")
    async with httpx.AsyncClient(base_url=own_agent.url) as http:
        assert len((await http.get("/api/jobs")).json()["jobs"]) == 1


async def test_a_pasted_document_can_be_asked_about(dev_server: DevServer, page: Page) -> None:
    await page.goto(dev_server.url)
    await page.get_by_role("button", name="Añadir documentos").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Colección").fill("Mis notas")
    await dialog.get_by_label("Título").fill("Acta de marzo")
    await dialog.get_by_label("Texto").fill("The walrus committee meets on the ninth of March in Bilbao.")
    await dialog.get_by_role("button", name="Añadir").click()
    await expect(status(page.locator(".turn").last)).to_have_text("Completado")
    await expect(page.get_by_role("combobox", name="Colección")).to_have_value("mis-notas")
    turn = await ask(page, "When does the walrus committee meet?")
    await expect(status(turn)).to_have_text("Completado")
    await expect(turn.locator(".answer")).to_contain_text("ninth of March")
    await expect(turn.locator("summary").first).to_contain_text("Acta de marzo")


async def test_picked_files_become_documents(own_agent: DevServer, page: Page, tmp_path: Path) -> None:
    (tmp_path / "big.md").write_text("x" * 300_000)
    (tmp_path / "small.md").write_text("# Small\nA small file.")
    await page.goto(own_agent.url)
    await page.get_by_role("button", name="Añadir documentos").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Colección").fill("ficheros")
    await dialog.get_by_label("Ficheros").set_input_files(tmp_path / "big.md")
    await dialog.get_by_role("button", name="Añadir").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("caben 256 KiB")
    await dialog.get_by_label("Ficheros").set_input_files(tmp_path / "small.md")
    await dialog.get_by_role("button", name="Añadir").click()
    await expect(page.locator(".turn .question")).to_have_text("Añadir «small.md»")
    await expect(status(page.locator(".turn"))).to_have_text("Completado")


async def test_the_history_shows_old_answers_again_to_their_tenant_only(
    own_agent: DevServer, page: Page
) -> None:
    await page.goto(f"{own_agent.url}/?tenant=acme")
    await expect(status(await ask(page, "What is a lease?"))).to_have_text("Completado")
    later = await page.context.new_page()
    await later.goto(f"{own_agent.url}/?tenant=acme")
    await expect(later.locator("#welcome")).to_be_visible()
    await later.get_by_role("button", name="What is a lease?").click()
    await expect(later.locator(".turn .answer")).to_contain_text("lease")
    await later.goto(f"{own_agent.url}/?tenant=rival")
    await expect(later.locator("#history-empty")).to_be_visible()
    await expect(later.locator("#history-list li")).to_have_count(0)


async def test_more_than_a_page_of_history_is_reached_by_its_button(own_agent: DevServer, page: Page) -> None:
    async with httpx.AsyncClient(base_url=f"{own_agent.url}/api/jobs/agent/docs-agent") as http:
        for number in range(25):
            body = {"input": f"Question {number}", "collection_id": "docs", "use_auto_federation": False}
            assert (await http.post("/execute", json=body)).status_code == 202
    await page.goto(own_agent.url)
    items = page.locator("#history-list li")
    await expect(items).to_have_count(20)
    await page.get_by_role("button", name="Más", exact=True).click()
    await expect(items).to_have_count(25)
    await expect(items.nth(20).get_by_role("button")).to_be_focused()
    await expect(items.last).to_contain_text("Question 0")


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_nothing_sticks_out_sideways(own_agent: DevServer, page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 700})
    await page.goto(f"{own_agent.url}/?tenant=a-tenant-with-a-rather-long-name")
    await expect(status(await ask(page, "x" * 300))).to_have_text("Completado")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_an_event_stream_is_read_alike_however_it_is_cut(own_agent: DevServer, page: Page) -> None:
    await page.goto(own_agent.url)
    text = "\ufeff: hi\r\nid: e:1\r\nevent: a\r\ndata: ñ€\r\ndata:  2\r\n\r\nid: e:2\n\ndata\n\ndata: cut"
    read = """async ([bytes, size]) => {
      const { readEvents } = await import('./assets/stream.js');
      const chunks = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(new Uint8Array(bytes.slice(at, at + size)));
      const next = (stream) => (chunks.length ? stream.enqueue(chunks.shift()) : stream.close());
      const body = new ReadableStream({ pull: next });
      const found = [];
      for await (const event of readEvents(body)) found.push(event);
      return found;
    }"""
    for size in (1, 2, 3, 7, 1000):
        assert await page.evaluate(read, [list(text.encode()), size]) == [
            {"type": "a", "data": "ñ€\n 2", "id": "e:1"},
            {"type": "message", "data": "", "id": "e:2"},
        ]


async def test_partial_output_is_put_together_by_bytes_and_attempts(own_agent: DevServer, page: Page) -> None:
    await page.goto(own_agent.url)
    pieces = [(1, 0, "ñ"), (1, 2, "u"), (1, 2, "u"), (1, 9, "?"), (2, 5, "?"), (2, 0, "b"), (1, 0, "late")]
    texts = await page.evaluate(
        """async (pieces) => {
          const { OutputText } = await import('./assets/stream.js');
          const output = new OutputText('answer');
          return pieces.map(([attempt, offset, text]) => {
            output.add({ name: 'answer', attempt, offset, text });
            return output.text;
          });
        }""",
        pieces,
    )
    assert texts == ["ñ", "ñu", "ñu", "ñu", "ñu", "b", "b"]


async def test_every_file_is_guarded_and_asked_for_again_cheaply(own_agent: DevServer) -> None:
    async with httpx.AsyncClient(base_url=own_agent.url) as http:
        index = await http.get("/")
        names = set(re.findall(r'(?:href|src)="(assets/[^"]+)"', index.text))
        assert names == {"assets/app.js", "assets/style.css", "assets/favicon.svg"}
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index.text)
        for path in ["/", *(f"/{name}" for name in names)]:
            full = await http.get(path)
            assert "default-src 'none'" in full.headers["content-security-policy"]
            assert "unsafe" not in full.headers["content-security-policy"]
            assert full.headers["x-content-type-options"] == "nosniff"
            again = await http.get(path, headers={"If-None-Match": full.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        assert (await http.get("/assets/__init__.py")).status_code == 404
