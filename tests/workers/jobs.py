"""Work for the tests, which a process of its own finds by name."""

from __future__ import annotations

import os
import time
from pathlib import Path

from penwright.errors import DataError


def make_upper(setup):
    return lambda job: (setup, job.upper())


def make_refusal(_):
    def refuse(job):
        raise DataError(f"{job} is no good.", fix="Take another.")

    return refuse


def make_death(_):
    return lambda job: os._exit(3) if job == "die" else job


def make_meeting(folder):
    """Two jobs that wait for each other, so that each needs a process of its own."""

    def meet(job):
        import ray

        Path(folder, job[0]).touch()
        while not Path(folder, job[1]).exists():
            time.sleep(0.01)
        return ray.get_runtime_context().get_node_id()

    return meet
