"""Trees are used where they pay, left out where they do not, and the same for the same seed."""

import numpy as np
import pytest

from recsys.core.config import build_config
from recsys.fitting.second_stage import choose_second_stage, fitted_to, ranked
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases.phase import Phase
from recsys.search.exact import VectorScorer


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Phase]:
    folder = tmp_path_factory.mktemp("log")
    made = communities(num_users=1200, num_items=80, events_per_user=24, seed=1)
    config = build_config(
        {
            "data": {"time_col": "timestamp"},
            "split": {"method": "last_share", "test_share": 0.2},
            "train": {"metric_k": 5},
            "rank": {"model": "lightgbm", "candidates": 40, "popular": 5, "trees": 40},
        }
    )
    ingest(made.log, config.data, config.clean, folder / "log")
    log = load_log(folder / "log")
    splits = split_log(log, config.split, "interaction", 0)
    return {name: Phase(name, log, splits, config) for name in ("select", "final")}


def directions(phase: Phase, seed: int, share: float) -> VectorScorer:
    """Users and items by community, buried under noise but for a share."""
    draw = np.random.default_rng(seed)
    eye = np.eye(4)
    user = [int(name[1:]) % 4 for name in phase.interactions.users.ids]
    item = [int(name[1:]) % 4 for name in phase.interactions.items.ids]
    vectors = []
    for groups in (user, item):
        noise = draw.normal(size=(len(groups), 4))
        vectors.append((share * eye[groups] + (1 - share) * noise).astype(np.float32))
    return VectorScorer(*vectors)


def test_what_the_first_stage_leaves_out_pays(phases: dict[str, Phase]) -> None:
    """Vectors know communities and nothing of popularity, which falls off within them."""
    scorer = directions(phases["select"], 0, 0.9)
    choice = choose_second_stage(phases["select"], scorer, None)
    assert choice.used and choice.value > choice.without + 0.02 and choice.num_trees > 0
    final = phases["final"]
    tested = directions(final, 0, 0.9)
    stage = fitted_to(choice.trees, final, tested, None)
    users = final.judge.held_out_users
    lists = ranked(stage, final, tested, users, 5)
    seen = final.seen[users]
    rows = np.repeat(np.arange(len(users)), 5)
    assert not np.asarray(seen[rows, lists.ravel()]).any()
    alone = final.judge.ranked(tested, 5)
    assert (lists != alone).any()


def test_the_same_seed_gives_the_same_bytes(phases: dict[str, Phase]) -> None:
    scorer = directions(phases["select"], 0, 0.9)
    texts = [choose_second_stage(phases["select"], scorer, None).trees.text for _ in range(2)]
    assert texts[0] == texts[1]


def test_the_test_is_not_looked_at(phases: dict[str, Phase]) -> None:
    select = phases["select"]

    class Poisoned:
        def __getattr__(self, name: str) -> None:
            raise AssertionError("the test was read")

    from dataclasses import replace

    blind = Phase("select", select.log, replace(select.splits, test=Poisoned()), select.config)
    assert choose_second_stage(blind, directions(blind, 0, 0.9), None).used


def test_where_nothing_is_held_out_among_the_candidates(phases: dict[str, Phase]) -> None:
    select = phases["select"]
    # Held-out items have the lowest score of all.
    users, items = select.interactions.num_users, select.interactions.num_items
    scores = -select.judge.held_out_matrix.toarray().astype(np.float32)
    scorer = VectorScorer(scores, np.eye(items, dtype=np.float32))
    few = {"candidates": 10, "popular": 0, "recent": 0, "neighbours": 0}
    rank = select.config.rank.model_copy(update=few)
    config = select.config.model_copy(update={"rank": rank})
    choice = choose_second_stage(Phase("select", select.log, select.splits, config), scorer, None)
    assert not choice.used and choice.trees is None and users
