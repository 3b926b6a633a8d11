"""Seeds give the same numbers in every version, so that runs resume and texts repeat."""

from __future__ import annotations

import numpy as np

from penwright import seeds


def test_split_mix_known_answers():
    state = np.array([1234567], dtype=np.uint64)
    counts = np.arange(1, 4, dtype=np.uint64)
    assert seeds.mix(state + counts * seeds.GAMMA).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_combined_seeds_are_the_same_in_every_version():
    assert seeds.combine(0, 0, 0) == 1279368494785126216
    assert seeds.combine(1, 2, 3) == 3851293329796251419
    assert seeds.combine(-5, 7, 2**63) == 5708066097754551096
    assert seeds.combine(1, 3, 2) != seeds.combine(1, 2, 3)


def test_orders_are_the_same_in_every_version():
    assert seeds.permutation(8, 3, "epoch").tolist() == [6, 5, 3, 4, 0, 1, 2, 7]
    assert sorted(seeds.permutation(100, 1).tolist()) == list(range(100))
