"""What is asked of lists: any item, or only items that the user met under no behaviour."""

from dataclasses import replace

import polars as pl
import pytest

from recsys import GraphRecommender
from recsys.core.config import build_config
from recsys.core.errors import ConfigError
from recsys.core.interactions import SEEN_OTHERWISE
from recsys.core.tables import BEHAVIOR, ITEM_ID, TIME, USER_ID
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.phases.phase import Phase

# Ten buys of each user, one a day; a view of a tenth comes long before it.
ROWS = [
    (f"u{user}", f"i{(user + day) % 12:02}", day, "buy") for user in range(6) for day in range(10)
]
ROWS += [(f"u{user}", f"i{(user + 9) % 12:02}", 0, "view") for user in range(3)]
ROWS += [(f"u{user}", f"i{(user + 8) % 12:02}", 0, "cart") for user in range(2)]
LOG = pl.DataFrame(ROWS, schema=[USER_ID, ITEM_ID, TIME, BEHAVIOR], orient="row").with_columns(
    pl.col(TIME) * 86_400 + 1_600_000_000
)
CUT = {"method": "global_time", "test_share": 0.1, "validation_share": 0.1}


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    config = build_config({})
    ingest(LOG, config.data, config.clean, folder)
    return load_log(folder)


def phase_of(coded, name, **evaluate):
    config = build_config({"graph": {"target": "buy"}, "split": CUT, "evaluate": evaluate})
    return Phase(name, coded, split_log(coded, config.split, "buy", 0), config)


@pytest.mark.parametrize(("name", "met"), [("select", 2), ("final", 3)])
def test_new_leaves_out_and_counts_pairs_that_were_met(coded, name, met):
    anything = phase_of(coded, name).judge.held_out
    new = phase_of(coded, name, task="new").judge.held_out
    assert len(anything.user) == 6 and SEEN_OTHERWISE not in anything.dropped
    assert len(new.user) == 6 - met and new.dropped[SEEN_OTHERWISE] == met
    assert new.user.min() == met  # the first users are those who had met theirs


def test_new_hides_items_of_every_behaviour_from_lists(coded):
    phase = phase_of(coded, "final", task="new")
    assert phase.seen_behaviors == ("buy", "cart", "view")
    assert phase.seen.nnz > phase_of(coded, "final").seen.nnz


def test_with_any_a_hidden_pair_is_a_miss(coded):
    phase = phase_of(coded, "final", seen_behaviors=["buy", "view"])
    assert len(phase.judge.held_out.user) == 6


def test_seen_behaviours_that_leave_one_out_contradict_new(coded):
    phase = phase_of(coded, "final", task="new", seen_behaviors=["buy", "view"])
    with pytest.raises(ConfigError, match=r"evaluate\.task.*evaluate\.seen_behaviors.* cart"):
        _ = phase.judge.held_out


@pytest.mark.parametrize(
    "remedy", [{"task": "new"}, {"task": "any", "seen_behaviors": ["buy", "view"]}]
)
def test_either_remedy_ends_the_contradiction(coded, remedy):
    assert len(phase_of(coded, "final", **remedy).judge.held_out.user)


def test_new_with_all_behaviours_named_is_no_contradiction(coded):
    named = phase_of(coded, "final", task="new", seen_behaviors=["view", "cart", "buy"])
    assert named.seen_behaviors == phase_of(coded, "final", task="new").seen_behaviors


def test_negative_behaviours_hide_items_under_either_task(coded):
    phase = phase_of(coded, "final")
    config = build_config({"graph": {"target": "buy", "negative_behaviors": ["cart"]}})
    assert replace(phase, config=config).seen_behaviors == ("buy", "cart")


def test_python_counts_and_serves_what_is_asked():
    settings = {"width": 4, "heads": 1, "epochs": 1, "early_stopping": False, "threads": 1}
    train = LOG.filter(pl.col(TIME) < 1_600_000_000 + 9 * 86_400)
    test = LOG.filter(pl.col(TIME) >= 1_600_000_000 + 9 * 86_400)
    anything = GraphRecommender(**settings, target="buy").fit(train)
    new = GraphRecommender(**settings, target="buy", task="new").fit(train)
    assert anything.evaluate(test, ks=5)["users"] == 6
    found = new.evaluate(test, ks=5)
    assert found["users"] == 3 and found["drops"][SEEN_OTHERWISE] == 3
    met = set(LOG.filter(pl.col(BEHAVIOR) == "view").select(USER_ID, ITEM_ID).rows())
    lists = new.recommend([f"u{user}" for user in range(3)], k=12)
    assert not met & set(lists.select(USER_ID, ITEM_ID).rows())
    assert met & set(anything.recommend(["u0", "u1", "u2"], k=12).select(USER_ID, ITEM_ID).rows())
