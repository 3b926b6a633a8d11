"""The verbs that serve models over HTTP."""

from __future__ import annotations

from typing import Annotated

from penwright.cli.options import Opened, warn
from penwright.config import ServeConfig


def serve(
    *models: str,
    options: Annotated[ServeConfig, Opened] = ServeConfig(),  # noqa: B008 - frozen
) -> None:
    """Serve models to other programs, by the APIs of OpenAI, KoboldAI and llama.cpp.

    Parameters
    ----------
    models
        Runs, folders, sizes (124M), Hub names, or base.
    """
    from penwright.serve import run

    run(models, options, warn)


def studio(
    *models: str,
    options: Annotated[ServeConfig, Opened] = ServeConfig(),  # noqa: B008 - frozen
) -> None:
    """Write and train on a page in your browser; `serve` that opens the page.

    Parameters
    ----------
    models
        Runs, folders, sizes (124M), Hub names, or base.
    """
    from penwright.serve import run

    run(models, options, warn, open_page=True)
