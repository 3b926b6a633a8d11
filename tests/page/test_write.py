"""Writing on the page: stream, choose, undo, branch, and lose nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest

from tests.page.conftest import Desk
from tests.serve.conftest import TOKEN, wait_until


def ask(address: str, path: str, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Penwright-Token": TOKEN, "Content-Type": "application/json"}
    with urlopen(Request(address + path, data, headers)) as answer:
        return json.load(answer)


def stored(desk: Desk) -> dict:
    """The document as the server has it, once that is what the page shows."""
    path = f"/penwright/documents/{desk.id}"
    saved = desk.page.get_by_text("Saved", exact=True).first
    wait_until(lambda: saved.is_visible() and ask(desk.address, path)["text"] == desk.text)
    return ask(desk.address, path)


def set_options(desk: Desk, **sampling) -> None:
    path = f"/penwright/documents/{desk.id}/settings"
    ask(desk.address, path, {"values": {"sampling": sampling}})
    desk.page.reload()
    desk.text_box.wait_for()


def test_typing_is_saved_and_comes_back(desk):
    desk.type("It rained for a week.")
    assert stored(desk)["text"] == "It rained for a week."
    desk.page.reload()
    desk.wait_text("text.includes('It rained for a week.')")


def test_a_continuation_streams_in_and_undo_and_redo_cover_it(desk):
    desk.type("It rained")
    desk.press("Control+Enter")
    desk.wait_text("text.length > 30")
    desk.wait_idle()
    whole = desk.text
    assert whole.startswith("It rained")
    assert stored(desk)["text"] == whole
    node = stored(desk)["nodes"][-1]
    assert node["author"] == "model"
    assert node["model"] == "tiny"
    assert node["seed"] >= 0
    desk.text_box.focus()
    desk.press("Control+z")
    assert desk.text == "It rained"
    desk.press("Control+z")
    assert desk.text == ""
    desk.press("Control+y", "Control+Shift+Z")
    assert desk.text == whole
    assert stored(desk)["text"] == whole
    marked = "".join(desk.page.locator(".by-model").all_inner_texts())
    assert "".join(marked.split()) == "".join(whole.removeprefix("It rained").split())


def test_the_writer_edits_elsewhere_while_text_streams_in(desk):
    set_options(desk, max_tokens=3000, ignore_eos=True)
    desk.type("First line")
    desk.press("Enter")
    desk.type("It rained")
    desk.press("Control+Enter")
    desk.wait_text("text.length > 40")
    desk.press("Control+Home")
    desk.type("Above all, ")
    assert desk.page.get_by_role("button", name="Stop").is_visible()
    desk.press("Escape")
    desk.wait_idle()
    text = desk.text
    assert text.startswith("Above all, First line\nIt rained")
    assert stored(desk)["text"] == text
    human, model = (
        [node for node in stored(desk)["nodes"] if node["author"] == who][-1]
        for who in ("human", "model")
    )
    assert human["parent"] == model["id"]
    desk.text_box.focus()
    desk.press("Control+z")
    assert desk.text == text.removeprefix("Above all, ")
    desk.press("Control+z")
    assert desk.text == "First line\nIt rained"


def test_escape_stops_and_keeps_what_came(desk):
    set_options(desk, max_tokens=3000, ignore_eos=True)
    desk.type("It rained")
    desk.press("Control+Enter")
    desk.wait_text("text.length > 20")
    desk.press("Escape")
    desk.wait_idle()
    text = desk.text
    desk.page.wait_for_timeout(150)
    assert desk.text == text
    assert stored(desk)["text"] == text


def test_choices_are_taken_by_word_by_sentence_and_whole(desk):
    desk.type("It rained")
    desk.press("Control+Shift+Enter")
    take = desk.page.get_by_role("button", name="Take it")
    desk.wait_for("document.querySelector('.tray-foot .primary')?.disabled === false")
    assert desk.page.locator(".choice").count() == 3
    assert desk.text == "It rained"
    desk.press("Alt+ArrowRight")
    word = desk.text
    assert word.startswith("It rained")
    assert len(word) > len("It rained")
    desk.press("Alt+Shift+ArrowRight")
    assert desk.text.startswith(word)
    desk.press("Control+z", "Control+z")
    assert desk.text == "It rained"
    nodes = stored(desk)["nodes"]
    assert sum(node["author"] == "model" for node in nodes) >= 4
    assert len({node["parent"] for node in nodes if "index" in node}) == 1
    desk.press("Escape", "Control+Shift+Enter")
    desk.wait_for("document.querySelector('.tray-foot .primary')?.disabled === false")
    desk.press("Alt+ArrowDown")
    second = desk.page.locator(".choice").nth(1).inner_text()
    desk.press("Tab")
    assert "".join(second.split()) == "".join(desk.text.removeprefix("It rained").split())
    assert take.count() == 0


def test_retry_adds_a_sibling_and_versions_are_walked(desk):
    desk.type("It rained")
    desk.press("Control+Enter")
    desk.wait_text("text.length > 30")
    desk.wait_idle()
    first = desk.text
    desk.text_box.focus()
    desk.press("Alt+r")
    desk.wait_text("text.length > 30")
    desk.wait_idle()
    second = desk.text
    assert second != first
    models = [node for node in stored(desk)["nodes"] if node["author"] == "model"]
    assert len(models) == 2
    assert models[0]["parent"] == models[1]["parent"]
    desk.press("Alt+PageUp")
    assert desk.text == first
    desk.press("Alt+PageDown")
    assert desk.text == second
    desk.page.get_by_role("tab", name="Branches").click()
    rows = desk.page.locator(".branch-text")
    assert rows.count() == 3
    rows.nth(1).click()
    assert desk.text == first
    desk.page.get_by_role("button", name="Hide this branch").nth(2).click()
    assert rows.count() <= 2
    assert len(stored(desk)["nodes"]) == 3


def test_inside_a_text_what_fits_its_end_is_offered(desk):
    desk.type("It rained and so the people stayed at home.")
    for _ in range(len(" and so the people stayed at home.")):
        desk.press("ArrowLeft")
    desk.press("Control+Enter")
    desk.page.get_by_text("ranked by how likely your text after it follows").wait_for()
    desk.page.get_by_text("fits best").wait_for()
    assert desk.page.locator(".choice").count() == 4
    desk.press("Tab")
    assert desk.text.startswith("It rained")
    assert desk.text.endswith("and so the people stayed at home.")
    assert len(desk.text) > len("It rained and so the people stayed at home.") + 10


def test_alternatives_to_a_word_and_writing_on_from_one(desk):
    desk.type("It rained in")
    desk.press("Alt+a")
    tray = desk.page.get_by_label("Alternatives", exact=True)
    tray.wait_for()
    assert 'Instead of "in"' in tray.inner_text()
    buttons = tray.locator(".alternatives button")
    assert buttons.count() > 10
    chosen = buttons.first.locator("span").first.inner_text()
    buttons.first.click()
    desk.wait_text(f"text.includes({chosen!r})")
    assert desk.text.startswith("It rained")


def test_surprise_colours_the_text(desk):
    desk.type("It rained for a week and then for another one.")
    desk.page.get_by_role("button", name="Surprise").click()
    desk.page.locator(".surprise").first.wait_for()
    assert "%" in desk.page.locator(".surprise").first.get_attribute("title")
    desk.page.get_by_role("button", name="Surprise").click()
    desk.page.locator(".surprise").first.wait_for(state="detached")


def test_the_context_is_shown_as_the_model_receives_it(desk):
    desk.page.get_by_role("tab", name="Context").click()
    desk.page.get_by_label("Memory", exact=True).fill("A story of Anna.")
    desk.page.get_by_role("button", name="Add an entry").click()
    desk.page.get_by_label("Names").fill("mill")
    desk.page.get_by_label("What to know of them").fill("The mill is old.")
    desk.page.get_by_label("What to know of them").blur()
    desk.type("Far away stood the mill.")
    received = desk.page.locator(".received")
    desk.wait_for("document.querySelector('.received')?.innerText.includes('the mill.')")
    assert received.inner_text() == "A story of Anna.\nThe mill is old.\nFar away stood the mill."
    desk.type(" And it went on and on and on." * 8)
    desk.page.locator(".fallen").first.wait_for()
    assert received.inner_text().startswith("A story of Anna.")
    assert "Far away" not in received.inner_text()


def test_words_can_be_asked_for_and_made_likelier(desk):
    desk.page.locator("summary", has_text="Words").click()
    desk.page.get_by_label("Must occur").fill("mill")
    desk.page.get_by_role("button", name="Add an entry").click()
    desk.page.get_by_label("Word", exact=True).fill("goose")
    desk.page.get_by_role("slider", name="By").fill("10")
    desk.page.get_by_role("slider", name="By").blur()
    with desk.page.expect_request("**/v1/completions") as sent:
        desk.page.get_by_role("button", name="Continue", exact=True).click()
    body = sent.value.post_data_json
    assert body["require"] == ["mill"]
    assert body["logit_bias"] == {" goose": 10, "goose": 10}
    desk.wait_text("text.includes('goose')")
    desk.press("Escape")


def test_two_tabs_lose_nothing(desk):
    desk.type("Once. ")
    stored(desk)
    other = Desk(desk.page.context.new_page(), desk.address)
    other.page.goto(f"{desk.address}/#write/{desk.id}")  # the first tab gives it the token
    other.wait_text("text.includes('Once.')")
    other.text_box.focus()
    other.press("Control+End")
    other.type("From the other.")
    desk.wait_text("text.includes('From the other.')")  # a tab that is idle follows
    for tab, words in ((desk, " Left."), (other, " Right.")):
        tab.page.bring_to_front()
        tab.text_box.focus()
        tab.press("Control+End")
        tab.page.keyboard.insert_text(words)
    path = f"/penwright/documents/{desk.id}"

    def texts() -> str:
        nodes = ask(desk.address, path)["nodes"]
        return "\n".join(ask(desk.address, f"{path}/nodes/{n['id']}")["text"] for n in nodes)

    wait_until(lambda: "Left." in texts() and "Right." in texts())


def test_find_and_replace_is_undone_as_one_step(desk):
    desk.type("It rained. It rained.")
    desk.press("Control+f")
    desk.page.locator("input[name=search]").fill("rained")
    desk.page.locator("input[name=replace]").fill("snowed")
    desk.page.locator("[name=replaceAll]").click()
    assert desk.text == "It snowed. It snowed."
    desk.text_box.focus()
    desk.press("Control+z")
    assert desk.text == "It rained. It rained."


def test_files_come_in_and_go_out(desk, tmp_path):
    (tmp_path / "night.md").write_bytes("# Night\r\n\r\nIt was däрk 🌙.".encode())
    desk.page.locator("input[type=file]").first.set_input_files(tmp_path / "night.md")
    desk.wait_text("text.includes('# Night')")
    assert desk.text == "# Night\n\nIt was däрk 🌙."
    assert desk.page.get_by_label("Title").input_value() == "night"
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
    desk.press("Control+Enter")
    desk.wait_text("text.length > 30")
    desk.wait_idle()
    desk.text_box.focus()
    desk.press("Control+Shift+K")
    desk.page.get_by_text("to train on").wait_for()


def test_the_keyboard_is_enough(desk):
    desk.press("F1")
    assert desk.page.get_by_role("dialog").is_visible()
    assert "Several continuations" in desk.page.get_by_role("dialog").inner_text()
    desk.press("Escape")
    desk.page.get_by_role("dialog").wait_for(state="detached")
    desk.press("Alt+3")
    desk.page.get_by_role("heading", name="About").wait_for()
    desk.press("Alt+1")
    desk.text_box.wait_for()
    desk.press("Control+Enter")
    desk.wait_text("text.length > 20")


def test_a_page_of_another_site_is_refused(browser, live):
    context = browser.new_context()
    page = context.new_page()
    page.goto("data:text/html,<title>evil</title>")
    reached = page.evaluate(
        """address => fetch(address + "/penwright/documents").then(() => "yes", () => "no")""",
        live.address,
    )
    sent = page.evaluate(
        """address => fetch(address + "/v1/completions", {method: "POST", mode: "no-cors",
        body: '{"prompt": "x"}'}).then((answer) => answer.type, () => "no")""",
        live.address,
    )
    context.close()
    assert reached == "no"
    assert sent in ("no", "opaque")  # opaque: refused by the guard, and unreadable


def test_on_a_phone_nothing_overflows_and_all_is_reachable(browser, live):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    desk = Desk(context.new_page(), live.address)
    desk.open()
    desk.wait_for("document.fonts.status === 'loaded'")
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("Documents", "Options, context and branches"):
        desk.page.get_by_role("button", name=name).first.click()
        drawer = desk.page.locator(".documents, .inspector").locator("visible=true")
        assert drawer.count() == 1
        drawer.get_by_role("button", name="Close").first.click()
    desk.page.get_by_role("button", name="Continue", exact=True).click()
    desk.wait_text("text.length > 20")
    desk.wait_idle()
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


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
    set_options(desk, max_tokens=3000, ignore_eos=True)
    desk.type("It rained")
    desk.press("Control+Enter")
    desk.wait_text("text.length > 30")
    process.kill()
    process.wait()
    desk.wait_idle()
    desk.text_box.focus()
    desk.press("Control+Home")
    desk.type("Still here. ")
    text = desk.text
    assert text.startswith("Still here. It rained")
    desk.page.get_by_text("Kept in this browser", exact=True).wait_for()
    wait_until(lambda: "Still here. " in desk.page.evaluate(UNSENT))
    id_ = desk.id
    desk.page.close()  # the tab too is gone, before the server is back
    killable(port)
    desk = Desk(context.new_page(), f"http://127.0.0.1:{port}")
    desk.open()
    desk.page.get_by_text("Text that had not reached").wait_for()
    assert desk.id == id_
    desk.wait_text("text.startsWith('Still here. It rained')")
    assert desk.text == text
    assert stored(desk)["text"] == text
    context.close()


def test_a_copy_shows_its_source_to_a_pointer_a_finger_and_the_keyboard(browser, live):
    context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    desk = Desk(context.new_page(), live.address)
    desk.new_document()
    desk.type("It rained for a week, and then for another.")
    span = {"start": 3, "end": 20, "tokens": 12, "source": "rain.txt:7", "before": "", "after": ""}
    desk.page.route(
        "**/penwright/copied", lambda route: route.fulfill(json={"spans": [span], "share": 1.0})
    )
    desk.page.get_by_role("button", name="Copied").click()
    copy = desk.page.locator(".copied")
    assert copy.inner_text() == "rained for a week"
    copy.hover()
    desk.page.locator(".tooltip").get_by_text("rain.txt:7").wait_for()
    copy.tap()
    source = desk.page.get_by_role("region", name="Alternatives").get_by_text("rain.txt:7")
    source.wait_for()
    desk.press("Escape")
    source.wait_for(state="detached")
    desk.press("Alt+a")
    source.wait_for()
    context.close()


def test_keys_go_on_working_after_a_click_and_from_the_panel(desk):
    desk.type("It rained")
    desk.page.get_by_role("button", name="Choices").click()
    desk.wait_for("document.querySelector('.tray-foot .primary')?.disabled === false")
    desk.press("Tab")
    assert len(desk.text) > len("It rained")
    before = desk.text
    desk.page.get_by_role("tab", name="Context").click()
    desk.page.get_by_label("Memory").fill("A wet tale.")
    desk.press("Control+Enter")
    desk.wait_text(f"text.length > {len(before) + 20}")
    desk.wait_idle()
    assert (
        ask(desk.address, f"/penwright/documents/{desk.id}")["settings"]["memory"] == "A wet tale."
    )


def test_a_text_that_is_blank_is_said_and_a_new_document_keeps_the_options(desk):
    set_options(desk, max_tokens=8)
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
    assert desk.page.get_by_role("button", name="Try again").is_visible()
    first = desk.id
    desk.page.get_by_role("button", name="New document").first.click()
    desk.wait_for(f"location.hash !== '#write/{first}'")
    path = f"/penwright/documents/{desk.id}"
    assert ask(desk.address, path)["settings"]["sampling"]["max_tokens"] == 8
