from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from penwright import doctor, formats
from penwright.config import DataConfig, FinetuneConfig, build
from penwright.doctor import Examination, count_repeats, find_leaks, find_near, move_leaks
from penwright.doctor.survey import survey
from penwright.document import Document, Source, Span
from penwright.tokens.batches import BatchSchedule
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.encode import prepare
from penwright.tokens.store_split import Split, split

needs_rensa = pytest.mark.skipif(
    importlib.util.find_spec("rensa") is None, reason="rensa is not installed"
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.gpt2()


def look(
    folder: Path, tokenizer: Tokenizer, paths: list[Path], data: DataConfig, length: int = 64
) -> Examination:
    warnings: list[str] = []
    store = prepare(formats.read(paths, data, warnings.append), tokenizer, folder / "store")
    training, held_out = split(store, 0.3, 1)
    near = list(find_near(formats.read(paths, data, print), 0.7)) if has_rensa() else []
    return doctor.examine(
        formats.describe(paths, data),
        formats.read(paths, data, lambda _: None),
        store,
        BatchSchedule(training, "packed", 2, length, 0),
        tokenizer,
        held_out=held_out,
        parameters=10**11 if length == 64 else 10**6,
        warnings=warnings,
        near=near,
    )


def has_rensa() -> bool:
    return importlib.util.find_spec("rensa") is not None


def sentence(i: int) -> str:
    words = np.random.default_rng(i).permutation(
        "rain river stone lamp garden window evening salt bread harbour letter snow".split()  # noqa: SIM905
    )
    return f"Number {i}: the {' and the '.join(words[:5])}, said nobody. It was {words[6]} again."


def test_nothing_is_wrong_with_a_clean_data_set(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = tmp_path / "clean.jsonl"
    rows = ({"prompt": f"Line {i}", "completion": sentence(i)} for i in range(600))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = look(tmp_path, tokenizer, [path], DataConfig(), length=128)
    assert found.findings == ()
    assert found.extremes.longest[0][1] == found.lengths.longest
    assert found.extremes.shortest[0][1] == found.lengths.shortest


PLANTED = {
    "marker": "one<|endoftext|>two",
    "mojibake": "a cafÃ© in town",
    "entities": "salt &amp; bread",
    "tags": "a <b>bold</b> word",
    "tokenized": "I ca n't , wo n't , shan 't ! " * 3000,
    "replaced": "lost \ufffd here",
    "control": "a bell \x07 rings",
    "newline": "one\\ntwo",
    "news": "(CNN) -- It rained.",
}


def plant(folder: Path) -> list[Path]:
    rows = [{"prompt": f"Line {i}", "completion": sentence(i)} for i in range(30)]
    rows += [{"prompt": "Same: ", "completion": "again and again and again"}] * 12
    rows += [{"prompt": "P ", "completion": text} for text in PLANTED.values()]
    rows += [{"prompt": "", "completion": "x"}] * 9
    rows += [{"prompt": f"Line {i} ", "completion": "rain " * 80} for i in range(40)]
    alike = "the quick brown fox jumps over the lazy dog while all of the others look on"
    rows += [
        {"prompt": "A ", "completion": alike},
        {"prompt": "A ", "completion": alike + " there"},
    ]
    rows += [{"prompt": "H ", "completion": "𒀀 word \t \n \t \n" * 80_000}]
    rows += [{"prompt": "empty", "completion": ""}]
    pairs, plain = folder / "rows.jsonl", folder / "torn.txt"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plain.write_text("half a wo<|endoftext|>rd and more of it")
    return [pairs, plain]


def test_twenty_planted_faults_are_found(tmp_path: Path, tokenizer: Tokenizer) -> None:
    data = DataConfig(separator="", skip_empty=True)
    found = look(tmp_path, tokenizer, plant(tmp_path), data)
    names = {finding.name for finding in found.findings}
    expected = {
        *PLANTED, "reading", "leakage", "duplicates", "too little data", "huge documents",
        "long documents", "short documents", "torn words", "glued", "no prompt", "white space",
        "costly characters",
    }  # fmt: skip
    assert names == expected | ({"near duplicates"} if has_rensa() else set())
    assert len(expected) >= 20
    by_name = {finding.name: finding for finding in found.findings}
    assert by_name["marker"].places == (f"{tmp_path / 'rows.jsonl'}:43",)
    assert by_name["torn words"].places == (f"{tmp_path / 'torn.txt'}:1",)
    assert all(finding.says.endswith((".", "𒀀")) for finding in found.findings)
    assert [finding.name for finding in found.findings if not finding.fix] == ["reading"]
    for finding in found.findings:
        assert build(FinetuneConfig, finding.change)
        for name, value in finding.change.items():
            flag = f"--{name.replace('_', '-')}"
            given = "" if value is True else f" {value[0] if name in ('clean', 'learn') else value}"
            assert flag + given.removesuffix(".0") in finding.fix
    assert by_name["tags"].change == {"clean": ["tags"]}
    assert json.dumps(found.as_json())


def test_few_documents(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = tmp_path / "few.txt"
    path.write_text("\n".join(sentence(i) for i in range(3)))
    found = look(tmp_path, tokenizer, [path], DataConfig(documents="line"))
    assert {finding.name for finding in found.findings} == {"few documents", "too little data"}


def test_one_and_many_are_told_in_grammar(tmp_path: Path, tokenizer: Tokenizer) -> None:
    found = look(tmp_path, tokenizer, plant(tmp_path), DataConfig(separator="", skip_empty=True))
    says = {finding.name: finding.says for finding in found.findings}
    assert says["tags"].startswith("1 of 105 documents holds HTML tags")
    assert says["no prompt"].startswith("11 of 105 documents have no prompt")
    assert says["torn words"].startswith("1 document begins")


def test_titles_side_by_side_are_not_torn(tmp_path: Path) -> None:
    path = tmp_path / "titles.txt"
    path.write_text(
        "Two geese<|endoftext|>An owl<|endoftext|>42 cats<|endoftext|>Half a wo<|endoftext|>rd"
    )
    assert survey(formats.read([path], DataConfig(), print)).torn == [4]


def documents(*texts: str) -> list[Document]:
    return [Document((Span(text),), Source("x", i)) for i, text in enumerate(texts, 1)]


def test_leaks_are_moved(tmp_path: Path, tokenizer: Tokenizer) -> None:
    texts = documents("aa", "bb", "aa", "cc", "bb")
    store = prepare(texts, tokenizer, tmp_path / "store")
    whole = Split.whole(store).ranges
    training, held_out = Split(store, whole[[0, 1]]), Split(store, whole[[2, 3, 4]])
    leaks = find_leaks(training, held_out)
    assert leaks.tolist() == [0, 2]
    assert find_leaks(training, held_out, survey(texts).digests).tolist() == [0, 2]
    assert count_repeats(store) == 2
    training, held_out = move_leaks(training, held_out, leaks)
    assert training.ranges.tolist() == whole[[0, 1, 2, 4]].tolist()
    assert held_out.ranges.tolist() == whole[[3]].tolist()


@needs_rensa
def test_near_duplicates() -> None:
    long = "the quick brown fox jumps over the lazy dog and runs off into the dark green wood"
    texts = documents(
        long, "something else altogether that has no word of it", long + " again", "a b"
    )
    assert list(find_near(texts, 0.7)) == [(0, 2)]
