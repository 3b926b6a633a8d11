"""GPT-2's tokenizer, an independent one to compare it with, and documents of every kind."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from penwright.document import Document, Source, Span
from penwright.tokens import Tokenizer, prepare

PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

SCALARS = st.text(st.characters(exclude_categories=["Cs"]))
"""Any text of Unicode scalar values."""
TRICKY = st.text(
    st.sampled_from(
        [*"'''sstmdrevlaLL   \n\n\t\r12!?-_^", *"éß日١²\u00a0\u2003\u0301’😀\x00\x1c\x85"]
    )
)
"""Texts made of what the pattern has rules for."""
TEXTS = SCALARS | TRICKY


@pytest.fixture(scope="session")
def gpt2() -> Tokenizer:
    return Tokenizer.gpt2()


@pytest.fixture(scope="session")
def peer(gpt2):
    """tiktoken with the same ranks."""
    tiktoken = pytest.importorskip("tiktoken", reason="needs tiktoken")
    tokens = gpt2.vocabulary.token_bytes[:-1]
    return tiktoken.Encoding(
        "gpt2-here",
        pat_str=PATTERN,
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={"<|endoftext|>": 50256},
    )


@pytest.fixture(scope="session")
def small() -> Tokenizer:
    """A tokenizer of 300 tokens, end of text first."""
    return Tokenizer.train(["the goose sat in the council chamber and asked for tea"] * 20, 300)


def document(
    *spans: tuple[str, bool] | str,
    line: int = 1,
    more: bool = False,
    group: str = "",
    alternative: bool = False,
) -> Document:
    """A document of spans; a bare string is learned."""
    made = tuple(Span(s) if isinstance(s, str) else Span(*s) for s in spans)
    return Document(made, Source("made.txt", line), more=more, group=group, alternative=alternative)


@pytest.fixture
def make_store(small, tmp_path):
    """`make_store(documents, **options)`: a store in a folder of its own."""
    count = iter(range(1000))

    def make(documents, tokenizer=small, **options):
        return prepare(documents, tokenizer, tmp_path / f"store{next(count)}", **options)

    return make


SPANS = st.lists(
    st.tuples(st.text("abc é\n", min_size=1, max_size=12), st.booleans()), min_size=1, max_size=4
).filter(lambda spans: any(learn for _, learn in spans))

DOCUMENTS = st.lists(SPANS.map(lambda spans: document(*spans)), min_size=1, max_size=12)
"""Data sets of short documents, each with something to learn."""
