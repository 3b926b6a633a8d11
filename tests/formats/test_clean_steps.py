from __future__ import annotations

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.formats.clean_steps import squeeze, straighten_quotes, strip_gutenberg, unwrap

PARAGRAPHS = [
    "The ferry was late again, and the children had begun to throw stones at the buoy. Nobody "
    "told them to stop, since nobody had anything better to do until the tide turned.",
    '"Where is he?" asked Mara. She had brought a lamp, two loaves and the wrong umbrella, and '
    "she would not say which of them she was sorry for.",
    '"Gone," said the boy.',
    "It was the third time that summer. The harbour master wrote it into his book, under the "
    "herring, where he wrote whatever he could not sell.",
    "Rain fell.",
]


@pytest.mark.parametrize("indent", ["", "      "])
@pytest.mark.parametrize("width", [40, 60, 79])
def test_paragraphs_between_blank_lines_come_back_whole(width: int, indent: str) -> None:
    wrapped = [
        textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)
        for text in PARAGRAPHS
    ]
    assert unwrap("\n\n\n".join(wrapped)) == "\n\n".join(PARAGRAPHS)


def test_paragraphs_without_blank_lines_end_with_a_short_line() -> None:
    wrapped = [textwrap.fill(text, 66) for text in PARAGRAPHS * 15]
    assert unwrap("\n".join(wrapped)) == "\n\n".join(PARAGRAPHS * 15)


def test_a_paragraph_in_each_line_gets_blank_lines() -> None:
    long = [" ".join(PARAGRAPHS)] * 60
    assert unwrap("\n".join(long)) == "\n\n".join(long)


def test_verse_and_headings_keep_their_lines() -> None:
    verse = "Low tide, low tide,\nThe boats lie on their side.\nHigh water, high water,\nSo does"
    poem = "\n\n".join([verse] * 4)
    assert unwrap(poem) == poem
    prose = "\n\n".join(textwrap.fill(text, 60) for text in PARAGRAPHS)
    text = f"CHAPTER I\nThe Ferry\n\n{prose}\n\n{textwrap.indent(verse, '    ')}"
    assert unwrap(text) == "\n\n".join(["CHAPTER I\nThe Ferry", *PARAGRAPHS, verse])


def test_a_hyphen_or_a_dash_joins_its_words() -> None:
    text = f"{textwrap.fill(PARAGRAPHS[0], 50)}\nand the well-\nknown bell rang--\nthree times."
    assert unwrap(text).endswith("and the well-known bell rang--three times.")


@settings(max_examples=60)
@given(st.lists(st.text(st.sampled_from("ab.,A \n-"), max_size=90), max_size=12).map("\n".join))
def test_unwrapping_moves_nothing_but_white_space(text: str) -> None:
    once = unwrap(text)
    assert "".join(once.split()) == "".join(text.split())


@given(st.lists(st.sampled_from(PARAGRAPHS), min_size=1, max_size=6))
def test_an_unwrapped_text_stays_as_it_is(paragraphs: list[str]) -> None:
    text = unwrap("\n\n".join(textwrap.fill(paragraph, 60) for paragraph in paragraphs))
    assert unwrap(text) == text


def test_quotes_are_straightened() -> None:
    assert straighten_quotes("“It’s ‘his’ „boat‟,” he said") == '"It\'s \'his\' "boat"," he said'


def test_what_a_transcriber_adds_to_a_book_goes() -> None:
    story = "\n\n".join(PARAGRAPHS * 12)
    book = (
        "The Project Gutenberg eBook of The Ferry\n\nThis eBook is for anyone.\n\n"
        "*** START OF THE PROJECT GUTENBERG EBOOK THE FERRY ***\n\n"
        "Produced by Ann Other and\nthe Online Team\n\n\n"
        "[Transcriber's Note: This etext was\nproduced from a magazine.]\n\n"
        f"{story}\n\n[Illustration: The buoy,\nfrom the _sea_]\n\n"
        "He was _very\nlate_[1], and snake_case_names stay.\n\nTHE END\n\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK THE FERRY ***\n\nLicence text."
    )
    cleaned = squeeze(strip_gutenberg(book)).strip()
    assert cleaned == f"{story}\n\nHe was very\nlate, and snake_case_names stay.\n\nTHE END"
    edge = f"+{'-' * 22}+"
    boxed = f"{story}\n\n{edge}\n| Transcriber's Note   |\n| A comma was added.   |\n{edge}"
    assert strip_gutenberg(boxed).strip() == story
    loose = f"{story}\n\n\nTRANSCRIBER’S NOTES:\n\nItalics are _so_.\n"
    assert strip_gutenberg(loose).strip() == story


def test_a_story_about_a_transcriber_or_gutenberg_stays() -> None:
    story = "\n\n".join([*PARAGRAPHS * 12, "Gutenberg printed it. The transcriber noted that."])
    assert strip_gutenberg(story) == story
