"""`penwright report`"""

from __future__ import annotations


def report(run: str) -> None:
    """Draw a run as one HTML file.

    Parameters
    ----------
    run
        The run's name under runs/, or its folder.
    """
    from pathlib import Path

    from penwright import report as reports
    from penwright.runs import RUNS, Run

    folder = Path(run) if (Path(run) / "run.json").exists() else RUNS / run
    print(reports.write(Run.open(folder).folder))
