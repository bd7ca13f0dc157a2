"""The processes of a group as workers of Ray Train: placed, watched and started again by Ray."""

import os
import signal
from pathlib import Path
from typing import Any

from recsys.core.errors import MachineError
from recsys.train.member import Member

_MISSING = 'group.launcher = "ray": Ray is not installed'
_REMEDY = 'pip install "recsys[cluster]"'
_RESTARTS = "restarts"


def run_on_ray(member: Member) -> str | None:
    """Run a group on the cluster that Ray is connected to, or its own on this machine; what ended it
    when it died too often.

    Raises MachineError where Ray is not installed.
    """
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise MachineError(f"{_MISSING} ({error})", _REMEDY) from None
    from ray.train import TrainingFailedError

    group = member.group
    starts = member.folder / "starts"
    starts.unlink(missing_ok=True)
    trainer = TorchTrainer(
        _run_member,
        train_loop_config={"member": member, "starts": str(starts)},
        scaling_config=ScalingConfig(num_workers=group.workers, use_gpu=member.on_gpu),
        # Survivors of a lost process wait in a collective until this is over.
        torch_config=TorchConfig(
            backend="cpu:gloo,cuda:nccl" if member.on_gpu else "gloo",
            timeout_s=int(group.timeout_seconds),
        ),
        run_config=RunConfig(
            name="group",
            storage_path=str(member.folder / "ray"),
            failure_config=FailureConfig(max_failures=group.restarts),
        ),
    )
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit()
    except TrainingFailedError as error:
        return str(error).strip().splitlines()[-1]
    except SystemExit:
        # So ends Ray's own handler of Ctrl-C, which has ended the workers.
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, handler)
    return None


def _run_member(config: dict[str, Any]) -> None:
    """One worker, whose process group Ray has joined."""
    from ray.train import get_context

    starts = Path(config["starts"])
    restarts = 0
    if get_context().get_world_rank() == 0:
        restarts = starts.stat().st_size if starts.exists() else 0
        with starts.open("ab") as file:
            file.write(b".")
    config["member"].run(restarts)
