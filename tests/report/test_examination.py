from __future__ import annotations

from html.parser import HTMLParser

from penwright.report.examination import render

FOUND = {
    "files": [
        {
            "path": "a/rows.csv",
            "format": "csv",
            "encoding": "utf-8",
            "line_ends": "CRLF",
            "says": "rows <b>",
        }
    ],
    "documents": 2,
    "words": 9,
    "tokens": 12,
    "learned": 14,
    "white_space": 0.125,
    "lengths": {"median": 6, "histogram": [{"low": 4, "high": 7, "count": 2}]},
    "duplicates": {"count": 1},
    "extremes": {"shortest": [["rows.csv:2", 5]], "longest": [["rows.csv:3", 7]]},
    "cut": {"longer": 1, "says": "documents side by side"},
    "costly": [{"character": "क", "tokens": 3, "count": 4}],
    "findings": [
        {
            "name": "duplicates",
            "says": "1 of 2 repeats <script>alert(1)</script>.",
            "fix": "Leave it out with --drop-duplicates.",
            "count": 7,
            "places": ["rows.csv:3"],
        }
    ],
    "windows": [
        {"documents": [[["read ", False], ["learned", True]], [["b", True]]], "padding": 3}
    ],
}


class Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self.count += tag == "script"


def test_everything_is_there_and_nothing_of_the_data_becomes_markup():
    page = render(FOUND)
    for text in (
        "rows.csv:3, and 6 more",
        "--drop-duplicates",
        "12.5%",
        "4 to 7",
        "क",
        "* * *",
        "csv, utf-8, CRLF line ends; rows &lt;b&gt;.",
    ):
        assert text in page
    assert '<span class="given">read </span>learned' in page
    parser = Scripts()
    parser.feed(page)
    assert parser.count == 1, "the page's own"
    assert render(FOUND) == page


def test_a_clean_text_says_so():
    assert "Nothing looks wrong" in render({**FOUND, "findings": [], "costly": []})
