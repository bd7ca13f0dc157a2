"""Two bundles compared: deltas by hand, lists by counting, and a finding that a gate can trust."""

from dataclasses import replace
from itertools import chain

import numpy as np
import polars as pl
import pytest

from recsys.bundle.bundle import Bundle
from recsys.lookup.lookup import Lookup
from recsys.releases import diff
from recsys.releases.diff import compare
from worlds import USERS, make_contents, write_world


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(diff, "_TIMED", 3)


def values(by_user):
    return pl.DataFrame(
        {"user_id": list(by_user), "ndcg@5": list(by_user.values()), "hr@5": [1.0] * len(by_user)}
    )


@pytest.fixture
def make(tmp_path):
    def made(test_values=None, seed=0, **card):
        card = {"deciding": "ndcg@5", "test_rows": "same", **card}
        contents = replace(make_contents(seed), model_card=card, test_values=test_values)
        return Bundle.load(write_world(tmp_path, contents))

    return made


def test_deltas_are_paired_over_common_users(make):
    rng = np.random.default_rng(0)
    old = {f"u{one:02}": rng.random() for one in range(30)}
    new = {user: value + 0.1 for user, value in old.items() if user != "u03"} | {"newcomer": 0.0}
    found = compare(make(values(old)), make(values(new)))
    assert (found.test_users, found.same_rows, found.finding) == (29, True, "better")
    ndcg = found.deltas[0]
    assert (ndcg.metric, ndcg.difference) == ("ndcg@5", pytest.approx(0.1))
    assert ndcg.a == pytest.approx(np.mean([value for user, value in old.items() if user != "u03"]))
    # Every user gained the same: the paired interval has no width, whatever the users differ by.
    assert ndcg.low == pytest.approx(0.1) == ndcg.high
    assert found.deltas[1].p == 1.0
    assert compare(make(values(new)), make(values(old))).finding == "worse"


def test_noise_decides_nothing_and_silence_neither(make):
    rng = np.random.default_rng(0)
    one, other = (
        {f"u{user:02}": value for user, value in enumerate(rng.random(30))} for _ in range(2)
    )
    assert compare(make(values(one)), make(values(other))).finding == "undecided"
    assert compare(make(values(one)), make(values(one))).finding == "undecided"
    found = compare(make(None), make(values(one)))
    assert (found.finding, found.deltas, found.test_users) == ("unknown", [], 0)
    assert compare(make(values(one)), make(values({"stranger": 1.0}))).finding == "unknown"
    assert not compare(make(values(one), test_rows="other"), make(values(one))).same_rows


def test_lists_and_exposure_are_counted(make):
    a, b = make(), make(seed=5)
    found = compare(a, b, k=4)
    users = a.users.ids.to_list()
    of_a, of_b = (
        [[i["id"] for i in one["items"]] for one in Lookup(side).recommend(users, 4)]
        for side in (a, b)
    )
    share = np.mean([len(set(one) & set(other)) / 4 for one, other in zip(of_a, of_b, strict=True)])
    assert found.overlap == (
        USERS,
        4,
        pytest.approx(share),
        np.mean([x == y for x, y in zip(of_a, of_b, strict=True)]),
    )
    flat_a, flat_b = [*chain(*of_a)], [*chain(*of_b)]
    for one in [*found.won, *found.lost]:
        assert (one.a, one.b) == (flat_a.count(one.item), flat_b.count(one.item))
        assert one.title == f"Film {int(one.item[1:])}"
    assert found.won[0].b - found.won[0].a == max(
        flat_b.count(i) - flat_a.count(i) for i in {*flat_a, *flat_b}
    )
    assert all(one.b < one.a for one in found.lost)
    same = compare(a, a, k=4)
    assert (same.overlap.share, same.overlap.same, same.won, same.lost) == (1.0, 1.0, [], [])


def test_a_sample_repeats_and_costs_are_told(make):
    a, b = make(), make(seed=5)
    first, second = compare(a, b, users=7), compare(a, b, users=7)
    assert first.overlap == second.overlap and first.overlap.users == 7
    cost = first.costs["a"]
    assert cost.bytes == sum(file.stat().st_size for file in a.path.iterdir()) and cost.items == 40
    assert 0 < cost.p50_ms <= cost.p95_ms
