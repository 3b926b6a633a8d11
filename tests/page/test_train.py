"""The Train and About views in a browser: from a dropped file to writing with its model."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("playwright", reason="needs playwright")
pytest.importorskip("fastapi", reason="needs penwright[serve]")

from playwright.sync_api import Page, expect

from penwright.runs import Run, list_runs
from penwright.serve.training import Training
from tests.serve.conftest import TOKEN, Live, make_server, make_writer, wait_until

TALE = "The heron stood in the <b>reeds</b> and waited for the tide, for it was never late.\n\n"
LONG = 120_000  # milliseconds, for a process that has to import torch on a busy machine

DROP = """([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  for (const type of ["dragover", "drop"])
    document.querySelector(".view").dispatchEvent(
      new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def live(tmp_path, monkeypatch) -> Iterator[Live]:
    """A server on two tiny models, whose runs are in a folder of the test."""
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    writers = [make_writer("tiny", 1), make_writer("other", 2)]
    server = make_server(writers, tmp_path / "documents")
    live = Live(replace(server, training=Training(tmp_path)))
    live.start()
    yield live
    live.stop()
    for run in list_runs(live.server.training.folder):
        if holder := run.holder():
            os.kill(holder, signal.SIGTERM)


@pytest.fixture
def page(live, browser) -> Iterator[Page]:
    """The page, open; a test fails on errors of the page's own."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors: list[str] = []

    def note(line) -> None:
        if line.type == "error" and not line.text.startswith("Failed to load resource"):
            errors.append(line.text)

    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", note)
    page.goto(f"{live.address}/#token={TOKEN}")
    yield page
    context.close()
    assert errors == []


def go(page: Page, view: str) -> None:
    page.evaluate("(hash) => (location.hash = hash)", view)


def drop(page: Page, name: str, text: str) -> None:
    go(page, "train")
    expect(page.get_by_role("heading", name="Train")).to_be_visible()
    page.evaluate(DROP, [name, text])
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def find_violations(page: Page) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no colour halfway
        found += [
            f"{one['id']}: {one['nodes']}" for one in axe.Axe().run(page).response["violations"]
        ]
    return found


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of this name has the focus."""
    shown = "(e => (e.labels?.[0] ?? e).innerText ?? '')(document.activeElement)"
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(shown).strip().startswith(name):
            return
    raise AssertionError(f"no Tab leads to {name}")


def press(page: Page, name: str) -> None:
    """Press a button by the keyboard, once it is enabled."""
    expect(page.get_by_role("button", name=name)).to_be_enabled(timeout=LONG)
    tab_to(page, name)
    page.keyboard.press("Enter")


@pytest.mark.skipif(os.name != "posix", reason="stopping from the page needs signals")
def test_train_stop_resume_and_write_with_it_by_keyboard_alone(page, live):
    expect(page.locator(".cm-content")).to_be_visible()  # the keys are heard, and it has the focus
    with page.expect_file_chooser() as chooser:  # Chromium is told to report it long before
        page.keyboard.press("Alt+2")
        expect(page.get_by_text("Choose a file")).to_be_visible()
        tab_to(page, "Choose a file")
        page.keyboard.press("Enter")
    tale = {"name": "my tale.txt", "mimeType": "text/plain", "buffer": (TALE * 60).encode()}
    chooser.value.set_files(tale)
    fix = page.get_by_role("button", name="Take the tags out")
    press(page, "Take the tags out")
    expect(fix).to_have_attribute("aria-pressed", "true")
    tab_to(page, "More")
    page.keyboard.press("Enter")
    for label, value in (("Times it reads", "5000"), ("Tokens at a time", "16")):
        tab_to(page, label)
        page.keyboard.type(value)
        page.keyboard.press("Enter")
    press(page, "Start training")
    expect(page.get_by_role("heading", name="my-tale")).to_be_visible()
    status = page.locator(".progress .status")
    expect(status).to_have_text("Training", timeout=LONG)
    expect(page.get_by_role("img", name="Loss.")).to_be_visible(timeout=LONG)
    expect(page.locator(".progress")).to_contain_text("left")
    expect(page.locator("blockquote.sample").first).to_be_visible(timeout=LONG)
    assert find_violations(page) == []

    press(page, "Stop and keep")
    expect(status).to_have_text("Stopped", timeout=LONG)
    run = Run.open(live.server.training.folder / "my-tale")
    before = max(line["step"] for line in run.metrics())
    press(page, "Resume")
    expect(status).to_have_text("Training", timeout=LONG)
    taken = page.get_by_label("Steps taken")
    wait_until(lambda: int(taken.get_attribute("value") or 0) > before, 120)
    press(page, "Stop and keep")
    expect(status).to_have_text("Stopped", timeout=LONG)
    assert "<b>" not in json.dumps(run.info["data"].get("warnings", []))

    press(page, "Write with it")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("my-tale", timeout=LONG)
    expect(page.get_by_role("link", name="Write", exact=True)).to_have_attribute(
        "aria-current", "page"
    )
    go(page, "train")
    expect(page.get_by_role("link", name="my-tale")).to_contain_text("Stopped")
    assert find_violations(page) == []
    go(page, "about")
    expect(page.get_by_text("machine-written", exact=True).first).to_be_visible()
    card = page.get_by_role("group").filter(has_text="my-tale")
    expect(card).to_contain_text("How it was trained")
    assert find_violations(page) == []


def test_what_cannot_be_read_is_said_and_nothing_starts(page):
    drop(page, "scan.pdf", "%PDF-1.4 not a text")
    expect(page.get_by_role("alert")).to_contain_text("PDF", timeout=LONG)
    expect(page.get_by_role("alert")).not_to_contain_text("uploads")
    expect(page.get_by_role("button", name="Start training")).to_have_count(0)


def test_a_file_in_another_encoding_is_read_at_a_press(page):
    go(page, "train")
    data = "Das M\u00e4dchen ging \u00fcber die Br\u00fccke.\n".encode("cp1252") * 200
    files = {"name": "old.txt", "mimeType": "text/plain", "buffer": data}
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_role("button", name="Read it as windows-1252").click(timeout=LONG)
    page.get_by_text("How the model will see it").click(timeout=LONG)
    expect(page.get_by_role("region", name="Row 1")).to_contain_text("Br\u00fccke")


def test_two_models_are_compared_blindly(page, live):
    go(page, "train/compare")
    page.get_by_label("One").select_option("tiny")
    page.get_by_label("The other").select_option("other")
    page.get_by_label("Beginning").fill("Once")
    page.get_by_role("button", name="Write", exact=True).click()
    first = page.get_by_role("region", name="The first")
    expect(first).to_contain_text("Once", timeout=LONG)
    expect(first.get_by_role("heading")).to_have_text("The first")
    assert find_violations(page) == []
    page.get_by_role("button", name="The first is better").click()
    expect(first.get_by_role("heading")).to_have_text(re.compile("tiny|other"))
    expect(page.get_by_text("is preferred to")).to_be_visible()
    (line,) = (live.server.training.folder / "votes.jsonl").read_text().splitlines()
    vote = json.loads(line)
    assert vote[vote["choice"]] == first.get_by_role("heading").inner_text()


def test_a_redraw_leaves_what_is_being_typed(page):
    held = []
    page.route("**/training/votes*", lambda route: held.append(route))
    go(page, "train/compare")
    page.get_by_label("One").select_option("tiny")
    page.get_by_label("The other").select_option("other")
    beginning = page.get_by_label("Beginning")
    beginning.fill("Once")
    while not held:
        page.wait_for_timeout(20)
    with page.expect_response("**/training/votes*"):
        held[0].continue_()
    page.wait_for_timeout(200)
    assert beginning.input_value() == "Once"


@pytest.mark.parametrize("width", [390, 1280])
def test_no_view_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    for view in ("train", "train/compare", "about"):
        go(page, view)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
