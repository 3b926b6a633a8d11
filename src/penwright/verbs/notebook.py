"""Show runs in a notebook: live curves while training, the report in place. Needs no package.

Outside of a notebook nothing here is used. IPython is not imported, but found where it runs.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from penwright import report
from penwright.report.page import Html, html
from penwright.runs import Run
from penwright.train import Silent

_SECONDS_BETWEEN_UPDATES = 3.0


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")


def frame(page: str, height: int) -> Html:
    """Return a whole page as an element of another, apart from its style and scripts.

    IPython advises against a bare iframe, which would have an address; this one has none.
    """
    return html(
        '<div><iframe srcdoc="{page}" sandbox="allow-scripts" title="Penwright" '
        'style="width: 100%; height: {height}px; border: 0"></iframe></div>',
        page=page,
        height=height,
    )


class LiveCurves(Silent):
    """Shows the curves of a run below the cell that trains, and draws them again as they grow."""

    def __init__(self, run: Run) -> None:
        from IPython.display import HTML, display

        self._run = run
        self._as_html = HTML
        self._shown: Any = display(HTML(""), display_id=True)
        self._last = 0.0

    def on_step(self, record: dict[str, Any]) -> None:
        del record
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_UPDATES:
            self._draw()

    def on_evaluate(self, record: dict[str, Any]) -> None:
        del record
        self._draw()

    def close(self) -> None:
        """Draw the curves a last time."""
        self._draw()

    def _draw(self) -> None:
        self._last = time.monotonic()
        page = report.render_curves(report.read(self._run.folder))
        self._shown.update(self._as_html(frame(page, 880)))
