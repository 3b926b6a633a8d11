from __future__ import annotations

import pytest

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Span
from penwright.errors import DataError, UsageError
from penwright.sections import build_line

TEXTS = [
    {"category": "cats", "keywords": "my-soul soul", "title": '"My" soul'},
    {"category": "dogs", "keywords": "", "title": "A ~@ in\na title"},
]


def write(tmp_path, lines):
    path = tmp_path / "titles.txt"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_a_file_is_known_by_its_beginning(tmp_path, read):
    path = write(tmp_path, map(build_line, TEXTS))
    assert formats.detect(path) == "keywords"
    plan = formats.describe([path], DataConfig())
    assert plan.sections == ("category", "keywords", "title")
    assert plan.form == {"prompt_format": None, "sections": ["category", "keywords", "title"]}
    first, second = read(path)
    # Cut where the title begins, so that its tokens are those that follow a prefix.
    assert first.spans == (Span("~`cats~^my-soul soul~@"), Span('"My" soul'))
    assert second.text == "~`dogs~^~@A ~\\@ in\na title"
    assert first.fields == {"category": "cats", "keywords": "my-soul soul"}
    assert (first.source.line, second.source.line) == (1, 2)


def test_only_the_title_may_be_learned(tmp_path, read):
    path = write(tmp_path, map(build_line, TEXTS))
    first, _ = read(path, learn=("title",))
    assert first.spans == (Span("~`cats~^my-soul soul~@", False), Span('"My" soul', True))
    with pytest.raises(UsageError, match=r"no section 'body'\. It has: category, keywords and"):
        read(path, learn=("body",))


def test_plain_rules_win_where_they_are_given(tmp_path, read):
    path = write(tmp_path, map(build_line, TEXTS))
    assert read(path, documents="line")[0].text.startswith("<|startoftext|>~`cats")


def test_what_has_no_sections_is_left_out_and_said(tmp_path, read, warnings):
    lines = [*map(build_line, TEXTS), "=" * 20 + "\n", "<|startoftext|>stray<|endoftext|>\n"]
    assert len(read(write(tmp_path, lines))) == 2
    assert len(warnings) == 1
    assert "1 text was left out" in warnings[0]


def test_a_file_without_any_is_refused(tmp_path, read):
    with pytest.raises(DataError, match="keywords encode"):
        read(write(tmp_path, ["just text"]), format="keywords")
