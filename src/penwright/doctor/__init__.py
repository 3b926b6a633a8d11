"""What is wrong with a data set, and what to type to mend it; the preview of windows."""

from __future__ import annotations

from penwright.doctor.examine import Cut, Duplicates, Examination, Extremes, examine
from penwright.doctor.findings import Finding
from penwright.doctor.leaks import count_repeats, find_leaks, move_leaks
from penwright.doctor.lengths import Bin, Lengths
from penwright.doctor.near import find_near
from penwright.doctor.tokens import Costly
from penwright.doctor.windows import Piece, Window, preview

__all__ = [
    "Bin",
    "Costly",
    "Cut",
    "Duplicates",
    "Examination",
    "Extremes",
    "Finding",
    "Lengths",
    "Piece",
    "Window",
    "count_repeats",
    "examine",
    "find_leaks",
    "find_near",
    "move_leaks",
    "preview",
]
