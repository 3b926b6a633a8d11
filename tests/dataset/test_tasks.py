"""Prompts and what follows them, taken back out of the tokens of a store."""

from __future__ import annotations

import json

import pytest

from penwright import formats
from penwright.config import DataConfig
from penwright.dataset.tasks import Task, check_tasks, find_tasks, with_prompts
from penwright.errors import UsageError
from penwright.sections import build_line
from penwright.tokens import Split, Tokenizer, prepare
from penwright.verbs.recipe_file import SAMPLES


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.gpt2()


def tasks(folder, tokenizer, path, documents=None, **options):
    data = with_prompts(DataConfig(**options))
    store = prepare(formats.read([path], data, print), tokenizer, folder / "store")
    return find_tasks(Split.whole(store), tokenizer, documents)


def test_a_pair_is_one_task_even_where_all_is_learned(tmp_path, tokenizer):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "Ask", "completion": "Tell."}\n')
    expected = [Task(0, "Ask", (" Tell.",))]
    assert tasks(tmp_path / "a", tokenizer, path) == expected
    assert tasks(tmp_path / "b", tokenizer, path, learn=("all",)) == expected


def test_a_dialogue_has_a_task_a_turn_after_the_true_answers(tmp_path, tokenizer):
    asked = [{"turn_id": i, "input_text": text} for i, text in ((1, "Who?"), (2, "Why?"))]
    told = [{"turn_id": i, "input_text": text} for i, text in ((1, "Ann"), (2, "Fun"))]
    path = tmp_path / "a.json"
    item = {"story": "A story.", "questions": asked, "answers": told}
    path.write_text(json.dumps({"version": "1.0", "data": [item]}))
    assert tasks(tmp_path, tokenizer, path) == [
        Task(0, "A story.\nQ: Who?\nA:", (" Ann",)),
        Task(0, "A story.\nQ: Who?\nA: Ann\nQ: Why?\nA:", (" Fun",)),
    ]


def test_a_text_with_keywords_is_written_from_its_title_on(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    lines = [
        build_line({"category": "c", "keywords": "my-goose tea", "title": "A goose"}),
        build_line({"keywords": "", "title": "Nothing asked"}),
    ]
    path.write_text("".join(lines))
    assert tasks(tmp_path, tokenizer, path) == [
        Task(0, "~`c~^my-goose tea~@", ("A goose",), ("my-goose", "tea")),
        Task(1, "~^~@", ("Nothing asked",)),
    ]


def test_plain_text_has_no_tasks(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    path.write_text("Once there was ~@ a goose.")
    found = tasks(tmp_path, tokenizer, path)
    assert found == []
    with pytest.raises(UsageError, match=r"no prompts in this data to measure rouge"):
        check_tasks(found, ["rouge"], keywords=False)
    with pytest.raises(UsageError, match="no keywords"):
        check_tasks([Task(0, "a", ("b",))], ["keywords"], keywords=True)


@pytest.mark.parametrize("learn", [(), ("all",)])
def test_the_tokens_at_the_border_of_prompt_and_story_are_those_of_the_whole_text(
    tmp_path, tokenizer, learn
):
    data = DataConfig(separator=" <sep> ", max_words=300, clean=("spaces",), learn=learn)
    path = SAMPLES / "stories.wp_source"
    documents = list(formats.read([path], data, print))
    store = prepare(iter(documents), tokenizer, tmp_path / "store")
    for number, document in enumerate(documents):
        tokens = store.tokens(*store.offsets[number : number + 2].tolist()).tolist()
        assert tokens[1:-1] == tokenizer.encode(document.text)
    asked = find_tasks(Split.whole(store), tokenizer)
    assert len(asked) == (0 if learn else len(documents))
    for task, document in zip(asked, documents, strict=False):
        assert task.prompt + task.references[0] == document.text
        assert task.prompt.endswith(" <sep>")
        joint = tokenizer.encode(document.text)
        assert tokenizer.encode(task.prompt) + tokenizer.encode(task.references[0]) == joint
