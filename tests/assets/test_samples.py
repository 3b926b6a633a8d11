"""The sample texts keep the promises that the documentation makes of them."""

from __future__ import annotations

import csv
import json
import string
from collections import Counter
from importlib.resources import files

SAMPLES = files("penwright") / "assets" / "samples"


def words(text):
    return [bare for word in text.lower().split() if (bare := word.strip(string.punctuation))]


def stories():
    lines = (SAMPLES / "hill.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def line_files():
    """The prompts and the stories of the two line files."""
    return [
        (SAMPLES / f"stories.wp_{end}").read_text(encoding="utf-8").splitlines()
        for end in ("source", "target")
    ]


def shared_runs(texts, length=8):
    """Runs of `length` words that stand in more than one text."""
    owners = Counter()
    for text in texts:
        found = words(text)
        owners.update({tuple(found[i : i + length]) for i in range(len(found) - length + 1)})
    return [" ".join(run) for run, count in owners.items() if count > 1]


def test_the_stories_of_the_hill_are_many_plain_and_distinct():
    found = stories()
    assert len(found) >= 900
    assert all(list(story) == ["prompt", "story"] for story in found)
    assert all(70 <= len(story["story"].split()) <= 120 for story in found)
    assert len({story["prompt"] for story in found}) == len(found)
    assert shared_runs((story["story"] for story in found), length=12) == []
    assert all("supper" in story["story"].splitlines()[-1] for story in found)
    assert len({word for story in found for word in words(story["story"])}) <= 2500


def test_the_line_files_hold_a_prompt_and_a_story_a_line():
    sources, targets = line_files()
    told = [target.replace(" <newline> ", "\n") for target in targets]
    assert len(sources) == len(set(sources)) == len(told) >= 120
    assert all(source.startswith("[ WP ] ") for source in sources)
    assert all(100 <= len(story.split()) <= 250 for story in told)
    assert shared_runs(told) == []
    assert len({word for story in told for word in words(story)}) >= 3000


def test_the_titles_have_enough_categories():
    rows = list(csv.DictReader((SAMPLES / "titles.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) >= 300
    assert len({row["category"] for row in rows}) >= 12
    assert len({row["title"] for row in rows}) == len(rows)


def test_the_screenplay_is_long_and_formatted():
    text = (SAMPLES / "screenplay.txt").read_text(encoding="utf-8")
    assert len(text.split()) >= 3000
    assert sum(line.startswith(("INT. ", "EXT. ")) for line in text.splitlines()) >= 10
    assert text.startswith("FADE IN:")


def test_the_articles_have_highlights_and_share_no_passages():
    articles = [
        path.read_text(encoding="utf-8")
        for path in (SAMPLES / "articles").iterdir()
        if path.name.endswith(".story")
    ]
    assert len(articles) >= 80
    bodies = [article.split("@highlight")[0] for article in articles]
    assert all(150 <= len(body.split()) <= 250 for body in bodies)
    assert all(article.count("@highlight\n\n") in (3, 4) for article in articles)
    assert shared_runs(articles) == []


def test_every_answer_of_the_dialogues_stands_in_its_passage():
    passages = json.loads((SAMPLES / "dialogues.json").read_text(encoding="utf-8"))["data"]
    assert len(passages) >= 60
    for passage in passages:
        assert 3 <= len(passage["questions"]) == len(passage["answers"]) <= 6
        for answer in passage["answers"]:
            span = passage["story"][answer["span_start"] : answer["span_end"]]
            assert span == answer["span_text"]


def test_the_sitcom_has_episodes_in_script_form():
    episodes = sorted(path.name for path in (SAMPLES / "sitcom").iterdir())
    assert len(episodes) >= 6
    for name in episodes:
        lines = (SAMPLES / "sitcom" / name).read_text(encoding="utf-8").splitlines()
        spoken = [line for line in lines if line.split(":")[0].split("(")[0].strip().isupper()]
        assert len(spoken) > 10, name
