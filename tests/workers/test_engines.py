"""Processes of this machine: results in order, few jobs ahead, errors as sentences, no orphans."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from penwright.config import WorkConfig
from penwright.errors import DataError, MissingExtraError, OutOfRoomError, UsageError
from penwright.workers import spread
from penwright.workers.engines import Processes

JOBS = "tests.workers.jobs"


@pytest.fixture(autouse=True)
def tests_can_be_imported(pytestconfig, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))


@pytest.mark.parametrize("workers", [None, 0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_results_come_in_order(workers, count):
    jobs = [f"job {n}" for n in range(count)]
    found = spread(f"{JOBS}:make_upper", "s", iter(jobs), WorkConfig(workers=workers), few=3)
    assert list(found) == [("s", job.upper()) for job in jobs]


def test_the_first_few_are_done_here():
    taken = []
    jobs = (taken.append(n) or str(n) for n in itertools.count())
    found = spread("nowhere:nothing", None, jobs, WorkConfig(), few=3, here=lambda job: job + "!")
    assert [next(found) for _ in range(3)] == ["0!", "1!", "2!"]
    assert taken == [0, 1, 2]


def test_only_a_few_jobs_are_taken_ahead():
    taken = []
    jobs = (taken.append(n) or str(n) for n in itertools.count())
    with Processes(f"{JOBS}:make_upper", None, 2) as processes:
        results = processes.map(jobs)
        for number in range(10):
            assert next(results) == (None, str(number))
            assert len(taken) <= number + 4


def test_an_error_of_ours_is_the_same_here_as_there():
    for workers in (0, 2):
        with pytest.raises(DataError, match=r"x is no good\. Take another\.") as caught:
            list(spread(f"{JOBS}:make_refusal", None, ["x"], WorkConfig(workers=workers)))
        assert caught.value.fix == "Take another."


def test_a_process_that_dies_is_told():
    results = spread(f"{JOBS}:make_death", None, ["a", "die", "b"], WorkConfig(workers=1))
    assert next(results) == "a"
    with pytest.raises(OutOfRoomError, match=r"ended \(code 3\)"):
        list(results)


def test_processes_end_with_their_context():
    with Processes(f"{JOBS}:make_upper", None, 2) as processes:
        list(processes.map("abc"))
    assert processes.started
    assert all(process.poll() is not None for process in processes.started)


def test_ray_that_is_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"penwright\[ray\]"):
        list(spread(f"{JOBS}:make_upper", None, ["a"], WorkConfig(engine="ray")))


@pytest.mark.parametrize("form", ["{}", "ray://{}"])
def test_a_cluster_that_is_gone_is_told_at_once(monkeypatch, form):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    services = SimpleNamespace(canonicalize_bootstrap_address=lambda _: address)
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **_: pytest.fail("Ray tries for a quarter of an hour"),
        _private=SimpleNamespace(services=services),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(os, "environ", {**os.environ, "RAY_ADDRESS": form.format(address)})
    with pytest.raises(UsageError, match=f"no server answers at .*{address}") as caught:
        list(spread(f"{JOBS}:make_upper", None, ["a"], WorkConfig(engine="ray")))
    assert "ray start --head" in caught.value.fix


def test_workers_need_no_torch():
    program = "import sys, penwright.tokens.encode; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
