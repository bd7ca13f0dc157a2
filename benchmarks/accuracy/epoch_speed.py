"""An epoch of ours beside an epoch of a peer, on the same pairs."""

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.data import load
from benchmarks.accuracy.foreign import fit_peer, internal_pairs, peer_python
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.run import Place, configured, device
from benchmarks.accuracy.text import table
from benchmarks.record import RESULTS
from recsys.core.artefacts import read_json
from recsys.fitting.fit import fit_phase
from recsys.phases.phase import Phase
from recsys.train.checkpoint import EpochRecord

_TEXT = """Processor seconds of one epoch over the pairs of train + validation. Ours is the second epoch of a training. A
peer's is extrapolated: a few measured batches times the batches of an epoch, with its published settings."""


def epoch_beside(
    ours: Row, peer: Row, dataset: str, place: Place, batches: int, threads: int | None = None
) -> dict[str, Any]:
    """Processor seconds of an epoch, of both.

    Args:
        ours: the row that is trained.
        peer: whose script times its batches.
        dataset: that both are trained on.
        place: where data, cache and the peers' environments are.
        batches: of the peer, measured.
        threads: of ours; a peer takes OMP_NUM_THREADS.
    """
    config = configured(ours, dataset, 0, place, threads)
    log, splits = load(config, place.of(dataset))
    final = Phase("final", log, splits, config)
    theirs = _peer_epoch(peer, final, place, batches)
    own = _our_epoch(final)
    return {
        "row": ours.name,
        "peer": peer.name,
        "device": device(config),
        "pairs": int(final.interactions.matrix((final.target,)).nnz),
        "ours": own,
        "theirs": theirs,
        "ratio": round(theirs["cpu_seconds"] / own["cpu_seconds"], 2),
    }


def known_epochs() -> list[dict[str, Any]]:
    """The records of `python -m benchmarks accuracy epoch`."""
    return [read_json(file) for file in sorted(RESULTS.glob("epoch_*.json"))]


def epochs_text(known: Sequence[dict[str, Any]], titles: dict[str, str]) -> str:
    """A line for each dataset on which an epoch was measured; nothing without one."""
    lines = []
    for document in known:
        figures = document["figures"]
        lines.append(
            [
                document["data"],
                f"{figures['pairs']:,}",
                titles.get(figures["peer"], figures["peer"]),
                f"{figures['theirs']['cpu_seconds']:.1f}",
                f"`{figures['row']}`",
                f"{figures['ours']['cpu_seconds']:.1f}",
                f"{figures['ratio']:.1f} ×",
                figures["device"],
            ]
        )
    if not lines:
        return ""
    head = ["dataset", "pairs", "peer", "seconds", "ours", "seconds", "ratio", "on"]
    return f"{_TEXT}\n\n{table(head, lines)}"


def _our_epoch(final: Phase) -> dict[str, Any]:
    """The second epoch: what is set up once is in the first."""
    moments: list[float] = []

    def note(epoch: EpochRecord) -> None:
        moments.append(time.process_time())

    trained = fit_phase(final, final.graph, final.config.model, epochs=2, watch=note)
    return {"cpu_seconds": round(moments[1] - moments[0], 2), "mode": trained.plan.mode}


def _peer_epoch(peer: Row, final: Phase, place: Place, batches: int) -> dict[str, Any]:
    """An epoch of its published settings, from the first batches."""
    python = peer_python(peer, place.peers)
    settings = peer.settings | {"batches": batches, "epochs": 1, "seed": 0}
    pairs = internal_pairs(final.interactions, final.target)
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        train = Path(folder) / "train.parquet"
        pairs.write_parquet(train)
        facts = fit_peer(peer, python, train, settings)
    steps = math.ceil(len(pairs) / peer.settings["batch_size"])
    return {
        "cpu_seconds": round(facts["cpu_seconds_per_batch"] * steps, 2),
        "cpu_seconds_per_batch": facts["cpu_seconds_per_batch"],
        "batches_measured": facts["batches"],
        "batches_an_epoch": steps,
        "peak_mb": facts["peak_mb"],
    }
