"""A Ray cluster of two machines, both of them here: the same bytes, and who did the work."""

from __future__ import annotations

import csv
import itertools
import random

import pytest

from penwright.config import WorkConfig
from penwright.dataset import distributed
from penwright.errors import DataError, OutOfRoomError, UsageError
from penwright.verbs.prepare import encode_keywords, prepare
from penwright.workers import engines, spread

ray = pytest.importorskip("ray", reason="needs ray: pip install 'penwright[ray]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.xdist_group("ray"),
]

JOBS = "tests.workers.jobs"
RAY = WorkConfig(engine="ray")


@pytest.fixture(scope="module")
def cluster(pytestconfig):
    """Two machines of one core each, known by RAY_ADDRESS alone."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        paths = [str(pytestconfig.rootpath), str(pytestconfig.rootpath / "src")]
        patch.setenv("PYTHONPATH", ":".join(paths))
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        made.add_node(num_cpus=1)
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        ray.shutdown()
        made.shutdown()


def run(target, jobs, work=RAY, setup=None):
    return spread(f"{JOBS}:{target}", setup, jobs, work)


@pytest.mark.usefixtures("cluster")
def test_both_machines_work(tmp_path):
    nodes = list(run("make_meeting", ["ab", "ba"], setup=str(tmp_path)))
    assert len(set(nodes)) == 2


@pytest.mark.usefixtures("cluster")
def test_results_come_in_order_and_few_jobs_are_taken_ahead():
    taken = []
    jobs = (taken.append(n) or str(n) for n in itertools.count())
    results = run("make_upper", jobs)
    for number in range(10):
        assert next(results) == (None, str(number))
        assert len(taken) <= number + 4
    results.close()


@pytest.mark.usefixtures("cluster")
def test_errors_are_sentences(monkeypatch):
    with pytest.raises(DataError, match=r"x is no good\. Take another\."):
        list(run("make_refusal", ["x"]))
    with pytest.raises(OutOfRoomError, match="worker of the Ray cluster ended"):
        list(run("make_death", ["a", "die", "b"]))
    with pytest.raises(UsageError, match="lacks something"):
        list(spread("no_such_package:work", None, ["a"], RAY))
    monkeypatch.setattr(engines.penwright, "__version__", "0.0.1")
    with pytest.raises(UsageError, match=r"Install penwright 0\.0\.1 on all"):
        list(run("make_upper", ["a"]))


def test_no_way_to_a_cluster_is_one_sentence(monkeypatch):
    monkeypatch.setattr(engines, "find_address", lambda _: None)

    def nobody(**_):
        raise ConnectionError("Nobody answers\nhere")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", nobody)
    with pytest.raises(UsageError, match=r"cannot be reached: Nobody answers\. Start one"):
        list(run("make_upper", ["a"]))


@pytest.fixture
def table(tmp_path):
    """Rows of very unequal lengths, with entities to undo, repeats and a language to leave out."""
    chance = random.Random(0)
    sentence = "the goose &amp; owl wrote home about tea , letters and some rain"
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["category", "title"])
        for number in range(3000):
            text = " ".join(chance.choices(sentence.split(), k=chance.randint(3, 60)))
            rows.writerow([f"kind {number % 7}", text])
        rows.writerow(["german", "Das Wetter war schlecht und niemand wollte heute ausgehen."])
        rows.writerow(["again", text])
    return tmp_path / "rows.csv"


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.usefixtures("cluster")
def test_preparing_and_cleaning_give_the_same_bytes(table, tmp_path):
    pytest.importorskip("py3langid")
    options = {
        "model": "base",
        "text_column": "title",
        "clean": ("detokenize", "entities", "whitespace"),
        "language": "en",
        "drop_duplicates": True,
    }
    prepare(table, output=tmp_path / "alone", workers=0, **options)
    prepare(table, output=tmp_path / "ray", engine="ray", **options)
    assert contents(tmp_path / "alone") == contents(tmp_path / "ray")


@pytest.mark.usefixtures("cluster")
def test_workers_read_and_write_addresses(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / f"{name}.csv").write_bytes(table.read_bytes())
    monkeypatch.setattr(distributed, "PART_BYTES", table.stat().st_size + 1)
    options = {"model": "base", "text_column": "title", "clean": ("entities",)}
    source, target = f"file://{tmp_path}/in", f"file://{tmp_path}/far"
    alone = prepare(source, output=tmp_path / "alone", workers=0, **options)
    far = prepare(source, output=target, engine="ray", **options)
    assert len(list((tmp_path / "far").glob("part-*"))) == 3
    assert contents(far.folder) == contents(alone.folder)
    prepare(source, output=f"{target}2", engine="ray", drop_duplicates=True, warn=print, **options)
    assert "reads the files for the workers, since --drop-dup" in capsys.readouterr().out


@pytest.mark.usefixtures("cluster")
def test_keywords_give_the_same_bytes(table, tmp_path):
    options = {"title_field": "title", "category_field": "category", "extractor": "builtin"}
    encode_keywords(table, output=tmp_path / "alone.txt", workers=0, **options)
    encode_keywords(table, output=tmp_path / "ray.txt", engine="ray", **options)
    assert (tmp_path / "alone.txt").read_bytes() == (tmp_path / "ray.txt").read_bytes()
