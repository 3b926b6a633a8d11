"""What is learned of each format, token by token: as runs of text with and without loss."""

from __future__ import annotations

import gzip
import json
import zipfile
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch

from penwright import formats
from penwright.config import DataConfig
from penwright.model import GPT2, GPT2Config, documents, init_weights
from penwright.sections import build_line
from penwright.tokens import BatchSchedule, Split, Store, Tokenizer, prepare

END = "<|endoftext|>"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.gpt2()


def encode(folder: Path, tokenizer: Tokenizer, path: Path, **options: object) -> Store:
    data = DataConfig(**options)  # type: ignore[arg-type]
    return prepare(formats.read([path], data, print), tokenizer, folder / "store")


def runs(store: Store, tokenizer: Tokenizer) -> list[list[tuple[str, bool]]]:
    """Each document as stretches of tokens of one kind; its end-of-text tokens by themselves."""
    found = []
    for a, b in zip(store.offsets[:-1].tolist(), store.offsets[1:].tolist(), strict=True):
        pairs = list(zip(store.tokens(a, b).tolist(), store.learn(a, b).tolist(), strict=True))
        kinds = groupby(pairs, key=lambda pair: (pair[0] == store.eot_id, pair[1]))
        found.append([(tokenizer.decode([i for i, _ in group]), kind[1]) for kind, group in kinds])
    return found


def document(*parts: tuple[str, bool]) -> list[tuple[str, bool]]:
    """The first end-of-text token is context, the last is learned."""
    return [(END, False), *parts, (END, True)]


def write_docx(path: Path) -> None:
    page = "<w:body><w:p><w:r><w:t>A page.</w:t></w:r></w:p></w:body>"
    body = f'<w:document xmlns:w="{WORD}">{page}</w:document>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", body)


def write_epub(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        root = '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>'
        archive.writestr("META-INF/container.xml", root)
        items = (
            '<manifest><item id="a" href="a.html"/></manifest><spine><itemref idref="a"/></spine>'
        )
        archive.writestr("b.opf", f"<package>{items}</package>")
        archive.writestr("a.html", "<html><body><p>A page.</p></body></html>")


def write_npz(path: Path) -> None:
    np.savez(path, np.array(Tokenizer.gpt2().encode("A page."), dtype=np.uint16))


def write_parquet(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"prompt": ["Ask"], "completion": ["Tell."]}), path)


ROW = {"prompt": "Ask", "completion": "Tell."}
COQA = {
    "version": "1.0",
    "data": [
        {
            "story": "A story.",
            "questions": [
                {"turn_id": 1, "input_text": "Who?"},
                {"turn_id": 2, "input_text": "Why?"},
            ],
            "answers": [
                {"turn_id": 1, "input_text": "Ann", "span_text": "Ann"},
                {"turn_id": 2, "input_text": "Fun", "span_text": "fun"},
            ],
        }
    ],
}
KEYWORDS = build_line({"category": "c", "keywords": "k", "title": "A page."})
STORY = "An article.\n\n@highlight\n\nIt is short.\n"
PAGE = document(("A page.", True))
PAIR = document(("Ask", False), (" Tell.", True))

CASES = {
    "text": ("a.txt", "A page.", {}, [PAGE]),
    "text-marked": ("a.txt", f"A page.{END}Two.", {}, [PAGE, document(("Two.", True))]),
    "text-lines": (
        "a.txt",
        "A page.\nTwo.\n",
        {"documents": "line"},
        [PAGE, document(("Two.", True))],
    ),
    "started": ("a.txt", f"<|startoftext|>A page.{END}\n", {}, [PAGE]),
    "gzip": ("a.txt.gz", gzip.compress(b"A page."), {}, [PAGE]),
    "markdown": ("a.md", "# A\n", {}, [document(("# A", True))]),
    "docx": ("a.docx", write_docx, {}, [PAGE]),
    "epub": ("a.epub", write_epub, {}, [PAGE]),
    "npz": ("a.npz", write_npz, {}, [PAGE]),
    "csv": ("a.csv", "title\nA page.\n", {"header": True}, [PAGE]),
    "csv-pair": ("a.csv", "prompt,completion\nAsk,Tell.\n", {}, [PAIR]),
    "tsv-learn-all": (
        "a.tsv",
        "prompt\tcompletion\nAsk\tTell.\n",
        {"learn": ("all",)},
        [document(("Ask Tell.", True))],
    ),
    "jsonl": ("a.jsonl", json.dumps(ROW), {}, [PAIR]),
    "json": ("a.json", json.dumps([ROW]), {}, [PAIR]),
    "parquet": ("a.parquet", write_parquet, {}, [PAIR]),
    "template": (
        "a.jsonl",
        json.dumps(ROW),
        {"template": "Q: {prompt}\\nA: {completion}!"},
        [document(("Q: Ask\nA:", False), (" Tell.!", True))],
    ),
    "template-learn-prompt": (
        "a.jsonl",
        json.dumps(ROW),
        {"template": "{prompt} <sep> {completion}", "learn": ("prompt",)},
        [document(("Ask <sep> ", True), ("Tell.", False))],
    ),
    "story": (
        "a.story",
        STORY,
        {},
        [document(("An article.\nTL;DR:\n", False), ("It is short.", True))],
    ),
    "coqa": (
        "a.json",
        json.dumps(COQA),
        {},
        [
            document(
                ("A story.\nQ: Who?\nA:", False),
                (" Ann", True),
                ("\nQ: Why?\nA:", False),
                (" Fun", True),
            )
        ],
    ),
    "coqa-learn-all": (
        "a.json",
        json.dumps(COQA),
        {"learn": ("all",)},
        [document(("A story.\nQ: Who?\nA: Ann\nQ: Why?\nA: Fun", True))],
    ),
    "keywords": ("a.txt", KEYWORDS, {}, [document(("~`c~^k~@A page.", True))]),
    "keywords-title": (
        "a.txt",
        KEYWORDS,
        {"learn": ("title",)},
        [document(("~`c~^k~@", False), ("A page.", True))],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_learned(tmp_path, tokenizer, name):
    file, content, options, expected = CASES[name]
    path = tmp_path / file
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        content(path)
    assert runs(encode(tmp_path, tokenizer, path, **options), tokenizer) == expected


def test_prompt_and_story_files(tmp_path, tokenizer):
    (tmp_path / "a.wp_source").write_text("[ WP ] Ask\n")
    (tmp_path / "a.wp_target").write_text("One two three four\n")
    store = encode(tmp_path, tokenizer, tmp_path / "a", separator=" <sep> ", max_words=3)
    assert runs(store, tokenizer) == [
        document(("[ WP ] Ask <sep>", False), (" One two three", True))
    ]


@pytest.mark.parametrize("shape", ["packed", "rows", "windows"])
def test_targets_are_what_is_learned_and_padding_never_is(tmp_path, tokenizer, shape):
    rows = [{"prompt": f"Ask {n}", "completion": "Tell " * (n + 1)} for n in range(7)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    store = encode(tmp_path, tokenizer, path)
    plan = BatchSchedule(Split.whole(store), shape, 3, 24, 1)
    seen = 0
    for step in range(plan.steps_per_epoch):
        batch = plan.batch(step)
        seen += batch.n_learned
        padding = batch.documents_BT < 0
        assert (batch.targets_BT[padding] == -100).all()
        # A learned target is the token that follows in the same document, or closes it.
        learned = batch.targets_BT[:, :-1] != -100
        same = batch.documents_BT[:, 1:] == batch.documents_BT[:, :-1]
        following = batch.tokens_BT[:, 1:] == batch.targets_BT[:, :-1]
        closing = batch.targets_BT[:, :-1] == store.eot_id
        assert (following | closing | ~learned | ~same).all()
        assert (closing | following)[learned].all()
    if shape != "windows":
        assert seen == store.n_learned


def test_a_document_never_sees_the_one_before_it(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    path.write_text("One two three.\nFour five six.\n")
    store = encode(tmp_path, tokenizer, path, documents="line")
    batch = BatchSchedule(Split.whole(store), "packed", 1, 16, 0).batch(0)
    model = GPT2(GPT2Config(n_positions=16, n_embd=16, n_layer=2, n_head=2)).eval()
    init_weights(model, 1)

    def hidden(tokens: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return model(tokens, batch.positions_BT, documents(batch.documents_BT))

    second = batch.documents_BT[0] == 1
    assert second.any()
    other = batch.tokens_BT.clone()
    other[0, ~second] = (other[0, ~second] + 7) % 50257
    assert torch.equal(hidden(batch.tokens_BT)[0, second], hidden(other)[0, second])
    assert not torch.equal(hidden(batch.tokens_BT)[0, ~second], hidden(other)[0, ~second])
