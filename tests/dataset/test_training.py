"""What is held out is nowhere in the training: not as another variant of its row, not in a mix."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import pytest

from penwright.config import DataConfig, FinetuneConfig
from penwright.dataset.store_cache import open_data
from penwright.dataset.training import divide, open_training_data
from penwright.errors import TokenizerError, UsageError
from penwright.tokens import BatchSchedule, Tokenizer
from penwright.tokens.mixing import ChangingMix
from penwright.verbs.prepare import encode_keywords, prepare
from penwright.weights.names import resolve
from penwright.weights.opening import read_place


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return read_place(resolve("base")).tokenizer()


@pytest.fixture
def lines(tmp_path):
    """Three lines for each of eighty titles, two of which stand in two rows."""
    titles = [f"The goose number {n} wrote home" for n in range(78)]
    with (tmp_path / "titles.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["kind", "title"], *(["a", t] for t in titles)])
        csv.writer(file).writerows([["b", titles[0]], ["b", titles[1]]])
    out = tmp_path / "titles.txt"
    encode_keywords(
        tmp_path / "titles.csv",
        output=out,
        title_field="title",
        category_field="kind",
        extractor="builtin",
    )
    return out


def texts(part, tokenizer) -> set[str]:
    return {tokenizer.decode(part.store.tokens(a, b).tolist()) for a, b in part.ranges.tolist()}


def titles_of(part, tokenizer) -> set[str]:
    return {re.search("~@(.*)<", text)[1] for text in texts(part, tokenizer)}


def check_rows(parts, tokenizer):
    kept, trained = (titles_of(side, tokenizer) for side in (parts.held_out, parts.training))
    assert len(kept) + len(trained) == 78
    assert not kept & trained
    assert parts.leaked == 0


def test_lines_of_one_row_are_on_one_side(lines, tokenizer):
    data = open_data([lines], DataConfig(), tokenizer, print)
    parts = divide(data.store, 0.2, 1)
    check_rows(parts, tokenizer)
    assert 48 <= len(parts.held_out) <= 54


def test_highlights_of_one_story_are_on_one_side(tmp_path, tokenizer):
    for n in range(20):
        lines = [f"Story {n}.", *(f"@highlight\n\nHighlight {m}" for m in range(3))]
        (tmp_path / f"{n}.story").write_text("\n\n".join(lines))
    data = open_data([tmp_path], DataConfig(highlights="all"), tokenizer, print)
    parts = divide(data.store, 0.2, 1)
    kept, trained = (
        {text.split(".")[0] for text in texts(side, tokenizer)}
        for side in (parts.held_out, parts.training)
    )
    assert (len(kept), len(trained), kept & trained) == (4, 16, set())


def test_highlights_that_take_turns_are_one_document_to_a_run(tmp_path, tokenizer):
    for n in range(20):
        lines = [f"Story {n}.", *(f"@highlight\n\nHighlight {n} {m}" for m in range(3))]
        (tmp_path / f"{n}.story").write_text("\n\n".join(lines))
    data = open_data([tmp_path], DataConfig(), tokenizer, print)
    parts = divide(data.store, 0.2, 1)
    assert (len(parts.held_out), len(parts.training)) == (4, 16)
    plan = BatchSchedule(parts.training, "rows", 16, 64, 1)
    passes = [
        {tokenizer.decode(row[row >= 0].tolist()) for row in plan.batch(number).targets_BT}
        for number in range(3)
    ]
    assert [len(learned) for learned in passes] == [16] * 3
    assert len(set.union(*passes)) == 48


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("<|endoftext|>".join(f"other {n} " * 9 for n in range(20)))
    return path


def test_a_mix_may_have_stores_among_its_data(lines, other, tmp_path, tokenizer):
    store = tmp_path / "store"
    prepare(lines, output=store, model="base")
    for paths in ([lines, other], [store, other], [other, store]):
        told: list[str] = []
        data = open_data(paths, DataConfig(), tokenizer, told.append)
        assert data.sources == ((20, 240) if paths[0] == other else (240, 20))
        shares = (0.3, 0.7) if paths[0] == other else (0.7, 0.3)
        parts = divide(data.store, 0.2, 1, shares=shares, counts=data.sources)
        assert not texts(parts.held_out, tokenizer) & texts(parts.training, tokenizer)
        assert len(parts.held_out) == 4 + 48
        tokens = [source["tokens"] for source in parts.mix]
        assert [round(n / sum(tokens), 2) for n in tokens] == [*shares]
        assert data.fingerprint == open_data(paths, DataConfig(), tokenizer, print).fingerprint
    assert data.reading.prompt_format is None


def test_repeated_in_a_mix_rows_are_still_on_one_side(lines, other, tokenizer):
    data = open_data([lines, other], DataConfig(), tokenizer, print)
    parts = divide(data.store, 0.2, 1, shares=(0.95, 0.05), counts=data.sources)
    assert parts.mix[0]["times"] > 2
    kept, trained = (
        {text for text in texts(side, tokenizer) if "~@" in text}
        for side in (parts.held_out, parts.training)
    )
    titles = [{re.search("~@(.*?)<", text + "<")[1] for text in side} for side in (kept, trained)]
    assert not titles[0] & titles[1]


def test_a_mix_may_be_measured_on_files_of_its_own(lines, other, tmp_path, tokenizer):
    apart = tmp_path / "apart.txt"
    apart.write_text("other 3 " * 9 + "<|endoftext|>" + "elsewhere " * 5)
    config = FinetuneConfig(mix=(0.7, 0.3), mix_end=(0.2, 0.8), held_out_data=(str(apart),))
    opened = open_training_data([lines, other], config, tokenizer, print)
    assert isinstance(opened.training, ChangingMix)
    assert [source["documents"] for source in opened.splits.mix] == [240, 20]
    assert (len(opened.held_out), opened.splits.leaked) == (2, 1)
    fixed = open_training_data([lines, other], replace(config, fix=True), tokenizer, print)
    assert ["elsewhere" in text for text in texts(fixed.held_out, tokenizer)] == [True]
    for wrong, message in (
        ({"mix": (1, 1, 1)}, "2 data sets, but 3 shares"),
        ({"mix": ()}, "--mix-end needs --mix"),
    ):
        with pytest.raises(UsageError, match=message):
            open_training_data([lines, other], replace(config, **wrong), tokenizer, print)


def test_stores_of_two_tokenizers_are_refused(other, tmp_path):
    prepare(other, output=tmp_path / "store", model="base")
    made = Tokenizer.gpt2()
    with pytest.raises(TokenizerError, match="another tokenizer"):
        open_data([tmp_path / "store", other], DataConfig(), made, print)


def test_all_but_the_first_of_a_repeated_passage_are_left_out(tmp_path, tokenizer):
    song = "so they sang of the lamp and the long river until the morning came"
    words = ["goose", "council", "letter", "garden", "window", "stone", "father", "street"]
    texts = [f"The {word} {song} {word} again." for word in words]
    path = tmp_path / "songs.txt"
    path.write_text("<|endoftext|>".join([*texts, song]), encoding="utf-8")
    told: list[str] = []
    config = FinetuneConfig(drop_repeats=12, held_out=0.2)
    opened = open_training_data([path], config, tokenizer, told.append)
    text = "".join(
        tokenizer.decode(opened.data.store.tokens(start, end).tolist())
        for split in (opened.training, opened.held_out)
        for start, end in split.ranges.tolist()
    )
    assert text.count(song) == 1
    assert all(text.count(f" {word}") == 2 for word in words)
    assert opened.splits.dropped >= 8 * len(song.split())
    assert any("--drop-repeats leaves" in note for note in opened.notes())
    whole = open_training_data([path], replace(config, drop_repeats=None), tokenizer, told.append)
    assert whole.splits.dropped == 0
    with pytest.raises(UsageError, match="at least 1"):
        open_training_data([path], replace(config, drop_repeats=0), tokenizer, told.append)
