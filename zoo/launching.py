"""Several processes that train together: torch's own launcher starts them, and starts them anew."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import TrainingError
from zoo.runs import RECORD


def launch(processes: int, arguments: Sequence[str], *, restarts: int = 0) -> None:
    """Runs `zoo` with `arguments` in so many processes on this machine, and waits for them.

    Where one of them ends badly all do, and are started anew up to `restarts` times. Raises `SystemExit` with
    the status of the first that failed, `TrainingError` where it was killed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException  # slow to import
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.5,
    )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # it is told below
    # else processes started anew may read, in a store that outlives them, where their predecessors
    # listened, and wait for those (pytorch/pytorch#135712)
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    # as torchrun does: each process takes a share of the cores, not all of them
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    try:
        elastic_launch(config, sys.executable)("-m", "zoo", *arguments)
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            raise TrainingError(
                f"process {rank} was ended by {name}; go on from the last checkpoint: --resume"
            ) from None
        raise SystemExit(failure.exitcode) from None


def rank() -> int:
    """The number of this process among those that were started together, 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def started_anew(folder: Path | None) -> bool:
    """Whether torch's launcher started this process once more, after some had failed, and a run is there."""
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    return again and folder is not None and (folder / RECORD).exists()
