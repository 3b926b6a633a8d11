"""Writing on the page: stream, choose, undo and branch."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright", reason="needs playwright")

from playwright.sync_api import expect

from tests.page.conftest import ENDLESS, READY, Desk
from tests.serve.conftest import wait_until


def without_space(*texts: str) -> str:
    return "".join("".join(texts).split())


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
    desk.set_options(**ENDLESS)
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
    desk.set_options(**ENDLESS)
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
