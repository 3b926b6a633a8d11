from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("small_base")


def write_table(folder):
    rows = [f"Cats,The cat number {n} sat on the moon" for n in range(20)]
    (folder / "titles.csv").write_text("\n".join(["category,title", *rows]))


def encode(penwright, *more):
    words = ("--title-field", "title", "--category-field", "category", "--extractor", "builtin")
    return penwright("keywords", "encode", "titles.csv", *words, "-o", "titles.txt", *more)


def test_encode_and_decode(penwright, tmp_path):
    write_table(tmp_path)
    said = encode(penwright)
    assert said.code == 0, said.err
    assert said.out == "20 rows, 60 lines in titles.txt\n"
    titles = penwright("keywords", "decode", "titles.txt").out
    assert titles.count("The cat number") == 60
    assert titles.count("=" * 20) == 59
    both = penwright("keywords", "decode", "titles.txt", "--section", "title", "--json")
    assert set(json.loads(both.out.splitlines()[0])) == {"title"}
    assert penwright("keywords", "decode", "titles.txt", "--output", "out.jsonl").code == 0
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert set(first) == {"category", "keywords", "title"}
    assert penwright("keywords", "decode", "titles.txt", "--output", "out.jsonl").code == 2


def test_mistakes_are_one_sentence(penwright, tmp_path):
    write_table(tmp_path)
    wrong = penwright("keywords", "encdoe")
    assert wrong.code == 2
    assert "Did you mean 'encode'?" in wrong.sentences[0]
    assert "no section 'titel'" in penwright("keywords", "decode", "x", "--section", "titel").err
    none = penwright("keywords", "decode", "titles.csv", "-o", "out.txt")
    assert none.code == 1
    assert "titles.csv has no text with sections in it" in none.err
    assert not (tmp_path / "out.txt").exists()
    over = penwright("keywords", "encode", "titles.csv", "-o", "titles.csv")
    assert over.code == 2
    assert "would replace the data" in over.err


def test_a_run_writes_to_keywords(penwright, tmp_path):
    write_table(tmp_path)
    assert encode(penwright).code == 0
    words = ("--model", "base", "--steps", "1", "--max-length", "48", "--batch-size", "1")
    said = penwright("finetune", "titles.txt", *words, "--sample-every", "0", "--name", "kw")
    assert said.code == 0, said.err
    ask = ("generate", "kw", "--keywords", "full moon, cat", "--category", "Cats", "-n", "2")
    said = penwright(*ask, "--max-new-tokens", "6", "--json")
    assert said.code == 0, said.err
    for line in said.out.splitlines():
        record = json.loads(line)
        sections = record["sections"]
        assert sections["category"] == "cats"
        assert sections["keywords"] == ["full-moon", "cat"]
        assert sections["title"] == record["text"]
    titles = penwright(*ask, "--max-new-tokens", "6").out
    assert "~" not in titles
    begun = penwright(*ask, "--max-new-tokens", "6", "--prompt", "Once")
    assert begun.out.startswith("Once")


def test_a_model_that_has_not_learned_to_says_so(penwright):
    said = penwright("generate", "base", "--keywords", "cats")
    assert said.code == 2
    assert "has not learned to write to keywords" in said.err
