"""Writing on the page: stream, choose, undo, branch, and lose nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

pytest.importorskip("playwright", reason="needs playwright")

from playwright.sync_api import expect

from tests.page.conftest import Desk
from tests.serve.conftest import wait_until

READY = "document.querySelector('.tray-foot .primary')?.disabled === false"
"""Whether there are continuations to choose from, and all of them are there."""


ENDLESS = {"max_tokens": 80_000, "ignore_eos": True, "on_loop": "allow"}
"""Options with which the model writes until it is stopped, however slow the browser is."""


def without_space(*texts: str) -> str:
    return "".join("".join(texts).split())


def set_options(desk: Desk, **sampling) -> None:
    desk.ask("/settings", {"values": {"sampling": sampling}})
    desk.page.reload()
    desk.text_box.wait_for()


def test_typing_is_saved_and_comes_back(desk):
    desk.type("It rained for a week.")
    assert desk.stored()["text"] == "It rained for a week."
    desk.page.reload()
    desk.expect_text("It rained for a week.")


def test_a_continuation_streams_in_and_undo_and_redo_cover_it(desk):
    desk.type("It rained")
    whole = desk.let_write("Control+Enter")
    assert whole.startswith("It rained")
    assert len(whole) > 30
    assert desk.stored()["text"] == whole
    node = desk.stored()["nodes"][-1]
    assert node["author"] == "model"
    assert node["model"] == "tiny"
    assert node["seed"] >= 0
    desk.text_box.focus()
    desk.press("Control+z")
    desk.expect_text("It rained")
    desk.press("Control+z")
    desk.expect_text("")
    desk.press("Control+y", "Control+Shift+Z")
    desk.expect_text(whole)
    assert desk.stored()["text"] == whole
    marked = desk.page.locator(".by-model")
    wait_until(
        lambda: (
            without_space(*marked.all_inner_texts())
            == without_space(whole.removeprefix("It rained"))
        )
    )


def test_the_writer_edits_elsewhere_while_text_streams_in(desk):
    set_options(desk, **ENDLESS)
    desk.type("First line")
    desk.press("Enter")
    desk.type("It rained")
    desk.press("Control+Enter")
    desk.wait_text(lambda text: len(text) > 40)
    desk.press("Control+Home")
    desk.type("Above all, ")
    expect(desk.page.get_by_role("button", name="Stop")).to_be_visible()
    desk.press("Escape")
    desk.wait_idle()
    text = desk.text
    assert text.startswith("Above all, First line\nIt rained")
    assert desk.stored()["text"] == text
    human, model = (
        [node for node in desk.stored()["nodes"] if node["author"] == who][-1]
        for who in ("human", "model")
    )
    assert human["parent"] == model["id"]
    desk.text_box.focus()
    desk.press("Control+z")
    desk.expect_text(text.removeprefix("Above all, "))
    desk.press("Control+z")
    desk.expect_text("First line\nIt rained")


def test_escape_stops_and_keeps_what_came(desk):
    set_options(desk, **ENDLESS)
    desk.type("It rained")
    desk.press("Control+Enter")
    desk.wait_text(lambda text: len(text) > 20)
    desk.press("Escape")
    desk.wait_idle()
    text = desk.text
    desk.page.wait_for_timeout(150)
    assert desk.text == text
    assert desk.stored()["text"] == text


def test_choices_are_taken_by_word_by_sentence_and_whole(desk):
    desk.type("It rained")
    desk.press("Control+Shift+Enter")
    take = desk.page.get_by_role("button", name="Take it")
    desk.wait_for(READY)
    expect(desk.page.locator(".choice")).to_have_count(3)
    desk.expect_text("It rained")
    desk.press("Alt+ArrowRight")
    word = desk.wait_longer("It rained")
    desk.press("Alt+Shift+ArrowRight")
    desk.wait_longer(word)
    desk.press("Control+z", "Control+z")
    desk.expect_text("It rained")
    nodes = desk.stored()["nodes"]
    assert sum(node["author"] == "model" for node in nodes) >= 4
    assert len({node["parent"] for node in nodes if "index" in node}) == 1
    desk.press("Escape")
    expect(take).to_have_count(0)
    desk.press("Control+Shift+Enter")
    desk.wait_for(READY)
    desk.press("Alt+ArrowDown")
    second = desk.page.locator(".choice").nth(1)
    expect(second).to_have_attribute("aria-pressed", "true")
    wanted = without_space("It rained", second.inner_text())
    desk.press("Tab")
    desk.wait_text(lambda text: without_space(text) == wanted)
    expect(take).to_have_count(0)


def test_retry_adds_a_sibling_and_versions_are_walked(desk):
    desk.type("It rained")
    first = desk.let_write("Control+Enter")
    desk.text_box.focus()
    second = desk.let_write("Alt+r")
    assert second != first
    models = [node for node in desk.stored()["nodes"] if node["author"] == "model"]
    assert len(models) == 2
    assert models[0]["parent"] == models[1]["parent"]
    desk.press("Alt+PageUp")
    desk.expect_text(first)
    desk.press("Alt+PageDown")
    desk.expect_text(second)
    desk.page.get_by_role("tab", name="Branches").click()
    rows = desk.page.locator(".branch-text")
    expect(rows).to_have_count(3)
    rows.nth(1).click()
    desk.expect_text(first)
    desk.page.get_by_role("button", name="Hide this branch").nth(2).click()
    expect(rows).to_have_count(2)
    assert len(desk.stored()["nodes"]) == 3


def test_inside_a_text_what_fits_its_end_is_offered(desk):
    whole = "It rained and so the people stayed at home."
    desk.type(whole)
    for _ in range(len(" and so the people stayed at home.")):
        desk.press("ArrowLeft")
    desk.press("Control+Enter")
    desk.page.get_by_text("ranked by how likely your text after it follows").wait_for()
    desk.page.get_by_text("fits best").wait_for()
    expect(desk.page.locator(".choice")).to_have_count(4)
    desk.press("Tab")
    text = desk.wait_longer("It rained", than=len(whole) + 10)
    assert text.endswith("and so the people stayed at home.")


def test_alternatives_to_a_word_and_writing_on_from_one(desk):
    desk.type("It rained in")
    desk.press("Alt+a")
    tray = desk.page.get_by_label("Alternatives", exact=True)
    tray.wait_for()
    expect(tray).to_contain_text('Instead of "in"')
    buttons = tray.locator(".alternatives button")
    assert buttons.count() > 10
    chosen = buttons.first.locator("span").first.inner_text().removeprefix("…")
    buttons.first.click()
    desk.wait_text(lambda text: text.startswith("It rained") and chosen in text)


def test_alternatives_at_the_end_are_those_to_its_last_mark(desk):
    desk.press("Alt+a")
    desk.page.get_by_text("There is no word here.").wait_for()
    desk.type("It rained. ")
    desk.press("Alt+a")
    tray = desk.page.get_by_label("Alternatives", exact=True)
    expect(tray).to_contain_text('Instead of "."')
    expect(tray).to_contain_text("join the word before")
    joins = tray.get_by_role("button").filter(has_text="…").first
    piece = joins.locator("span").first.inner_text().removeprefix("…")
    joins.click()
    desk.wait_longer(f"It rained{piece}", than=40)


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
    whole = "A story of Anna.\nThe mill is old.\nFar away stood the mill."
    wait_until(lambda: received.count() and received.inner_text() == whole)
    desk.type(" And it went on and on and on." * 8)
    desk.page.locator(".fallen").first.wait_for()
    expect(received).not_to_contain_text("Far away")
    expect(received).to_contain_text(re.compile("^A story of Anna."))


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
    desk.wait_text(lambda text: "goose" in text)
    desk.press("Escape")


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


def test_find_and_replace_is_undone_as_one_step(desk):
    desk.type("It rained. It rained.")
    desk.press("Control+f")
    desk.page.locator("input[name=search]").fill("rained")
    desk.page.locator("input[name=replace]").fill("snowed")
    desk.page.locator("[name=replaceAll]").click()
    desk.expect_text("It snowed. It snowed.")
    desk.text_box.focus()
    desk.press("Control+z")
    desk.expect_text("It rained. It rained.")


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
    desk.let_write("Control+Enter")
    desk.text_box.focus()
    desk.press("Control+Shift+K")
    desk.page.get_by_text("to train on").wait_for()


def test_the_keyboard_is_enough(desk):
    desk.press("F1")
    expect(desk.page.get_by_role("dialog")).to_be_visible()
    expect(desk.page.get_by_role("dialog")).to_contain_text("Several continuations")
    desk.press("Escape")
    desk.page.get_by_role("dialog").wait_for(state="detached")
    desk.press("Alt+3")
    desk.page.get_by_role("heading", name="About").wait_for()
    desk.press("Alt+1")
    desk.text_box.wait_for()
    desk.press("Control+Enter")
    desk.wait_text(lambda text: len(text) > 20)


def test_the_keyboard_is_nowhere_caught_and_returns_from_a_dialog(desk):
    focused = "document.activeElement.ariaLabel"
    desk.press("Tab")
    desk.wait_for(f"{focused} !== 'Text'")
    desk.press("Shift+Tab")
    for close in ("Enter", "Escape"):
        desk.wait_for(f"{focused} === 'Text'")
        desk.press("F1")
        desk.wait_for(f"{focused} === 'Close'")
        desk.press(close)
    desk.wait_for(f"{focused} === 'Text'")


def test_escape_from_the_tray_and_a_taken_branch_return_to_the_text(desk):
    focused = "document.activeElement.ariaLabel"
    desk.type("It rained")
    desk.let_write("Control+Enter")
    desk.let_write("Alt+r")
    desk.press("Alt+a")
    desk.page.get_by_label("Alternatives", exact=True).wait_for()
    desk.press("Tab")
    desk.wait_for(f"{focused} === 'Close'")
    desk.press("Escape")
    desk.wait_for(f"{focused} === 'Text'")
    desk.page.get_by_role("tab", name="Branches").click()
    desk.page.get_by_role("button", name="Compare with the text").press("Enter")
    desk.page.get_by_role("button", name="Write on with this").last.press("Enter")
    desk.wait_for(f"{focused} === 'Text'")


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
    set_options(desk, **ENDLESS)
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
    desk.new_document()
    desk.wait_for("document.fonts.status === 'loaded'")
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("Documents", "Options, context and branches"):
        desk.page.get_by_role("button", name=name).first.click()
        drawer = desk.page.locator(".documents, .inspector").locator("visible=true")
        expect(drawer).to_have_count(1)
        drawer.get_by_role("button", name="Close").first.click()
    desk.page.get_by_role("button", name="Continue", exact=True).click()
    desk.wait_text(lambda text: len(text) > 20)
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
    set_options(desk, **ENDLESS)
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
    expect(copy).to_have_text("rained for a week")
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
    desk.wait_for(READY)
    desk.press("Tab")
    desk.wait_longer("It rained")
    desk.page.get_by_role("tab", name="Context").click()
    desk.page.get_by_label("Memory").fill("A wet tale.")
    desk.let_write("Control+Enter")
    assert desk.ask()["settings"]["memory"] == "A wet tale."


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
    expect(desk.page.get_by_role("button", name="Try again")).to_be_visible()
    first = desk.id
    desk.page.get_by_role("button", name="New document").first.click()
    desk.wait_for(f"location.hash !== '#write/{first}'")
    assert desk.ask()["settings"]["sampling"]["max_tokens"] == 8
