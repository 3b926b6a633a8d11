from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright.config import DataConfig
from penwright.document import Span
from penwright.errors import DataError, UsageError
from penwright.formats.rows import choose_layout, first_words, pair_layout, parse_template

ROW = {"prompt": "Why?", "story": "Because.", "mood": "sad"}


@given(text=st.text(), count=st.integers(1, 20))
def test_first_words(text: str, count: int) -> None:
    kept = first_words(text, count)
    assert text.startswith(kept)
    assert kept.split() == text.split()[:count]
    assert len(text.split()) < count or kept == kept.rstrip() or kept == text


@pytest.mark.parametrize(
    ("template", "learn", "spans"),
    [
        ("{prompt} <sep> {story}", (), [("Why? <sep>", False), (" Because.", True)]),
        ("{prompt}\\n\\n{story}", (), [("Why?\n\n", False), ("Because.", True)]),
        ("{prompt} {story}", ("all",), [("Why? Because.", True)]),
        ("{prompt} {story}", ("prompt", "story"), [("Why? Because.", True)]),
        ("{prompt} ({mood}) {story}.", ("story",), [("Why? (sad)", False), (" Because..", True)]),
        ("{prompt} | {story}", ("prompt",), [("Why? | ", True), ("Because.", False)]),
        ("{{{mood}}}", (), [("{", False), ("sad}", True)]),
        ("Title: {story}", (), [("Title:", False), (" Because.", True)]),
    ],
)
def test_templates(template: str, learn: tuple[str, ...], spans: list[tuple[str, bool]]) -> None:
    assert parse_template(template, learn).spans(ROW) == tuple(Span(*span) for span in spans)


@given(
    literals=st.lists(st.text(st.sampled_from("ab {}\n")), min_size=3, max_size=3),
    values=st.lists(st.text(), min_size=2, max_size=2),
)
def test_a_template_loses_nothing(literals: list[str], values: list[str]) -> None:
    a, b, c = (text.replace("{", "{{").replace("}", "}}") for text in literals)
    layout = parse_template(f"{a}{{x}}{b}{{y}}{c}", ())
    spans = layout.spans(dict(zip("xy", values, strict=True)))
    assert "".join(span.text for span in spans) == (
        literals[0] + values[0] + literals[1] + values[1] + literals[2]
    )
    assert all(span.text for span in spans)
    assert parse_template(layout.template, layout.learned).template == layout.template


@pytest.mark.parametrize(
    ("prompt", "completion", "separator", "learned"),
    [
        ("a series of", "seven", None, " seven"),
        ("a series of", " seven", None, " seven"),
        ("a series of ", "seven", None, " seven"),
        ("a series of\n", "seven", None, "seven"),
        ("a series of", "seven", "", "seven"),
        ("a series of", "seven", " <sep> ", " seven"),
        ("", "seven", None, "seven"),
    ],
)
def test_a_prompt_and_its_completion_never_glue_together(
    prompt: str, completion: str, separator: str | None, learned: str
) -> None:
    layout = pair_layout("p", "c", separator)
    spans = layout.spans({"p": prompt, "c": completion})
    assert spans[-1] == Span(learned, True)
    assert [span.learn for span in spans] == ([False, True] if prompt else [True])


def test_prompt_formats() -> None:
    assert pair_layout("p", "c", " <sep> ").prompt_format == "{prompt} <sep>"
    assert pair_layout("p", "c", None).prompt_format == "{prompt}"
    assert parse_template("Q: {q}\nA: {a}", ()).prompt_format == "Q: {prompt}\nA:"
    assert parse_template("{q} ({m}) {a}", ()).prompt_format == "{q} ({m})"
    assert parse_template("Title: {a}", ()).prompt_format == "Title: {prompt}"
    assert parse_template("{a}", ()).prompt_format is None


def choose(*names: str, **options: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    sample = [dict.fromkeys(names, "short") | {"long one": "a much longer text than others"}]
    layout = choose_layout("f.csv", names, sample, DataConfig(**options))  # type: ignore[arg-type]
    return layout.columns, layout.learned


def test_columns_choose_themselves() -> None:
    assert choose("subreddit", "title") == (("title",), ("title",))
    assert choose("id", "Prompt", "Story") == (("Prompt", "Story"), ("Story",))
    assert choose("question", "answer", "text") == (("question", "answer"), ("answer",))
    assert choose("anything") == (("anything",), ("anything",))
    assert choose("x", "long one") == (("long one",), ("long one",))
    assert choose("prompt", "story", learn=("all",))[1] == ("prompt", "story")
    assert choose("prompt", "mine", prompt_column="mine", completion_column="prompt")[0] == (
        "mine",
        "prompt",
    )
    assert choose("prompt", "story", prompt_column="prompt")[1] == ("story",)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"text_column": "tittle"}, "no column 'tittle'. Did you mean 'title'"),
        ({"text_column": "zzz"}, "Its columns are: subreddit, title"),
        ({"template": "{titel}"}, "no column 'titel'"),
        ({"prompt_column": "subreddit"}, "--prompt-column needs --completion-column"),
        ({"completion_column": "title"}, "--completion-column needs --prompt-column"),
        ({"template": "nothing"}, "names no column"),
        ({"template": "{title"}, "cannot be read"),
        ({"template": "{title!r}"}, "cannot be read"),
        ({"template": "{title}", "learn": ("subredit",)}, "no column 'subredit' to learn"),
        ({"template": "{title}", "text_column": "title"}, "one or the other"),
    ],
)
def test_columns_that_cannot_be(options: dict[str, object], error: str) -> None:
    with pytest.raises((DataError, UsageError), match=re.escape(error)):
        choose("subreddit", "title", **options)


LONG = "It was the first time that anyone had seen number {} walk home alone."


def guess(**columns: str) -> tuple[str, ...]:
    """The columns that are chosen for rows of these values, {} being the row's number."""
    rows = [
        {name: value.format(number) for name, value in columns.items()} for number in range(10, 16)
    ]
    return choose_layout("f.csv", [*columns], rows, DataConfig()).columns


def test_values_count_more_than_names() -> None:
    """Exports as they are: the tweets, songs, posts and answers are found, labels are not."""
    phone = '<a href="https://a.example/iphone">Twitter for iPhone</a>'
    assert guess(tweet_id="88{}", source=phone, text="Day {} of lunch") == ("text",)
    assert guess(source="https://a.example/{}", text="Day {} of lunch") == ("text",)
    assert guess(title="Song {}", lyric_body=LONG) == ("lyric_body",)
    assert guess(title="Post {} and more", selftext=LONG, url="https://a.example/" + "p" * 300) == (
        "selftext",
    )
    assert guess(text="{}", content=LONG) == ("content",)
    assert guess(text="ok {}", summary=LONG) == ("summary",)
    assert guess(text="Some words, {}", entities='[{{"tag": "{0}"}}]'.replace("{0}", "y") * 30) == (
        "text",
    )
    assert guess(date="2024-01-{}", joke="Why {}?", score="{}") == ("joke",)
    assert guess(country="The United States of America", blurb="Village {}") == ("blurb",)


def test_a_constant_is_no_prompt() -> None:
    assert guess(prompt="Write a poem:", completion=LONG) == ("completion",)
    assert guess(prompt="Poem {}:", completion=LONG) == ("prompt", "completion")
    assert guess(question="{} + 1?", answer="{}") == ("question", "answer")
    assert guess(context="News of {}", response=LONG) == ("context", "response")
    assert guess(input="", output=LONG) == ("output",)


def test_no_clear_column() -> None:
    with pytest.raises(DataError, match=r"clearly the text. Name it with --text-column"):
        choose("x", "y")
