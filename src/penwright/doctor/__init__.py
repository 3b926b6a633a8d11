"""Examine a data set: its faults, how to mend them, and the rows that training will see."""

from __future__ import annotations

from penwright.doctor.batch_preview import Piece, PreviewRow, preview
from penwright.doctor.duplicates import count_repeats, find_leaks, find_near, move_leaks
from penwright.doctor.examine import Cut, Duplicates, Examination, Extremes, examine
from penwright.doctor.findings import Finding
from penwright.doctor.survey import Bin, Costly, Lengths

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
    "PreviewRow",
    "count_repeats",
    "examine",
    "find_leaks",
    "find_near",
    "move_leaks",
    "preview",
]
