"""A first bundle is live while the model is trained, and leaves no trace in the model's."""

from pathlib import Path

import pytest

import recsys.fitting.first_bundle
from chain import Settings
from pipelines.phases_on_disk import load_phase
from pipelines.run import run
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder
from recsys.core.progress import Quiet
from recsys.fitting.first_bundle import first_bundle
from recsys.lookup.lookup import Lookup
from recsys.releases.life_cycle import live, was_live


class Noting(Quiet):
    """Which bundle is live when a stage begins."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.live_at: dict[str, str | None] = {}
        self.cards: list[dict[str, object]] = []

    def say(self, message: str, **fields: object) -> None:
        if fields.get("skipped") is False:
            self.live_at[str(fields["stage"])] = live(self.folder)
        if fields.get("first"):
            self.cards.append(Bundle.load(self.folder.bundle).model_card)


def test_a_first_bundle_is_live_until_the_models_is(
    settings: Settings, world: Path, finished: RunFolder, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    noting = Noting(folder)
    run(settings(world, "first=true"), folder.path, noting)
    assert noting.live_at["count"] is None
    first = noting.live_at["graph-select"]
    assert first is not None and noting.live_at["bundle"] == first
    [card] = noting.cards
    assert card["first"] is True and card["model"] == "ItemKNN and popularity"
    # `finished` served no first bundle, and ends with the same.
    assert live(folder) == live(finished) != first
    assert was_live(folder, first)


def test_where_one_is_live_no_first_is_made(
    settings: Settings, world: Path, finished: RunFolder, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    noting = Noting(folder)
    run(settings(world, "first=true", "train.epochs=1"), folder.path, noting, until="count")
    assert noting.cards == [], "a part of the run publishes nothing"
    run(settings(world, "first=true"), folder.path, noting, until="graph-select")
    assert noting.cards == []


def test_lists_of_the_first_bundle_follow_the_history(
    settings: Settings, world: Path, finished: RunFolder
) -> None:
    phase = load_phase(finished.path, settings(world), "serve")
    bundle = first_bundle(phase, phase.graph)
    users = phase.interactions.users.ids.to_list()
    own, total = 0, 0
    for user, answer in zip(users, Lookup(bundle).recommend(users, 5), strict=True):
        for item in answer["items"]:
            # User n and item n belong to community n modulo 4; most of its items were taken.
            own += int(item["id"][1:]) % 4 == int(user[1:]) % 4
            total += 1
    assert own / total > 0.4


def test_a_dear_table_leaves_popularity(
    settings: Settings, world: Path, finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recsys.fitting.first_bundle, "_TABLE_SECONDS", 0.0)
    phase = load_phase(finished.path, settings(world), "serve")
    bundle = first_bundle(phase, phase.graph)
    assert bundle.model_card["model"] == "popularity"
    popularity = phase.interactions.popularity(phase.target)
    seen = phase.seen[:1].toarray()[0] > 0
    [user] = phase.interactions.users.ids.to_list()[:1]
    [answer] = Lookup(bundle).recommend([user], 1)
    [place] = phase.interactions.items.lookup([answer["items"][0]["id"]])
    assert popularity[place] == popularity[~seen].max()
    # Explanations say that an item is popular, and not that it is so of late.
    assert bundle.added is not None
    assert not bundle.added.trend.any()
    assert bundle.added.popular.argmax() == popularity.argmax()
