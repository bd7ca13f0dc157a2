"""The recipe as a row: what `recsys tune` finds from a row's configuration, on validation alone."""

from pathlib import Path
from typing import Any

from benchmarks.accuracy.experiment import Told
from benchmarks.accuracy.rows import Row
from recsys.core.artefacts import text_sha256
from recsys.core.config import RunConfig
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits
from recsys.phases.phase import Phase
from recsys.tune.document import best_values
from recsys.tune.search import Budget, Search
from recsys.tune.space import recipe, with_values
from recsys.tune.study import finished, open_study, spent_seconds

SEARCH_SEED = 0


def searched(
    row: Row, config: RunConfig, log: CodedLog, splits: Splits, cache: Path
) -> tuple[RunConfig, dict[str, Any]]:
    """The best configuration of the row's search, and what the search took; every seed takes over
    that of seed 0.

    cache: where trials are kept, so that a search is gone on with; one of another configuration has
    another folder.
    """
    given = config.model_copy(update={"seed": SEARCH_SEED})
    phase = Phase("select", log, splits, given, ())
    folder = cache / "search" / text_sha256(given.model_dump_json(exclude={"data", "threads"}))[:12]
    search = Search(phase, phase.graph, recipe(phase), folder, Told())
    with open_study(folder, given.tune) as study:
        search.run(study, Budget(**row.search))
        facts = {"trials": len(finished(study)), "seconds": round(spent_seconds(study), 1)}
        return with_values(config, best_values(search, study)), {"search": facts}
