"""encode_csv, encode_dataset, and the data that finetune takes."""

# ruff: noqa: ARG001 - fixtures that only set the place

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import penwright.compat.gpt_2_simple as gpt2
from penwright.compat.gpt_2_simple.data import readable
from penwright.errors import DataError, UsageError

from .conftest import ROWS, openai_layout

QUESTIONS = [
    "Why do geese come back to the same pond every year?",
    "Who drank the last cup of tea in the council chamber?",
    "What is the longest word, with a comma, that you know?",
]


def encoded(path="csv_encoded.txt"):
    return Path(path).read_bytes().decode()


@pytest.mark.parity("gpt-2-simple: encode_csv")
def test_encode_csv_marks_every_row(place):
    (place / "in.csv").write_text('title\n"one, two"\n"a ""quoted"" cup"\n"two\nlines"\nlast é\n')
    gpt2.encode_csv("in.csv")
    assert encoded() == (
        "<|startoftext|>one, two<|endoftext|>\n"
        '<|startoftext|>a "quoted" cup<|endoftext|>\n'
        "<|startoftext|>two\nlines<|endoftext|>\n"
        "<|startoftext|>last é<|endoftext|>\n"
    )


def test_encode_csv_takes_the_tokens_and_the_path_that_it_is_given(place):
    (place / "in.csv").write_text("title\nlong enough a text to be no title of a column\n")
    gpt2.encode_csv("in.csv", out_path="out.txt", start_token="<s>", end_token="</s>")
    assert encoded("out.txt") == "<s>long enough a text to be no title of a column</s>\n"


def test_encode_csv_keeps_a_first_row_that_is_no_header(place, capsys):
    (place / "in.csv").write_text("\n".join(f'"{question}"' for question in QUESTIONS))
    gpt2.encode_csv("in.csv", header=True)
    assert encoded() == "".join(f"<|startoftext|>{q}<|endoftext|>\n" for q in QUESTIONS)
    assert "first row is a text like the others" in capsys.readouterr().err


def test_encode_csv_without_header_keeps_every_row(place):
    (place / "in.csv").write_text("title\na text that is rather longer than its title\n")
    gpt2.encode_csv("in.csv", header=False)
    assert encoded().startswith("<|startoftext|>title<|endoftext|>\n")


def test_encode_csv_leaves_out_empty_rows_and_names_the_column(place, capsys):
    (place / "in.csv").write_text("title,score\nthe goose asked for tea again,1\n,2\n")
    gpt2.encode_csv("in.csv")
    assert encoded() == "<|startoftext|>the goose asked for tea again<|endoftext|>\n"
    said = capsys.readouterr().err
    assert "2 columns; the text is the first, 'title'" in said
    assert "in.csv:3: 1 row without text" in said


def test_encode_csv_never_replaces_its_source(place):
    (place / "in.csv").write_text("title\n")
    with pytest.raises(UsageError, match="would replace"):
        gpt2.encode_csv("in.csv", out_path="./in.csv")
    with pytest.raises(DataError, match=r"no file 'nope\.csv'"):
        gpt2.encode_csv("nope.csv")


@pytest.mark.parity("gpt-2-simple: encode_dataset")
def test_encode_dataset_is_the_text_in_tokens(home, tokenizer, capsys):
    gpt2.encode_dataset("story.txt")
    assert "Writing text_encoded.npz" in capsys.readouterr().out
    with np.load("text_encoded.npz") as stored:
        (array,) = (stored[name] for name in stored.files)
    assert array.tolist() == tokenizer.encode((home / "story.txt").read_text())


def test_encode_dataset_joins_short_files_only(home, tokenizer):
    for name, text in (("a", "one"), ("b", "two"), ("c", "three " * 20)):
        (home / "many").mkdir(exist_ok=True)
        (home / "many" / f"{name}.txt").write_text(text)
    gpt2.encode_dataset("many", out_path="out", combine=5)
    with np.load("out.npz") as stored:
        texts = [tokenizer.decode(stored[name].tolist()) for name in stored.files]
    assert texts == ["one<|endoftext|>two", "three " * 20]


def test_encode_dataset_takes_csv_and_npz_too(home, tokenizer):
    gpt2.encode_dataset("titles.csv", out_path="titles.npz")
    gpt2.encode_dataset("titles.npz", out_path="again.npz")
    with np.load("again.npz") as stored:
        text = tokenizer.decode(stored[stored.files[0]].tolist())
    assert text == "".join(f"<|startoftext|>{row}<|endoftext|>\n" for row in ROWS)


def test_encode_dataset_needs_no_download_for_the_known_sizes(place):
    (place / "a.txt").write_text("Hello world")
    gpt2.encode_dataset("a.txt", model_name="355M")
    with np.load("text_encoded.npz") as stored:
        assert stored["arr_0"].tolist() == [15496, 995]


def test_encode_dataset_reads_openais_vocabulary(place, small_vocabulary):
    openai_layout(place / "models" / "tiny", small_vocabulary)
    (place / "a.txt").write_text("the goose asked")
    gpt2.encode_dataset("a.txt", model_name="tiny")
    with np.load("text_encoded.npz") as stored:
        assert stored["arr_0"].tolist() == small_vocabulary.encode("the goose asked")


def texts_of(dataset, tokenizer, home):
    paths = readable(dataset, tokenizer, home / ".cache" / "x", lambda _: None)
    return [path.read_text() for path in paths]


def test_a_csv_and_its_npz_are_the_same_data(home, tokenizer):
    gpt2.encode_dataset("titles.csv", out_path="titles.npz")
    marked = "".join(f"<|startoftext|>{row}<|endoftext|>\n" for row in ROWS)
    assert texts_of("titles.csv", tokenizer, home) == [marked]
    assert texts_of("titles.npz", tokenizer, home) == [marked + "<|endoftext|>\n"]


def test_folders_and_globs(home, tokenizer):
    for name in ("b.txt", "a.txt", "sub/c.txt", ".hidden/d.txt"):
        (home / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "data" / name).write_text(name)
    assert texts_of("data", tokenizer, home) == ["a.txt", "b.txt", "sub/c.txt"]
    assert texts_of("data/*.txt", tokenizer, home) == ["a.txt", "b.txt"]
    with pytest.raises(DataError, match=r"no file in 'storie\.txt'.*story\.txt"):
        texts_of("storie.txt", tokenizer, home)


@pytest.mark.parametrize(
    "arrays", [[np.zeros(3)], [np.array([10**6])], [np.array([["a"]])], [np.array([object()])]]
)
def test_a_file_that_is_no_encoded_text_is_refused(home, tokenizer, arrays):
    np.savez("bad.npz", *arrays)
    with pytest.raises(DataError, match=r"bad\.npz is no file of pre-encoded text"):
        texts_of("bad.npz", tokenizer, home)
