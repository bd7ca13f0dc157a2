"""Who is answered how: events, attributes, friends, a segment, everybody; the first that is known
names the source.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.segments import count_segments
from recsys.core.errors import UsageError
from recsys.lookup.lookup import Lookup
from recsys.releases.publish import write_bundle
from worlds import ITEMS, LAYERS, USERS, WIDTH, World, make_contents, make_relation, write_world


def make_social(seed: int = 3) -> World:
    """The world with trust between users, of which a visitor's friends feed the reverse, and with
    cities of users.
    """
    rng = np.random.default_rng(seed)
    contents = make_contents()
    trust = sparse.random(USERS, USERS, 0.1, format="csr", random_state=1, dtype=np.float32)
    edges = {"rev_trusts": trust, "trusts": trust.T.tocsr()}
    relations = [
        replace(make_relation(name, one, False, 40 + n), source="user", behavior=None)
        for n, (name, one) in enumerate(edges.items())
    ]
    encoder = contents.embeddings.encoder
    states = {**encoder.states, "user": rng.normal(size=(LAYERS, USERS, WIDTH)).astype(np.float32)}
    encoder = replace(encoder, relations=(*encoder.relations, *relations), states=states)
    cities = pl.Series("city", [["Bonn", "Lyon", None][user % 3] for user in range(USERS)])
    return replace(
        contents,
        embeddings=replace(contents.embeddings, encoder=encoder),
        neighbours={**contents.neighbours, **edges},
        user_segments=count_segments(
            cities, contents.interactions.matrix(("buy",)), np.ones(USERS)
        ),
    )


@pytest.fixture(scope="module")
def social(tmp_path_factory: pytest.TempPathFactory) -> Lookup:
    return Lookup(Bundle.load(write_world(tmp_path_factory.mktemp("social"), make_social())))


def test_the_first_step_that_is_known_names_the_source(social: Lookup) -> None:
    visitors = {
        "fold_in": {
            "histories": [["i03"]],
            "attributes": [{"country": "fr"}],
            "friends": [["u01"]],
        },
        "attributes": {"attributes": [{"country": "fr", "city": "Bonn"}], "friends": [["u01"]]},
        "social": {"attributes": [{"city": "Bonn"}], "friends": [["u01"]]},
        "segment": {"attributes": [{"city": "Bonn"}], "friends": [["nobody"]]},
        "fallback": {"histories": [["nothing"]], "fallback": "popularity"},
    }
    for source, asked in visitors.items():
        [answer] = social.recommend(k=3, **asked)
        assert (answer["source"], len(answer["items"])) == (source, 3)
    [known] = social.recommend(["u04"], 3, attributes=[{"city": "Bonn"}])
    assert known["source"] == "model"


def test_friends_are_heard_by_the_relation_that_leads_from_them(social: Lookup) -> None:
    row = sparse.csr_matrix((np.ones(2, np.float32), ([0, 0], [1, 5])), shape=(1, USERS))
    wanted = social.encoder.encode({"rev_trusts": row})[0]
    assert np.allclose(social.fold_in([], friends=["u05", "u01", "u05"]), wanted, atol=1e-6)
    [answer] = social.recommend(friends=[["u01", "stranger"]], k=3)
    assert (answer["source"], answer["unknown"]) == ("social", ["stranger"])
    why = social.explain(None, "i04", friends=["u01", "u05"])
    assert {(part["relation"], part["type"], part["id"]) for part in why["parts"]} == {
        ("trusts", "user", "u01"),
        ("trusts", "user", "u05"),
    }
    assert sum(part["share"] for part in why["parts"]) + why["rest"] == pytest.approx(
        why["score"], abs=1e-5
    )


def test_a_known_user_with_new_friends_is_encoded_anew(social: Lookup) -> None:
    [plain], [answer] = (
        social.recommend(["u04"], 5),
        social.recommend(["u04"], 5, friends=[["u01"]]),
    )
    assert (plain["source"], answer["source"]) == ("model", "fold_in")
    assert [one["score"] for one in plain["items"]] != [one["score"] for one in answer["items"]]


def test_a_segment_by_hand(social: Lookup) -> None:
    bought = social.bundle.seen["buy"].toarray()
    bonn, everybody = bought[0::3], bought.mean(axis=0)
    shares = (bonn.sum(axis=0) + 10 * everybody) / (len(bonn) + 10)
    [answer] = social.recommend(attributes=[{"city": " Bonn "}], k=5)
    order = sorted(
        (item for item in range(40) if item != 7),
        key=lambda item: (-np.float32(shares[item]), item),
    )
    assert [one["id"] for one in answer["items"]] == [f"i{item:02}" for item in order[:5]]
    assert [one["score"] for one in answer["items"]] == pytest.approx(
        [shares[item] for item in order[:5]], abs=1e-6
    )
    [both] = social.recommend(attributes=[{"city": ["Bonn", "Lyon"]}], k=5)
    assert both["source"] == "segment"


def test_what_nobody_has_is_refused(social: Lookup, bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"no user had city = 'Bon'.*'Bonn'"):
        social.recommend(attributes=[{"city": "Bon"}])
    with pytest.raises(UsageError, match="unknown user 'stranger'"):
        social.recommend(["stranger"], attributes=[{"city": "Bonn"}])
    with pytest.raises(UsageError, match=r"knows no relation between users.*graph\.relations"):
        Lookup(bundle).recommend(friends=[["u01"]])
    with pytest.raises(UsageError, match="1 histories and 2 friends"):
        social.recommend(histories=[[]], friends=[[], []])


def test_segments_count_users_once_and_leave_the_nameless_out() -> None:
    pairs = sparse.csr_matrix(np.array([[1, 0], [1, 1], [0, 1]], np.float32))
    found = count_segments(pl.Series("city", ["b", "a", None]), pairs, np.ones(3))
    assert (found.values, found.sizes) == (("a", "b"), (1, 1))
    assert found.counts.toarray().tolist() == [[1, 1], [1, 0]]
    several = count_segments(pl.Series("likes", [["x", "y"], ["x"], []]), pairs, np.ones(3))
    assert several.sizes == (2, 1) and several.counts.toarray().tolist() == [[2, 1], [1, 0]]
    late = count_segments(
        pl.Series("city", ["b", "a", "b"]),
        pairs.multiply([[1], [1], [0.5]]).tocsr(),
        np.array([1, 1, 0.5]),
    )
    assert late.sizes == (1, 1.5) and late.counts.toarray().tolist() == [[1, 1], [1, 0.5]]


@pytest.mark.parametrize("segmented", [False, True])
def test_popular_of_late_by_hand(tmp_path: Path, segmented: bool) -> None:
    """Where the bundle says what is popular recently, it answers for those of whom nothing is known,
    and says so.
    """
    late = np.linspace(0.5, 0, ITEMS, dtype=np.float32)
    nobody = count_segments(
        pl.Series("city", ["Bonn"]), sparse.csr_matrix((1, ITEMS), dtype=np.float32), np.zeros(1)
    )
    contents = replace(make_contents(), popular=late, user_segments=nobody)
    bundle = Bundle.load(write_world(tmp_path, contents))
    attributes = {"city": "Bonn"} if segmented else {}
    [answer] = Lookup(bundle).recommend(
        attributes=[attributes], k=4, fallback="popularity", explain=True
    )
    assert answer["source"] == ("segment" if segmented else "fallback")
    assert [one["id"] for one in answer["items"]] == ["i00", "i01", "i02", "i03"]
    assert [one["score"] for one in answer["items"]] == pytest.approx(late[:4])
    said = "popular recently where city is Bonn" if segmented else "popular recently"
    assert [one["text"] for one in answer["items"][0]["reasons"]] == [said]
    assert write_bundle(tmp_path / "again", bundle).name == bundle.name


def test_the_bundle_guards_the_segments(tmp_path: Path) -> None:
    path = write_world(tmp_path, make_social())
    assert {one.name for one in path.glob("segments.*")} == {
        f"segments.{part}.npy" for part in ("indptr", "indices", "weight")
    }
    assert Bundle.load(path).user_segments.counts.sum() == make_social().user_segments.counts.sum()
