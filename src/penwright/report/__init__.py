"""Write a run as one self-contained HTML file, readable without network or scripts."""

from __future__ import annotations

from pathlib import Path

from penwright.files import write_text
from penwright.report.chapters import (
    data_summary,
    header,
    machine,
    moment,
    next_steps,
    perplexity,
    settings,
)
from penwright.report.comparison import previous, quality
from penwright.report.curves import curves, has_curves
from penwright.report.page import Chapter, html, page
from penwright.report.read import RunData, read
from penwright.report.samples import copied_text, recipe_outcome, samples
from penwright.report.story import find_facts, headline

__all__ = ["RunData", "read", "render", "render_curves", "write"]


def write(run_dir: Path) -> Path:
    """Write `report.html` into a run folder and return its path.

    Raises RunError when the folder is no run or its run.json is damaged, and OutOfRoomError when
    the file cannot be written; any other gap in the run is told of in the report itself.
    """
    path = Path(run_dir) / "report.html"
    write_text(path, render(read(Path(run_dir))))
    return path


def render(data: RunData) -> str:
    """Return the report of a run as an HTML page; the same data gives the same page."""
    facts = find_facts(data)
    chapters = [
        Chapter("perplexity", "Perplexity", "Before and after", perplexity(facts)),
        Chapter("curves", "Curves", "How it learned", curves(data, facts)),
        Chapter("data", "Data", "What it read", data_summary(data)),
        Chapter("settings", "Settings", "How it was set", settings(data)),
        Chapter("machine", "Machine", "Where it ran", machine(data)),
        Chapter("next", "Next", "What to type next", next_steps(data, facts)),
    ]
    if data.snapshots:
        written = Chapter("writing", "Writing", "What it wrote", samples(data, facts))
        chapters.insert(1, written)
    if data.copied:
        chapters.insert(2, Chapter("copied", "Copied", "What it copied", copied_text(data.copied)))
    if data.quality:
        chapters.insert(2, Chapter("quality", "Quality", "How it writes", quality(data.quality)))
    if data.part("previous"):
        title = "Beside the run before it"
        chapters.insert(1, Chapter("previous", "Before", title, previous(data)))
    if data.outcome:
        chapters.insert(
            1, Chapter("recipe", "Recipe", "How the recipe ended", recipe_outcome(data.outcome))
        )
    empty = {"curves"} if not has_curves(data) else set()
    return page(
        title=f"{data.name} · Penwright",
        description=headline(facts),
        header=header(data, facts),
        footer=_footer(data),
        sections=[item for item in chapters if item.body.strip() and item.name not in empty],
    )


def render_curves(data: RunData) -> str:
    """Return a page with the curves alone, as far as a run has come."""
    facts = find_facts(data)
    return page(
        title=f"{data.name} · Penwright",
        description=headline(facts),
        header=html(
            '<p class="kicker"><b>Penwright</b> {name}</p><p class="lede">{said}</p>',
            name=data.name,
            said=headline(facts),
        ),
        footer=_footer(data),
        sections=[Chapter("curves", "Curves", "How it learns", curves(data, facts))]
        if has_curves(data)
        else [],
    )


def _footer(data: RunData) -> str:
    version = data.run.get("version")
    maker = f"Penwright {version}" if isinstance(version, str) else "Penwright"
    return f"Written by {maker}, {moment(data.written)}. This page loads nothing from the network."
