"""Take the pictures of pages in docs/images.

python tools/screenshot_of_a_report.py PAGE.html NAME [--phone] [--dark] [--at SECTION]
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def main() -> None:
    """Take one picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("name")
    parser.add_argument("--phone", action="store_true")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--at", help="the section to scroll to")
    given = parser.parse_args()
    size = {"width": 390, "height": 780} if given.phone else {"width": 1000, "height": 700}
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=size, color_scheme="dark" if given.dark else "light")
        page.goto(given.page.resolve().as_uri())
        if given.at:
            at_once = "scrollIntoView({behavior: 'instant'})"
            page.evaluate(f"document.getElementById('{given.at}').{at_once}")
        page.screenshot(path=IMAGES / f"{given.name}.png")
        browser.close()


if __name__ == "__main__":
    main()
