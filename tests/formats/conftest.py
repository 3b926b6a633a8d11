from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Document

# These tests write files: how long one takes depends on the disk and on who else is at work.
settings.register_profile(
    "files", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
settings.load_profile("files")

Read = Callable[..., list[Document]]


@pytest.fixture
def warnings() -> list[str]:
    """The sentences that reading warned with."""
    return []


@pytest.fixture
def read(warnings: list[str]) -> Read:
    """Reads paths with DataConfig options into a list."""

    def call(*paths: str | Path, **options: object) -> list[Document]:
        data = DataConfig(**options)  # type: ignore[arg-type]
        return list(formats.read([*paths], data, warnings.append))

    return call
