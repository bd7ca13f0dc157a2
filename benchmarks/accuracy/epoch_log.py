"""Test metrics of every epoch of a refit, in a file that no choice reads; and the value that papers report from it.

Papers on these splits choose the epoch on the test. Their figure is the best epoch of this log; it is read after the
row is done and kept as an entry of its own, `selected_on` "test".
"""

import itertools
import json
from pathlib import Path
from typing import Any

from recsys.core.encoder import Embeddings
from recsys.core.progress import Progress
from recsys.evaluate.metrics import rank_metrics
from recsys.index.exact import VectorScorer
from recsys.phases import Phase
from recsys.train.loop import Trained, train

Line = dict[str, float]


class EpochLog:
    """Writes a line an epoch to `path`, which starts empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")

    def refit(self, final: Phase, chosen: int, progress: Progress) -> Trained:
        """Train through every epoch of the configuration, logging each; the model kept is that of epoch `chosen`.

        Its weights are those of a refit that ends there: the log changes nothing in the training.
        """
        config = final.config
        schedule = config.train.model_copy(update={"patience": config.train.epochs, "max_minutes": None})
        judged = itertools.count(schedule.validate_every, schedule.validate_every)

        def log(found: Embeddings) -> float:
            epoch = min(next(judged), config.train.epochs)
            self._write(epoch, final, found)
            return float(epoch == chosen)

        return train(
            final.interactions,
            final.graph(),
            config.model,
            schedule,
            config.seed,
            validate=log,
            threads=config.threads,
            progress=progress,
            graph_config=config.graph,
        )

    def _write(self, epoch: int, final: Phase, found: Embeddings) -> None:
        ks = final.config.evaluate.ks
        ranked = final.ranked(VectorScorer(found.users, found.items), max(ks))
        overall = rank_metrics(ranked, final.held_out_users, final.held_out_matrix, ks).overall
        with self.path.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"epoch": epoch, **{name: round(value, 5) for name, value in overall.items()}}) + "\n"
            )


def best_on_test(path: Path) -> Line:
    """The epoch of a log with the highest test Recall@20, as papers choose it; the earlier one among equals."""
    lines: list[Line] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return max(lines, key=lambda line: line["recall@20"])


def as_result(validation_selected: dict[str, Any], line: Line) -> dict[str, Any]:
    """The entry of a row whose epoch was chosen on the test, from that whose epoch was chosen on validation."""
    measured = {name: line[name] for name in validation_selected if name in line}
    return validation_selected | measured | {"selected_on": "test", "epochs": int(line["epoch"])}
