"""Start the ranks of a run on this machine, as torchrun does, and say why one of them ended."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence

from penwright.errors import RankLostError, UsageError
from penwright.workers import usable_cores

LAUNCHED = "PENWRIGHT_LAUNCHED"
"""Set for ranks whose launcher says why one of them ended."""


def is_rank() -> bool:
    """Return whether torchrun started this process."""
    return "LOCAL_RANK" in os.environ


def launch(command: Sequence[str], devices: int) -> int:
    """Run `penwright` with the words of `command` once for each device; return the exit code.

    Raises UsageError for a number that cannot be, and RankLostError that names the rank which the
    system ended; what a rank itself has to say, it prints.
    """
    if devices < 1:
        raise UsageError(f"--devices is {devices}; it must be at least 1.")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ[LAUNCHED] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // devices)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "penwright", *command)
    except ChildFailedError as error:
        # The others end on their own when they miss it, or by torchrun's SIGTERM.
        for rank, failure in error.failures.items():
            if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
                raise RankLostError(
                    f"Rank {rank} was ended by {signal.Signals(-failure.exitcode).name}, as when "
                    "memory runs out, so training stopped.",
                    fix="Continue from the last checkpoint with --resume.",
                ) from None
        return max(1, error.get_first_failure()[1].exitcode)
    except SignalException:
        return 130
    return 0
