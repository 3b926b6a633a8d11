"""Stores at addresses: written by one machine and by workers in parts, the same bytes when used."""

from __future__ import annotations

import random

import numpy as np
import pytest

from penwright.config import DataConfig, WorkConfig
from penwright.dataset import distributed
from penwright.dataset.distributed import find_obstacle, prepare_parts
from penwright.dataset.remote_store import fetch
from penwright.dataset.store_cache import create_store, is_store, open_data, open_store
from penwright.errors import DataError, UsageError
from penwright.tokens import Tokenizer
from penwright.verbs.prepare import prepare
from penwright.weights import read_shape
from penwright.workers import spread

fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'penwright[remote]'")

ALONE = WorkConfig(workers=0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def texts(tmp_path):
    """A folder of tables of several sizes, two stories and a picture, by its address."""
    chance = random.Random(1)
    sentence = "the goose and the owl wrote home about tea , letters and some rain &amp; fog"
    words = sentence.split()
    folder = tmp_path / "shared" / "texts"
    folder.mkdir(parents=True)
    for name, rows in (("a.csv", 40), ("b.csv", 3), ("c.csv", 90)):
        lines = [" ".join(chance.choices(words, k=chance.randint(3, 40))) for _ in range(rows)]
        quoted = "\n".join(f'{name} {n},"{line}"' for n, line in enumerate(lines))
        (folder / name).write_text(f"title,text\n{quoted}\n", encoding="utf-8")
    for name in ("x.story", "y.story"):
        (folder / name).write_text("It rained.\n\n@highlight\n\nRain\n\n@highlight\n\nFog\n")
    (folder / "map.png").write_bytes(b"\x89PNG")
    return f"file://{folder}"


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def tokenizer():
    return Tokenizer.gpt2()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("part_bytes", [1, 4000])
def test_parts_make_the_same_bytes_as_one_machine(
    texts, tokenizer, tmp_path, monkeypatch, workers, part_bytes
):
    monkeypatch.setattr(distributed, "PART_BYTES", part_bytes)
    data = DataConfig(clean=("entities", "whitespace"))
    told, told_alone = [], []
    address = f"file://{tmp_path}/shared/store"
    paths = [texts, f"{texts}/c.csv"]
    header = prepare_parts(
        paths, data, tokenizer, address, told.append, WorkConfig(workers=workers)
    )
    alone = create_store(paths, data, tokenizer, tmp_path / "alone", told_alone.append, ALONE)
    assert len(header["parts"]) > 1
    assert header["documents"] == alone.n_documents > 100
    assert told == told_alone != []
    assert contents(fetch(address)) == contents(tmp_path / "alone")


def test_long_documents_and_many_shards_join(tokenizer, tmp_path, monkeypatch):
    from penwright.dataset import remote_store

    monkeypatch.setattr(distributed, "PART_BYTES", 1)
    monkeypatch.setattr(remote_store, "SHARD_TOKENS", 64)
    (tmp_path / "in").mkdir()
    for name, words in (("a", 500), ("b", 3), ("c", 100)):
        (tmp_path / "in" / f"{name}.txt").write_text("some words go on " * words)
    address = f"file://{tmp_path}/store"
    prepare_parts([f"file://{tmp_path}/in"], DataConfig(), tokenizer, address, print, ALONE)
    alone = create_store([tmp_path / "in"], DataConfig(), tokenizer, tmp_path / "b", print, ALONE)
    joined = open_store(address)
    assert joined.n_tokens == alone.n_tokens > 64 * 20
    joined.verify()
    assert np.array_equal(joined.tokens(0, joined.n_tokens), alone.tokens(0, alone.n_tokens))
    for name in ("offsets", "learned", "bytes", "groups", "digests", "token_sizes"):
        assert np.array_equal(getattr(joined, name), getattr(alone, name)), name


def test_a_worker_needs_nothing_but_addresses(texts, tokenizer, tmp_path, monkeypatch):
    """Each process has a folder, a home and a cache of its own; files are named by address only."""
    import marshal

    from penwright.tokens.encode import describe_work
    from penwright.workers.engines import Processes

    setup = (describe_work(tokenizer, tokenizer.always), {})
    for number in range(2):
        elsewhere = tmp_path / f"machine{number}"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        for name in ("HOME", "TMPDIR", "PENWRIGHT_CACHE"):
            monkeypatch.setenv(name, str(elsewhere))
        job = (f"file://{tmp_path}/store/part-0000{number}", [(f"{texts}/a.csv", None, ())])
        with Processes(distributed.TARGET, setup, 1) as engine:
            [header] = engine.map([job])
        assert header["documents"] == 40
        assert header == marshal.loads(marshal.dumps(header))
        assert not any(elsewhere.iterdir())  # its temporary folder is gone
    assert (tmp_path / "store" / "part-00001" / "header.json").is_file()


def test_a_part_that_is_there_is_not_made_again(texts, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "PART_BYTES", 1)
    address = f"file://{tmp_path}/store"
    first = prepare_parts([texts], DataConfig(), tokenizer, address, print, ALONE)
    assert prepare_parts([texts], DataConfig(), tokenizer, address, print, ALONE) == first
    root = tmp_path / "store"
    (root / "header.json").unlink()
    (root / "part-00001" / "header.json").unlink()
    kept = (root / "part-00000" / "header.json").stat().st_mtime_ns
    assert prepare_parts([texts], DataConfig(), tokenizer, address, print, ALONE) == first
    assert (root / "part-00000" / "header.json").stat().st_mtime_ns == kept
    with pytest.raises(DataError, match=r"another store at .*Choose another --output"):
        prepare_parts([texts], DataConfig(learn=("all",)), tokenizer, address, print, ALONE)


def test_errors_of_workers_name_the_address(tokenizer, tmp_path):
    (tmp_path / "bad.csv").write_text("title,text\na,b,c\nd,e\n")
    with pytest.raises(DataError, match=r"file://.*bad\.csv:2"):
        prepare_parts(
            [f"file://{tmp_path}/bad.csv"],
            DataConfig(text_column="text"),
            tokenizer,
            f"file://{tmp_path}/store",
            print,
            WorkConfig(workers=1),
        )
    assert not (tmp_path / "store").exists()


def test_what_workers_cannot_read_alone_is_said():
    far = ["s3://b/a"]
    assert find_obstacle(far, DataConfig(clean=("whitespace",))) is None
    assert find_obstacle([*far, "b.txt"], DataConfig()) == "'b.txt' is not an address"
    assert "--drop-near compares" in find_obstacle(far, DataConfig(drop_near=0.8))
    assert "--blocklist names" in find_obstacle(far, DataConfig(blocklist="words.txt"))
    assert find_obstacle(far, DataConfig(blocklist="s3://b/words.txt")) is None


def test_prepare_reads_and_writes_addresses(texts, tmp_path, capsys):
    """One process with memory://, as for s3://; the store at the address is used as any other."""
    source = fsspec.filesystem("file")
    far = fsspec.filesystem("memory")
    root = f"/{tmp_path.name}"
    for path in source.find(texts.removeprefix("file://")):
        far.pipe_file(f"{root}/texts/{path.rsplit('/')[-1]}", source.cat_file(path))
    address = f"memory:/{root}/store"
    base_tokenizer = read_shape("base", print)[1]()
    made = prepare(f"memory:/{root}/texts", output=address, model="base", workers=0, warn=print)
    assert "1 of 6 files are not read: 1 .png" in capsys.readouterr().out
    assert is_store(address)
    assert is_store(f"{address}/")
    opened = open_data([address], DataConfig(), base_tokenizer, print)
    assert opened.store.folder != made.folder
    assert contents(opened.store.folder) == contents(made.folder)
    again = prepare(f"memory:/{root}/texts/", output=f"{address}/", model="base", warn=print)
    assert again.n_tokens == made.n_tokens
    one = f"memory:/{root}/texts/a.csv"
    with pytest.raises(DataError, match="another store at"):
        prepare(one, output=address, model="base", warn=print)
    with pytest.raises(UsageError, match=r"\.zip is written on this machine"):
        prepare(one, output=f"{address}.zip", model="base", warn=print)
    prepare(address, output=tmp_path / "copy.zip", warn=print)
    assert open_store(tmp_path / "copy.zip").n_tokens == made.n_tokens


def test_a_damaged_download_is_refused(texts, tmp_path, tokenizer):
    address = f"file://{tmp_path}/store"
    prepare_parts([f"{texts}/a.csv"], DataConfig(), tokenizer, address, print, ALONE)
    shard = tmp_path / "store" / "part-00000" / "shard-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"part-00000.*damaged \(its checksum"):
        fetch(address)
    assert list((tmp_path / "cache" / "stores").iterdir()) == []


def test_results_do_not_depend_on_who_works(texts, tokenizer, tmp_path):
    """`spread` takes the work by its name, whatever runs it."""
    from penwright.tokens.encode import describe_work

    setup = (describe_work(tokenizer, tokenizer.always), {})
    jobs = [(f"file://{tmp_path}/{n}", [(f"{texts}/{n}.csv", None, ())]) for n in "abc"]
    here = list(spread(distributed.TARGET, setup, jobs, ALONE))
    there = [(f"{job[0]}-there", job[1]) for job in jobs]
    assert list(spread(distributed.TARGET, setup, there, WorkConfig(workers=2))) == here
