"""Examine a data set: its faults, how to mend them, and the rows that training will see."""

from __future__ import annotations

from penwright.doctor.examine import (
    Cut,
    Duplicates,
    Examination,
    Extremes,
    Piece,
    PreviewRow,
    can_find_near,
    count_duplicates,
    count_repeats,
    examine,
    find_leaks,
    find_near,
    move_leaks,
    preview,
)
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
    "can_find_near",
    "count_duplicates",
    "count_repeats",
    "examine",
    "find_leaks",
    "find_near",
    "move_leaks",
    "preview",
]
