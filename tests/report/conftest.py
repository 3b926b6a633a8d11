from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.helpers import SMALL_LINES, SMALL_SAMPLES, write_run


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A finished run of four steps."""
    return write_run(tmp_path / "runs" / "small", SMALL_LINES, SMALL_SAMPLES)
