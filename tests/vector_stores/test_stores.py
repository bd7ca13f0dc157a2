"""Every store does the same with a bundle: real servers and embedded ones, asked as others ask them."""

import numpy as np
import pytest

from recsys.bundle.bundle import Bundle
from recsys.bundle.export import vectors
from recsys.core.errors import DataError, GateRefused, UsageError
from recsys.releases.publish import write_bundle
from recsys.vector_stores import publish as publishing
from recsys.vector_stores.store import table_name


def publish(*arguments, **settings):
    return publishing.publish(*arguments, queries=20, **settings)


def push(*arguments):
    return publishing.push(*arguments, queries=20)


def exact_list(bundle, user, k):
    """The k best available items by inner products, by hand."""
    users, items = vectors(bundle)
    scores = items @ users[user]
    order = [row for row in np.argsort(-scores, kind="stable") if bundle.available[row]]
    return [bundle.items.ids[int(row)] for row in order[:k]]


def listed(store, name, bundle, user, k=5):
    table = table_name(name, "items", store.live().version)
    users, _ = vectors(bundle)
    return store.search(table, np.asarray(users[[user]]), k)[0]


@pytest.mark.parametrize("index", ["hnsw", "flat"])
def test_the_order_is_that_of_the_bundle(store, name, world_bundle, index):
    bundle = world_bundle()
    facts = publish(bundle, store, name, index=index, min_recall=1.0, users=True)
    assert facts["recall"]["store"] == 1.0 and facts["rows"] == {"items": 40, "users": 30}
    for user in (0, 3, 17):
        assert listed(store, name, bundle, user, 40) == exact_list(bundle, user, 39)
    assert store.live().bundle == bundle.name
    assert len(store.tables()) == 2


def test_again_nothing_is_written_and_the_next_takes_its_place(store, name, world_bundle):
    first, second = world_bundle(), world_bundle(1)
    publish(first, store, name)
    before = store.tables()
    assert not publish(first, store, name)["written"]
    assert store.tables() == before
    facts = publish(second, store, name)
    assert listed(store, name, second, 4) == exact_list(second, 4, 5)
    assert facts["dropped"] == [] and len(store.tables()) == 2
    facts = publish(first, store, name, keep=0)
    assert [number[:5] for number in facts["dropped"]] == ["v0002"]
    assert store.tables() == [f"{name}_items_v0003_{first.name}"]
    assert listed(store, name, first, 4) == exact_list(first, 4, 5)


def test_the_gate_leaves_the_old_one(store, name, world_bundle, monkeypatch):
    first, second = world_bundle(), world_bundle(1)
    publish(first, store, name)
    search = type(store).search

    def nothing_of_half(self, table, queries, k):
        lists = search(self, table, queries, k)
        return [found if number % 2 else [] for number, found in enumerate(lists)]

    monkeypatch.setattr(type(store), "search", nothing_of_half)
    with pytest.raises(GateRefused, match=r"finds 0\.5000 of the exact lists at 10"):
        publish(second, store, name)
    monkeypatch.undo()
    assert store.live().bundle == first.name
    assert store.tables() == [f"{name}_items_v0001_{first.name}"]
    assert listed(store, name, first, 4) == exact_list(first, 4, 5)


def test_an_interrupted_export_leaves_the_old_one_and_the_next_cleans_up(
    store, name, world_bundle, monkeypatch
):
    first, second = world_bundle(), world_bundle(1)
    publish(first, store, name)

    def killed(self, version, kinds, bundle):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(store), "switch", killed)
    monkeypatch.setattr("recsys.vector_stores.publish._abandon", lambda store, version: None)
    with pytest.raises(KeyboardInterrupt):
        publish(second, store, name)
    monkeypatch.undo()
    assert store.live().bundle == first.name and len(store.tables()) == 2
    assert listed(store, name, first, 4) == exact_list(first, 4, 5)
    publish(second, store, name)
    assert store.live().bundle == second.name and len(store.tables()) == 2


def test_a_push_writes_what_was_added_and_withdrawn(store, name, world_bundle, new_items):
    old = world_bundle()
    folder = old.path.parent
    publish(old, store, name, users=True)
    longer = old.append_items(old.read_new_items(new_items))
    new = Bundle.load(write_bundle(folder, longer))
    facts = push(new, folder, store, name)
    assert facts["changed"] == {"items": 2, "users": 0} and facts["recall"]["store"] == 1.0
    assert store.live().bundle == new.name
    table = table_name(name, "items", store.live().version)
    _, items = vectors(new)
    [found] = store.search(table, items[[41]], 60)
    assert len(found) == 41 and {"n'1", "n|2"} <= set(found)
    assert push(new, folder, store, name)["changed"] == {"items": 0, "users": 0}
    assert not publish(new, store, name)["written"]
    # Back to what it was: the new ones go.
    facts = push(old, folder, store, name)
    assert facts["gone"] == {"items": 2, "users": 0}
    [found] = store.search(table, items[[41]], 60)
    assert len(found) == 39


def test_a_push_of_another_training_is_refused(store, name, world_bundle):
    old, other = world_bundle(), world_bundle(1)
    with pytest.raises(UsageError, match=r"no shop\d+_items yet"):
        push(old, old.path.parent, store, name)
    publish(old, store, name)
    with pytest.raises(DataError, match="40 of 40 items have other vectors"):
        push(other, old.path.parent, store, name)
    assert store.live().bundle == old.name
    with pytest.raises(UsageError, match="what changed since cannot be told"):
        push(other, old.path, store, name)
