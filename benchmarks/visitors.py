"""Visitors beside members: users encoded from their last few events alone, and with what training
knows of them.

    python -m benchmarks visitors LOG [LOG …] [--data data] [--cache runs/visitors] [--seed 0]
    [--family history] [--user-table]

Vectors alone, on the test of a log of `benchmarks accuracy`: epochs are chosen on validation, the
model is trained on train + validation, and NDCG@10 of its users' vectors stands beside that of the
same users encoded as if they came for the first time with their last 1, 2, 5, 10 or 20 events, with
a paired 95 % interval of the difference (`recsys.evaluate.cold_start`). `largest_gap`: of any entry
of any vector, between training and the same history folded in whole. Figures of a log go to
results/visitors.json, beside those of the others.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.data import configuration, load
from benchmarks.record import record, recorded
from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.config import RunConfig
from recsys.core.encoder import LATEST
from recsys.encode.fold_in import UserEncoder, history_neighbours
from recsys.evaluate.cold_start import Trained, visitor_rows
from recsys.fitting.fit import fit_phase
from recsys.logs.relations import read_relations
from recsys.phases.phase import Phase
from recsys.scores.most_popular import item_popularity
from recsys.scores.trained_vectors import decayed_edges
from recsys.search.exact import VectorScorer

K = 10
_DRAWS = 2_000


def judge(name: str, config: RunConfig, cache: Path) -> dict[str, Any]:
    """Figures of one log."""
    log, splits = load(config, cache / name)
    relations = read_relations(config.graph, config.data, log)
    select = Phase("select", log, splits, config, relations)
    final = Phase("final", log, splits, config, relations)
    chosen = fit_phase(select, select.graph, config.model)
    trained = fit_phase(
        final,
        final.graph,
        config.model,
        epochs=chosen.best_epoch,
        settings=chosen.settings,
    )
    embeddings = trained.embeddings
    neighbours = neighbours_into_users(final.graph.relations)
    edges = decayed_edges(neighbours, final.histories, embeddings.encoder)
    of_target = {f"rev_{final.target}", LATEST}
    rows = visitor_rows(
        Trained(
            VectorScorer(embeddings.users, embeddings.items),
            embeddings.encoder,
            {name: matrix for name, matrix in edges.items() if name in of_target},
            item_popularity(final.interactions, final.target, None).shares,
        ),
        final.interactions,
        final.target,
        final.judge.held_out_matrix,
        final.seen,
        K,
        _DRAWS,
        config.seed,
    )
    whole = history_neighbours(embeddings.encoder, final.histories)
    folded = UserEncoder(embeddings.encoder).encode(whole)
    return {
        "epochs": chosen.best_epoch,
        "settings": chosen.settings.document(),
        "largest_gap": float(np.abs(folded - embeddings.users).max()),
        "rows": [row.model_dump() for row in rows],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("logs", nargs="+", metavar="LOG")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/visitors"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", default="history")
    parser.add_argument("--user-table", action="store_true")
    arguments = parser.parse_args()
    model = {"family": arguments.family, "user_table": arguments.user_table}
    figures = recorded("visitors")
    for name in arguments.logs:
        config = configuration(name, arguments.data, {"model": model})
        config = config.model_copy(update={"seed": arguments.seed})
        variant = arguments.family + (" with a user table" if arguments.user_table else "")
        figures.setdefault(name, {})[variant] = judge(name, config, arguments.cache)
        record("visitors", figures, ", ".join(sorted(figures)), arguments.seed)


if __name__ == "__main__":
    main()
