from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Span
from penwright.errors import DataError

from .conftest import Read

STORY = "Rain fell.\n\nIt was wet.\n\n@highlight\n\nIt rained\n\n@highlight\n\nPeople got wet\n"
LINE = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(
    lambda text: bool(text.strip()) and "@highlight" not in text
)


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    for i, text in enumerate([STORY, "Only text.\n", "Sun.\n@highlight It shone\n"]):
        name = hashlib.sha1(f"http://x/{i}".encode()).hexdigest()
        (tmp_path / f"{name}.story").write_text(text)
    return tmp_path


def test_golden(stories: Path, read: Read, warnings: list[str]) -> None:
    found = {d.text: d for d in read(stories, highlights="all")}
    assert set(found) == {
        "Rain fell.\n\nIt was wet.\nTL;DR:\nIt rained",
        "Rain fell.\n\nIt was wet.\nTL;DR:\nPeople got wet",
        "Sun.\nTL;DR:\nIt shone",
    }
    assert found["Sun.\nTL;DR:\nIt shone"].spans == (
        Span("Sun.\nTL;DR:\n", False),
        Span("It shone", True),
    )
    (warning,) = warnings
    assert warning.endswith("1 story has no highlights or no article and was left out.")


def test_highlights_are_alternatives_in_an_order_of_the_name(stories: Path, read: Read) -> None:
    first, again = read(stories), read(stories)
    assert first == again
    assert sorted(d.learned for d in first) == ["It rained", "It shone", "People got wet"]
    assert all(d.alternative and d.group for d in first)
    assert not any(d.alternative for d in read(stories, highlights="all"))
    joined = [d.learned for d in read(stories, highlights="joined")]
    assert sorted(joined) == ["It rained\nPeople got wet", "It shone"]


def test_a_list_of_addresses_chooses(stories: Path, read: Read) -> None:
    urls = stories / "wanted_urls.list"
    urls.write_text("http://x/2\n\nhttp://x/9\n")
    assert [d.learned for d in read(stories, urls=str(urls))] == ["It shone"]
    urls.write_text("http://x/9\n")
    with pytest.raises(DataError, match="belongs to an address"):
        read(stories, urls=str(urls))


@given(
    article=st.lists(LINE, min_size=1), highlights=st.lists(LINE, min_size=1), below=st.booleans()
)
def test_nothing_of_a_story_is_lost(
    tmp_path_factory: pytest.TempPathFactory, article: list[str], highlights: list[str], below: bool
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.story"
    mark = "\n\n@highlight\n\n" if below else "\n@highlight "
    path.write_text("\n\n".join(article) + "".join(mark + text for text in highlights), "utf-8")
    found = list(formats.read([path], DataConfig(highlights="all", encoding="utf-8"), print))
    assert [d.learned.strip() for d in found] == [text.strip() for text in highlights]
    assert all(d.text.startswith("\n\n".join(article).strip()) for d in found)


@pytest.mark.parametrize(
    "text",
    [
        "Sun.\n\n@highlight\n\nIt shone\n\n@highlight\n\nAll day\n",
        "Sun. @highlight\n\nIt shone @highlight\n\nAll day",
        "Sun.@highlight It shone@highlight All day",
        "Sun.\r\n  @highlight\r\nIt shone\r\n@highlight All day\r\n",
    ],
)
def test_highlights_are_found_wherever_they_are_marked(
    tmp_path: Path, read: Read, text: str
) -> None:
    (tmp_path / "a.story").write_bytes(text.encode())
    texts = [document.text for document in read(tmp_path / "a.story", highlights="all")]
    assert texts == ["Sun.\nTL;DR:\nIt shone", "Sun.\nTL;DR:\nAll day"]


def test_an_address_marks_no_highlight(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.story").write_text("Write to me@highlight.example.\n@highlight\nMail\n")
    (document,) = read(tmp_path / "a.story")
    assert document.text == "Write to me@highlight.example.\nTL;DR:\nMail"


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("No highlights.", {}, "has no text to learn from"),
        (STORY, {"template": "{article} {summary}"}, "A .story file has no 'summary'"),
    ],
)
def test_bad_stories(
    tmp_path: Path, read: Read, text: str, options: dict[str, object], error: str
) -> None:
    (tmp_path / "a.story").write_text(text)
    with pytest.raises(DataError, match=re.escape(error)):
        read(tmp_path / "a.story", **options)
