"""Documents, presets and kept passages: nothing is lost, in two tabs or with a killed server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="needs playwright")

from playwright.sync_api import expect

from tests.page.conftest import ENDLESS, Desk
from tests.serve.conftest import wait_until


def test_two_tabs_lose_nothing(desk):
    desk.type("Once. ")
    desk.stored()
    other = Desk(desk.page.context.new_page(), desk.address)
    other.page.goto(f"{desk.address}/#write/{desk.id}")  # the first tab gives it the token
    other.wait_text(lambda text: "Once." in text)
    other.text_box.focus()
    other.press("Control+End")
    other.type("From the other.")
    desk.wait_text(lambda text: "From the other." in text)  # a tab that is idle follows
    for tab, words in ((desk, " Left."), (other, " Right.")):
        tab.page.bring_to_front()
        tab.text_box.focus()
        tab.press("Control+End")
        tab.page.keyboard.insert_text(words)

    def texts() -> str:
        nodes = desk.ask()["nodes"]
        return "\n".join(desk.ask(f"/nodes/{node['id']}")["text"] for node in nodes)

    wait_until(lambda: "Left." in texts() and "Right." in texts())


def test_files_come_in_and_go_out(desk, tmp_path):
    (tmp_path / "night.md").write_bytes("# Night\r\n\r\nIt was däрk 🌙.".encode())
    desk.page.locator("input[type=file]").first.set_input_files(tmp_path / "night.md")
    desk.expect_text("# Night\n\nIt was däрk 🌙.")
    expect(desk.page.get_by_label("Title")).to_have_value("night")
    for format_ in ("txt", "md", "json"):
        desk.page.get_by_role("button", name="Find, export, and more").click()
        with desk.page.expect_download() as download:
            desk.page.get_by_role("button", name=format_, exact=True).click()
        content = download.value.path().read_text("utf-8")
        assert download.value.suggested_filename == f"night.{format_}"
        if format_ == "json":
            assert json.loads(content)["machine_written"] is True
        else:
            assert content == "# Night\n\nIt was däрk 🌙."


def test_a_passage_is_kept_for_training(desk):
    desk.type("It rained")
    written = desk.let_write("Control+Enter").removeprefix("It rained")
    desk.text_box.focus()
    with desk.page.expect_response("**/penwright/kept") as answer:
        desk.press("Control+Shift+K")
    desk.page.get_by_text("to train on").wait_for()
    kept = json.loads(Path(answer.value.json()["file"]).read_text("utf-8").splitlines()[-1])
    assert kept["prompt"] + kept["text"] == f"It rained{written}"
    assert kept["machine_written"] is True
    assert kept["document"] == desk.id


def test_presets_are_kept_shared_by_tabs_and_left_out(desk):
    def tab(page) -> tuple:
        return page.get_by_label("Preset"), page.get_by_role("slider", name="Temperature")

    def keep(page, name: str) -> None:
        page.once("dialog", lambda dialog: dialog.accept(name))
        page.get_by_role("button", name="Keep as a preset").click()
        expect(page.get_by_label("Preset")).to_have_value(name)

    page = desk.page
    preset, temperature = tab(page)
    undo = page.get_by_role("button", name="Undo changes")
    expect(undo).to_have_count(0)
    temperature.fill("1.3")
    expect(undo).to_be_visible()
    keep(page, "wild")
    expect(undo).to_have_count(0)
    desk.stored()
    other = Desk(page.context.new_page(), desk.address)
    other.page.goto(f"{desk.address}/#write/{desk.id}")
    expect(tab(other.page)[0]).to_have_value("wild")
    keep(other.page, "from the other tab")
    page.bring_to_front()
    keep(page, "wilder")
    names = [*preset.locator("option").all_inner_texts()]
    assert names[-3:] == ["wild", "from the other tab", "wilder"]
    page.get_by_role("button", name="Forget it").click()
    expect(preset).to_have_value("Balanced")
    preset.select_option("wild")
    expect(temperature).to_have_value("1.3")
    temperature.fill("0.5")
    undo.click()
    expect(temperature).to_have_value("1.3")
    page.reload()
    expect(preset).to_have_value("wild")


def test_what_is_left_while_it_chooses_shows_in_no_other_document(desk):
    desk.set_options(**ENDLESS)
    desk.type("It rained")
    desk.press("Control+Shift+Enter")
    first = desk.id
    desk.wait_for("document.querySelector('.choice-text')?.innerText.length > 20")
    desk.page.get_by_role("button", name="New document").first.click()
    desk.wait_for(f"location.hash !== '#write/{first}'")
    desk.wait_idle()
    expect(desk.page.get_by_role("region", name="Continuations")).to_have_count(0)
    desk.page.goto(f"{desk.address}/#write/{first}")
    desk.expect_text("It rained")
    assert sum(node["author"] == "model" for node in desk.stored()["nodes"]) == 3


def test_a_text_that_is_blank_is_said_and_a_new_document_keeps_the_options(desk):
    desk.set_options(max_tokens=8)
    desk.type("It rained")
    events = [
        {"index": 0, "text": "\n ", "finish_reason": None, "logprobs": None},
        {"index": 0, "text": "", "finish_reason": "stop", "stop_reason": "loop", "logprobs": None},
    ]
    body = "".join(f"data: {json.dumps({'choices': [one], 'seed': 1})}\n\n" for one in events)
    desk.page.route(
        "**/v1/completions",
        lambda route: route.fulfill(
            body=body + "data: [DONE]\n\n", content_type="text/event-stream"
        ),
    )
    desk.press("Control+Enter")
    desk.page.get_by_text("Only blank space came.").wait_for()
    expect(desk.page.get_by_role("button", name="Try again")).to_be_visible()
    first = desk.id
    desk.page.get_by_role("button", name="New document").first.click()
    desk.wait_for(f"location.hash !== '#write/{first}'")
    assert desk.ask()["settings"]["sampling"]["max_tokens"] == 8


SERVER = """
import sys, time
from tests.serve.conftest import make_server, make_writer
from tests.serve import conftest
import penwright.serve as serve
from pathlib import Path
port, folder = int(sys.argv[1]), Path(sys.argv[2])
listen = serve.listen
serve.listen = lambda host, _: listen(host, port)
live = conftest.Live(make_server([make_writer("tiny", 1)], folder))
live.start()
print("ready", live.port, flush=True)
time.sleep(600)
"""


UNSENT = """() => new Promise(resolve => {
  const opened = indexedDB.open("penwright");
  opened.onsuccess = () => {
    const all = opened.result.transaction("unsent").objectStore("unsent").getAll();
    all.onsuccess = () => { opened.result.close(); resolve(JSON.stringify(all.result)) };
  };
})"""
"""What the browser keeps of changes that have not reached the server."""


@pytest.fixture
def killable(tmp_path):
    """Start a server of its own, again at the same port; all are killed in the end."""
    processes: list[subprocess.Popen] = []

    def start(port: int = 0) -> tuple[subprocess.Popen, int]:
        command = [sys.executable, "-c", SERVER, str(port), str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process, int(process.stdout.readline().split()[1])

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_that_is_killed_while_it_streams_loses_nothing(browser, killable):
    process, port = killable()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    desk = Desk(context.new_page(), f"http://127.0.0.1:{port}")
    desk.new_document()
    desk.set_options(**ENDLESS)
    desk.type("It rained")
    desk.press("Control+Enter")
    desk.wait_text(lambda text: len(text) > 30)
    process.kill()
    process.wait()
    desk.wait_idle()
    desk.text_box.focus()
    desk.press("Control+Home")
    desk.type("Still here. ")
    text = desk.wait_text(lambda text: text.startswith("Still here. It rained"))
    desk.page.get_by_text("Kept in this browser", exact=True).wait_for()
    wait_until(lambda: "Still here. " in desk.page.evaluate(UNSENT))
    id_ = desk.id
    desk.page.close()  # the tab too is gone, before the server is back
    killable(port)
    desk = Desk(context.new_page(), f"http://127.0.0.1:{port}")
    desk.open()
    desk.page.get_by_text("Text that had not reached").wait_for()
    assert desk.id == id_
    desk.expect_text(text)
    assert desk.stored()["text"] == text
    context.close()
