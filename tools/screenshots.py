"""Take the screenshots of docs/images: every view, at a desk and on a phone, light and dark.

python tools/screenshots.py     (needs penwright[serve], playwright, pillow and chromium)
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import penwright

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "bench"))
from serving import Served, serve  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SIZES = {1280: 800, 390: 844}
MINUTES = 900_000
"""Milliseconds to wait for a training."""
STORY = (
    "The lamp went out a little after four. Marren heard it before she saw it: the soft tick of "
    "the mantle cooling, and under it the sea, which had been there all night and had only been "
    "waiting for its turn to speak.\n\n"
    "She did not get up at once. In eleven years the lamp had failed twice, and both times her "
    "father had been on the stairs before she was awake. Now the stairs were quiet. There was "
    "nobody in the tower but herself and the gulls, and the gulls did not care about the lamp.\n\n"
    '"All right," she said to the dark. "All right. I am coming."\n\n'
    "The oil can was on the second landing where she had left it. She counted the steps, because "
    "it was easier to count than to think, and at the thirty-first she put her hand out and found "
    "the cold handle."
)
SETTINGS = {
    "memory": "A quiet tale of Marren, who keeps the light at Skerrin alone.",
    "note": "[A ship is near. She does not know it yet.]",
    "note_lines": 1,
    "lore": [{"keys": ["lamp", "mantle"], "text": "The lamp of Skerrin burns colza oil."}],
    "sampling": {"seed": "5", "max_tokens": 48},
}


def make_document(served: Served) -> str:
    """Make the documents that the screenshots show; returns the id of the story."""
    served.post("", {"title": "Notes on the storm", "text": "Wind from the west."})
    served.post("", {"title": "The harbour master", "text": "He came on a Tuesday."})
    id_: str = served.post("", {"title": "The keeper of Skerrin", "text": STORY})["id"]
    served.post(f"/{id_}/settings", {"values": SETTINGS})
    return id_


def keep(page: Page, name: str) -> None:
    """Write what the page shows as a WebP file."""
    page.wait_for_timeout(900)
    image = Image.open(io.BytesIO(page.screenshot()))
    image.save(IMAGES / f"{name}.webp", quality=88, method=6)


def take(page: Page, suffix: str, phone: bool) -> None:
    """Take the screenshots of one size and theme."""
    page.wait_for_timeout(1000)
    button = page.get_by_role("button", name="Continue", exact=True)
    button.click()
    page.wait_for_timeout(500)
    button.wait_for()
    keep(page, f"write-{suffix}")
    panel = page.get_by_role("button", name="Options, context and branches")
    if phone:
        panel.click()
    page.get_by_role("tab", name="Context").click()
    if not phone:
        page.get_by_role("button", name="Surprise").click()
    keep(page, f"context-{suffix}")
    if phone:
        page.get_by_role("button", name="Close the panel").click()
    else:
        page.locator(".cm-line").first.click(modifiers=["Alt"], position={"x": 100, "y": 12})
        page.locator(".alternatives").wait_for()
        keep(page, f"words-{suffix}")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Surprise").click()
        page.get_by_role("tab", name="Branches").click()
        page.locator(".cm-content").focus()
        page.keyboard.press("Control+End")
    page.get_by_role("button", name="Choices").click()
    page.locator(".tray-foot .primary:enabled").wait_for()
    keep(page, f"choices-{suffix}")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Undo").click()


def make_stories(folder: Path) -> Path:
    """Write the sample stories, a few of them twice, so that there is something to mend."""
    samples = Path(penwright.__file__).parent / "assets" / "samples" / "hill.jsonl"
    lines = samples.read_text(encoding="utf-8").splitlines()
    path = folder / "stories.jsonl"
    path.write_text("\n".join([*lines, *lines[:3]]) + "\n", encoding="utf-8")
    return path


def look_at(page: Page, file: Path) -> None:
    """Give the Train view a file, and wait for its findings and its plan."""
    page.evaluate("location.hash = 'train'")
    page.locator("input[type=file]").set_input_files(file)
    page.locator(".planned .primary:enabled").wait_for(timeout=MINUTES)


def train(page: Page, file: Path) -> None:
    """Train on a file once, so that there is a run to show."""
    look_at(page, file)
    page.get_by_role("button", name="Leave the repeats out").click()
    page.get_by_text("More", exact=True).click()
    for label, value in (("Times it reads the text", "0.3"), ("Tokens at a time", "128")):
        page.get_by_label(label).fill(value)
        page.get_by_label(label).press("Enter")
    page.locator(".planned[aria-busy=false] .primary:enabled").click(timeout=MINUTES)
    page.locator(".status.finished").wait_for(timeout=MINUTES)


def take_training(page: Page, suffix: str, file: Path) -> None:
    """Take the screenshots of the Train and About views."""
    look_at(page, file)
    keep(page, f"train-{suffix}")
    page.get_by_role("button", name="Put this file away").click()
    for view, name in (("train/run/stories", "run"), ("about", "about")):
        page.evaluate(f"location.hash = '{view}'")
        keep(page, f"{name}-{suffix}")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with (
        serve("base") as served,
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory() as folder,
    ):
        stories = make_stories(Path(folder))
        id_ = make_document(served)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(served.page)
        page.locator(".cm-content").wait_for()
        train(page, stories)
        for width, height in SIZES.items():
            for theme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=theme
                )
                page = context.new_page()
                page.goto(served.page)
                page.locator(".cm-content").wait_for()
                page.evaluate(f"location.hash = 'write/{id_}'")
                page.locator(f"[data-document='{id_}'] .cm-content").wait_for()
                take(page, f"{width}-{theme}", phone=width < 500)
                take_training(page, f"{width}-{theme}", stories)
                context.close()


if __name__ == "__main__":
    main()
