"""Test metrics of a refit in a file that no choice reads, and the value that papers report from it.

Papers on these splits choose epoch and settings on the test. Their figure is the best line of this
log, which has one for every epoch, and for vectors alone one for every shape that validation
chooses among; it is read after the row is done and kept as an entry of its own, `selected_on`
"test".
"""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.accuracy.meter import Meter
from recsys.core.encoder import Embeddings
from recsys.core.progress import Progress
from recsys.core.ranking import Scorer
from recsys.evaluate.metrics import rank_metrics
from recsys.fitting.fit import problem_of
from recsys.phases.phase import Phase
from recsys.scores.blend import Blend
from recsys.scores.terms.popularity import POWERS, PopularitySettings
from recsys.scores.trained_vectors import TrainedVectors, VectorScaling
from recsys.search.exact import VectorScorer
from recsys.train.batches import with_epochs
from recsys.train.loop import Trained, train
from recsys.train.probe import Settings

Line = dict[str, float]
ScorerOf = Callable[[Embeddings], Scorer]


class EpochLog:
    """Writes a line an epoch to `path`, which starts empty: time since the refit began, and test
    metrics.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")

    def refit(
        self,
        final: Phase,
        chosen: int,
        scorer: ScorerOf,
        progress: Progress,
        settings: Settings | None = None,
    ) -> Trained:
        """Train through every epoch of the configuration, logging each; the model kept is that of
        epoch `chosen`.

        Its weights are those of a refit that ends there: the log changes nothing in the training.
        scorer: how the vectors of an epoch are judged. settings: what the configuration leaves
        open, as validation settled it.
        """
        config = final.config
        pairs = final.graph.relations[final.graph.target].num_edges
        planned = with_epochs(config.train, pairs)
        last = planned.most_epochs
        schedule = planned.model_copy(update={"patience": last, "max_minutes": None})
        judged = itertools.count(schedule.validate_every, schedule.validate_every)
        meter = Meter()

        def log(found: Embeddings) -> float:
            epoch = min(next(judged), last)
            with meter.stopped():
                self._write({"epoch": epoch, **meter.cost()}, final, scorer(found))
            return float(epoch == chosen)

        return train(
            problem_of(final, final.graph, final.settled(config.model)),
            schedule,
            validate=log,
            threads=config.threads,
            progress=progress,
            settings=settings or Settings.of(config.train),
        )

    def shapes(self, final: Phase, epoch: int, vectors: TrainedVectors) -> None:
        """Log the vectors of epoch `epoch` in every shape."""
        for length, popularity in POWERS if vectors.can_stretch else ():
            items = vectors.items(VectorScaling(length_power=length, popularity_power=popularity))
            facts: Line = {"epoch": epoch, "length": length, "popularity": popularity}
            self._write(facts, final, VectorScorer(vectors.embeddings.users, items))

    def _write(self, facts: Line, final: Phase, scorer: Scorer) -> None:
        ks = final.config.evaluate.ks
        ranked = final.judge.ranked(scorer, max(ks))
        overall = rank_metrics(
            ranked, final.judge.held_out_users, final.judge.held_out_matrix, ks
        ).overall
        with self.path.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps(facts | {name: round(value, 5) for name, value in overall.items()})
                + "\n"
            )


def read(path: Path) -> list[Line]:
    """The lines of a log, by epoch."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def best_on_test(path: Path) -> Line:
    """The line of a log with the highest test Recall@20, as papers choose it; the earlier one among
    equals.
    """
    return max(read(path), key=lambda line: line["recall@20"])


def first_to_reach(path: Path, recall: float) -> Line | None:
    """The first epoch of a log with at least this test Recall@20."""
    timed = (line for line in read(path) if "seconds" in line)
    return next((line for line in timed if line["recall@20"] >= recall), None)


def as_result(validation_selected: dict[str, Any], line: Line) -> dict[str, Any]:
    """The entry of a row whose epoch was chosen on the test, from that whose epoch was chosen on
    validation.
    """
    measured = {
        name: line[name] for name in validation_selected if name in line and "seconds" not in name
    }
    found = validation_selected | measured | {"selected_on": "test", "epochs": int(line["epoch"])}
    if "length" not in line:
        return found
    powers = PopularitySettings(length_power=line["length"], popularity_power=line["popularity"])
    blend = Blend.read(found.get("blend", {})).with_settings(powers)
    return found | {"blend": blend.document()}
