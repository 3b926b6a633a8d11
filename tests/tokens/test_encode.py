"""Preparing: the same bytes by any number of workers, after any interruption; nothing by halves."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penwright.config import WorkConfig
from penwright.errors import DataError, OutOfRoomError
from penwright.tokens import Tokenizer, blocks, prepare
from tests.tokens.conftest import DOCUMENTS, document


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def made(n: int, seed: int = 0) -> list:
    """Documents of very unequal lengths, some in pieces."""
    chance = random.Random(seed)
    found = []
    for number in range(n):
        pieces = [f"{number} words é " * chance.randint(1, 60) for _ in range(chance.randint(1, 3))]
        for index, piece in enumerate(pieces):
            context = (f"prompt {number}", False)
            spans = (piece,) if index else (context, " " + piece)
            more = index < len(pieces) - 1
            found.append(document(*spans, line=number + 1, more=more, group=str(number // 3)))
    return found


@pytest.fixture
def tiny_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 500)


class Stop(BaseException):
    """What interrupts: neither an error of ours nor of the system."""


def until(documents, stop: int):
    yield from documents[:stop]
    raise Stop


def test_a_document_may_come_in_pieces(small, tmp_path):
    parts = ["It was late.", " It was\n", "\ndark", " and 'late'"]
    whole = prepare([document("".join(parts))], small, tmp_path / "whole")
    pieces = [document(part, more=part != parts[-1]) for part in parts]
    cut = prepare(pieces, small, tmp_path / "cut")
    assert contents(whole.folder) == contents(cut.folder)
    assert cut.n_documents == 1


@settings(max_examples=25, deadline=None)
@given(DOCUMENTS, st.integers(1, 30), st.integers(1, 30))
def test_how_documents_are_grouped_never_shows(small, tmp_path_factory, documents, block, most):
    folder = tmp_path_factory.mktemp("p")
    plain = prepare(documents, small, folder / "a", shard_tokens=17)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(blocks, "_MOST_DOCUMENTS", most)
        grouped = prepare(documents, small, folder / "b", shard_tokens=17)
    assert contents(plain.folder) == contents(grouped.folder)


def test_long_documents_are_encoded_in_portions(small, tmp_path, monkeypatch):
    documents = [document(("ask " * 300, False), " Say it's so. " * 900, "!" * 4000)]
    plain = prepare(documents, small, tmp_path / "a")
    monkeypatch.setattr(blocks, "BLOCK", 500)
    portions = list(blocks.group(documents, small.word_ends))
    assert len(portions) > 10
    assert all(len(batch.texts) == 1 for batch in portions)
    assert contents(prepare(documents, small, tmp_path / "b").folder) == contents(plain.folder)


@pytest.mark.usefixtures("tiny_blocks")
def test_workers_give_the_same_bytes(small, tmp_path):
    documents = made(80)
    alone = prepare(
        documents, small, tmp_path / "alone", work=WorkConfig(workers=0), shard_tokens=999
    )
    for workers in (1, 3):
        store = prepare(
            documents,
            small,
            tmp_path / str(workers),
            work=WorkConfig(workers=workers),
            shard_tokens=999,
        )
        assert contents(store.folder) == contents(alone.folder)


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("stop", [0, 1, 30, 79, 80])
def test_what_was_interrupted_is_continued(small, tmp_path, stop, workers):
    documents = made(60)
    options = {"fingerprint": "f", "shard_tokens": 500, "work": WorkConfig(workers=workers)}
    straight = prepare(documents, small, tmp_path / "straight", **options)
    target = tmp_path / "target"
    with pytest.raises(Stop):
        prepare(until(documents, stop), small, target, **options)
    assert not target.exists()
    written = {path.name for path in (tmp_path / "target.unfinished").glob("shard-*")}
    ages = {path: path.stat().st_mtime_ns for path in (tmp_path / "target.unfinished").iterdir()}
    store = prepare(documents, small, target, **options)
    assert contents(store.folder) == contents(straight.folder)
    assert not (tmp_path / "target.unfinished").exists()
    for path, age in ages.items():
        if path.name in written:
            assert (target / path.name).stat().st_mtime_ns == age
    assert bool(written) == (stop > 1)


@pytest.mark.usefixtures("tiny_blocks")
def test_only_the_same_preparation_is_continued(small, tmp_path):
    documents, others = made(60), made(60, seed=1)
    options = {"shard_tokens": 500, "work": WorkConfig(workers=0)}
    for name in ("other", ""):
        target = tmp_path / f"target{name}"
        with pytest.raises(Stop):
            prepare(until(documents, 70), small, target, fingerprint="f", **options)
        store = prepare(others, small, target, fingerprint=name, **options)
        straight = prepare(others, small, tmp_path / f"s{name}", fingerprint=name, **options)
        assert contents(store.folder) == contents(straight.folder)


@pytest.mark.usefixtures("tiny_blocks")
def test_a_damaged_shard_of_an_interrupted_preparation_is_made_again(small, tmp_path):
    documents = made(60)
    options = {"fingerprint": "f", "shard_tokens": 500, "work": WorkConfig(workers=0)}
    straight = prepare(documents, small, tmp_path / "straight", **options)
    with pytest.raises(Stop):
        prepare(until(documents, 79), small, tmp_path / "target", **options)
    second = tmp_path / "target.unfinished" / "shard-00001.safetensors"
    second.write_bytes(second.read_bytes()[:-9])
    store = prepare(documents, small, tmp_path / "target", **options)
    assert contents(store.folder) == contents(straight.folder)


def test_killed_at_any_moment_it_is_continued(tmp_path):
    """A process of its own, killed for good again and again."""
    program = textwrap.dedent(
        """
        import sys, time
        from penwright.config import WorkConfig
        from penwright.document import Document, Source, Span
        from penwright.tokens import Tokenizer, blocks, prepare
        blocks.BLOCK = 2000
        def documents():
            for n in range(400):
                if slow:
                    time.sleep(0.002)
                yield Document((Span(f"{n} some words " * (n % 30 + 1)),), Source("x", n))
        folder, slow = sys.argv[1], sys.argv[2] == "slow"
        tokenizer = Tokenizer.train(["some words"] * 9, 270)
        options = {"fingerprint": "f", "shard_tokens": 1500, "work": WorkConfig(workers=int(slow))}
        prepare(documents(), tokenizer, folder, **options)
        """
    )
    command = [sys.executable, "-c", program]
    subprocess.run([*command, tmp_path / "straight", "fast"], check=True)
    target = tmp_path / "target"
    resumed_from = []
    for _ in range(3):
        child = subprocess.Popen([*command, target, "slow"])
        before = len(list(tmp_path.glob("target.unfinished/shard-*")))
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            if len(list(tmp_path.glob("target.unfinished/shard-*"))) >= before + 2:
                break
            time.sleep(0.005)
        child.kill()
        child.wait()
        resumed_from.append(before)
    assert not target.exists()
    assert resumed_from == sorted(set(resumed_from))
    subprocess.run([*command, target, "fast"], check=True)
    assert contents(target) == contents(tmp_path / "straight")


@pytest.mark.usefixtures("tiny_blocks")
def test_a_full_disk_is_told_and_continued(small, tmp_path, monkeypatch):
    documents = made(60)
    options = {"fingerprint": "f", "shard_tokens": 500, "work": WorkConfig(workers=0)}
    straight = prepare(documents, small, tmp_path / "straight", **options)
    sync = os.fsync
    calls = iter(range(100))

    def full(number: int) -> None:
        if next(calls) >= 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutOfRoomError, match="no space left") as caught:
        prepare(documents, small, tmp_path / "target", **options)
    assert "continues where it stopped" in caught.value.fix
    monkeypatch.undo()
    monkeypatch.setattr(blocks, "BLOCK", 500)
    assert len(list((tmp_path / "target.unfinished").glob("*.safetensors"))) == 2
    store = prepare(documents, small, tmp_path / "target", **options)
    assert contents(store.folder) == contents(straight.folder)


def test_the_same_data_is_not_prepared_twice(small, gpt2, tmp_path):
    first = prepare([document("a")], small, tmp_path / "s", fingerprint="f")
    again = prepare(until([], 0), small, tmp_path / "s", fingerprint="f")
    assert again.n_tokens == first.n_tokens
    for tokenizer, fingerprint in ((small, ""), (small, "g"), (gpt2, "f")):
        with pytest.raises(DataError, match="there already"):
            prepare([document("a")], tokenizer, tmp_path / "s", fingerprint=fingerprint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "s.lock"]


def test_two_that_prepare_the_same_take_turns(small, tmp_path):
    started = threading.Event()

    def slow():
        started.set()
        for number in range(20):
            time.sleep(0.01)
            yield document("text", line=number)

    results = []
    first = threading.Thread(
        target=lambda: results.append(prepare(slow(), small, tmp_path / "s", fingerprint="f"))
    )
    first.start()
    started.wait()
    second = prepare(until([], 0), small, tmp_path / "s", fingerprint="f")
    first.join()
    assert second.n_documents == results[0].n_documents == 20


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("spans", [[], [""], [("only context", False)]])
def test_a_document_with_nothing_to_learn_is_refused(small, tmp_path, spans, workers):
    documents = [document("fine", line=1), document(*spans, line=2), document("fine", line=3)]
    with pytest.raises(DataError, match=r"made\.txt:2: there is nothing to learn"):
        prepare(documents, small, tmp_path / "s", work=WorkConfig(workers=workers), fingerprint="f")
    assert [path.name for path in tmp_path.iterdir()] == ["s.lock"]


def test_pieces_with_nothing_to_learn_are_fine_in_a_document_that_has_something(small, tmp_path):
    pieces = [document(("context", False), more=True), document("learned")]
    assert prepare(pieces, small, tmp_path / "s").n_documents == 1
    pieces = [document(("context", False), more=True), document(("more", False))]
    with pytest.raises(DataError, match="nothing to learn"):
        prepare(pieces, small, tmp_path / "t")


def test_no_documents_are_refused(small, tmp_path):
    with pytest.raises(DataError, match="no document to learn from"):
        prepare([], small, tmp_path / "s")


@pytest.mark.parametrize("workers", [0, 1])
def test_half_a_surrogate_pair_is_named_with_its_place(small, tmp_path, workers):
    documents = [document("fine", line=1), document("a \ud83d b", line=2)]
    with pytest.raises(DataError, match=r"made\.txt:2: there is half of a surrogate pair"):
        prepare(documents, small, tmp_path / "s", work=WorkConfig(workers=workers))


def test_workers_do_not_run_the_callers_script_again(tmp_path):
    """A script without the usual guard may prepare in parallel."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from penwright.config import WorkConfig
            from penwright.document import Document, Source, Span
            from penwright.tokens import Tokenizer, prepare
            print("once")
            store = prepare(
                [Document((Span("some words"),), Source("x", 1))],
                Tokenizer.train(["some words"], 260), "store", work=WorkConfig(workers=2),
            )
            """
        )
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")


@pytest.mark.parametrize("workers", [0, 1])
def test_markers_are_known_everywhere(small, tmp_path, workers):
    ours = small.with_added(["<m>", "<n>"])
    expected = [0, *small.encode("a"), ours.marker_id("<m>"), *small.encode("b<n>"), 0]
    named = prepare(
        [document("a<m>b<n>")],
        ours,
        tmp_path / "a",
        markers=["<m>"],
        work=WorkConfig(workers=workers),
    )
    reading = ours.reading(["<m>"])
    always = prepare(
        [document("a<m>b<n>")], reading, tmp_path / "b", work=WorkConfig(workers=workers)
    )
    for store in (named, always):
        assert store.tokens(0, store.n_tokens).tolist() == expected
        assert store.n_bytes == len("ab<n>")
    assert contents(named.folder) == contents(always.folder)


class Shouting(Tokenizer):
    """Another kind of tokenizer, which a worker has to make again."""

    def encode_flat(self, texts, **options):
        return super().encode_flat([text.upper() for text in texts], **options)


def test_other_kinds_of_tokenizers_reach_the_workers(small, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    shouting = Shouting(small.vocabulary)
    store = prepare([document("abc")], shouting, tmp_path / "s", work=WorkConfig(workers=1))
    assert shouting.decode(store.tokens(1, store.n_tokens - 1)) == "ABC"


@pytest.mark.usefixtures("tiny_blocks")
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_however_it_is_interrupted_it_becomes_the_same(small, tmp_path_factory, data):
    """Interrupted again and again, with shards damaged and notes lost in between."""
    folder = tmp_path_factory.mktemp("p")
    documents = made(40, seed=data.draw(st.integers(0, 5)))
    options = {
        "fingerprint": "f",
        "shard_tokens": data.draw(st.integers(50, 900)),
        "work": WorkConfig(workers=0),
    }
    straight = prepare(documents, small, folder / "straight", **options)
    half = folder / "target.unfinished"
    for _ in range(data.draw(st.integers(1, 3))):
        with pytest.raises(Stop):
            prepare(
                until(documents, data.draw(st.integers(0, 80))), small, folder / "target", **options
            )
        files = sorted(half.glob("shard-*"))
        if files and data.draw(st.booleans()):
            data.draw(st.sampled_from(files)).write_bytes(b"")
        if data.draw(st.booleans()):
            (half / "marks.json").unlink(missing_ok=True)
    store = prepare(documents, small, folder / "target", **options)
    assert contents(store.folder) == contents(straight.folder)


@pytest.mark.usefixtures("tiny_blocks")
def test_within_a_long_document_it_is_continued_too(small, tmp_path, monkeypatch):
    pieces = [document(f"{n} words " * 40, more=n < 59) for n in range(60)]
    options = {"fingerprint": "f", "shard_tokens": 500, "work": WorkConfig(workers=0)}
    with pytest.raises(Stop):
        prepare(until(pieces, 50), small, tmp_path / "target", **options)
    encoded = []
    encode = Tokenizer.encode_flat
    monkeypatch.setattr(
        Tokenizer, "encode_flat", lambda self, t, **o: encoded.extend(t) or encode(self, t, **o)
    )
    store = prepare(pieces, small, tmp_path / "target", **options)
    assert 10 <= len(encoded) < 20
    assert store.n_documents == 1
    straight = prepare(pieces, small, tmp_path / "straight", **options)
    assert contents(store.folder) == contents(straight.folder)
