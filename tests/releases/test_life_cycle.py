"""Bundles of a run folder: promoted, rolled back, pruned; one at a time and never torn."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.core.artefacts import RunFolder, exclusive
from recsys.core.errors import DataError, GateRefused, UsageError
from recsys.releases import life_cycle
from recsys.releases.life_cycle import Promotion
from worlds import make_contents, write_world


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def written(folder, name, **card):
    """A bundle of its own content; later ones are newer."""
    path = write_world(
        folder.bundles,
        replace(make_contents(), model_card={"name": name, "family": "degree_prior", **card}),
    )
    return path.name


@pytest.fixture
def three(folder):
    return [written(folder, name) for name in "abc"]


def test_promote_and_rollback_keep_a_history(folder, three):
    a, b, c = three
    assert life_cycle.live(folder) is None
    with pytest.raises(UsageError, match="no earlier bundle"):
        life_cycle.rollback(folder)
    for name in (a, b, c[:6]):
        life_cycle.promote(folder, name)
    assert life_cycle.live(folder) == c and not folder.bundle.readlink().is_absolute()
    assert life_cycle.promote(folder, c) is None
    assert life_cycle.rollback(folder).bundle == b
    assert life_cycle.rollback(folder).bundle == a
    with pytest.raises(UsageError, match="no earlier bundle"):
        life_cycle.rollback(folder)
    switches = [(one.before, one.bundle, one.by) for one in life_cycle.history(folder)]
    assert switches == [
        (None, a, "promote"),
        (a, b, "promote"),
        (b, c, "promote"),
        (c, b, "rollback"),
        (b, a, "rollback"),
    ]
    assert len((folder.path / life_cycle.PROMOTIONS).read_text().splitlines()) == 5


def test_rollback_goes_where_an_unrecorded_switch_came_from(folder, three):
    """An older version switched without a record, or a process died between the link and the
    record.
    """
    a, b, _ = three
    life_cycle.promote(folder, a)
    folder.bundle.unlink()
    folder.bundle.symlink_to(Path("bundles") / b)
    assert life_cycle.rollback(folder).bundle == a


def test_a_worse_model_is_refused_unless_forced(folder):
    good, bad = (
        written(folder, "good", never_worse=True),
        written(folder, "bad", never_worse=False, verdict="Best: ItemKNN."),
    )
    life_cycle.promote(folder, good)
    with pytest.raises(GateRefused, match=r"Best: ItemKNN.*--force") as refused:
        life_cycle.promote(folder, bad)
    assert refused.value.exit_code == 4 and life_cycle.live(folder) == good
    assert life_cycle.promote(folder, bad, force=True).forced
    assert life_cycle.live(folder) == bad


def test_a_damaged_bundle_is_refused_and_the_old_one_stays(folder, three):
    a, b, _ = three
    life_cycle.promote(folder, a)
    life_cycle.promote(folder, b)
    for name, change in (
        (three[2], life_cycle.promote),
        (a, lambda folder, name: life_cycle.rollback(folder)),
    ):
        (folder.bundles / name / "user_vectors.npy").write_bytes(b"")
        with pytest.raises(DataError, match="cut short"):
            change(folder, name)
        with pytest.raises(DataError, match="cut short"):
            life_cycle.verify(folder, name)
    assert life_cycle.live(folder) == b == life_cycle.verify(folder, b).name


def test_unknown_and_ambiguous_names(folder, three):
    with pytest.raises(UsageError, match="there is no bundle 'nothing'"):
        life_cycle.promote(folder, "nothing")
    with pytest.raises(UsageError, match="there is no bundle ''"):
        life_cycle.find(folder, "")
    for extra in "123":
        (folder.bundles / f"same{extra}").mkdir()
        (folder.bundles / f"same{extra}" / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="3 bundles begin with 'same'"):
        life_cycle.find(folder, "same")


def test_listed(folder, three):
    a, b, c = three
    d = written(folder, "d", deciding="ndcg@5", test={"ndcg@5": 0.25}, verdict="Best.")
    life_cycle.promote(folder, a)
    life_cycle.promote(folder, d)
    found = life_cycle.listed(folder)
    assert [one.name for one in found] == [d, c, b, a]
    assert [(one.live, one.rolls_back_to, one.held) for one in found] == [
        (True, False, False),
        (False, False, True),
        (False, False, True),
        (False, True, False),
    ]
    assert (found[0].deciding, found[0].test, found[0].verdict, found[0].users, found[0].items) == (
        "ndcg@5",
        0.25,
        "Best.",
        30,
        40,
    )
    assert found[0].bytes == sum(file.stat().st_size for file in (folder.bundles / d).iterdir())


def test_prune_keeps_the_live_one_and_where_rollback_goes(folder, three):
    a, b, c = three
    d, e = written(folder, "d"), written(folder, "e")
    for name in (b, a):
        life_cycle.promote(folder, name)
    assert sorted(life_cycle.prune(folder, 1)) == sorted([c, d])
    assert {path.name for path in folder.bundles.iterdir()} == {a, b, e}
    assert life_cycle.rollback(folder).bundle == b
    with pytest.raises(UsageError, match="--keep 0"):
        life_cycle.prune(folder, 0)
    with folder.locked(), pytest.raises(UsageError, match="in use"):
        life_cycle.prune(folder, 1)


PROMOTE = """
import pathlib, sys
from recsys.core.artefacts import RunFolder
from recsys.core.errors import UsageError
from recsys.releases import life_cycle
print("ready", flush=True)
sys.stdin.readline()
try:
    life_cycle.promote(RunFolder(pathlib.Path(sys.argv[1])), sys.argv[2])
    print("won")
except UsageError as error:
    print(error)
"""


def test_two_promotes_at_once(folder, three):
    """One wins, or one after the other; whoever reads sees a whole bundle, and the history is the
    truth.
    """
    a, b, c = three
    life_cycle.promote(folder, a)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTE, folder.path, name], stdin=PIPE, stdout=PIPE, text=True
        )
        for name in (b, c)
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    while any(racer.poll() is None for racer in racers):
        assert (folder.bundle / "manifest.json").exists()
    outcomes = [racer.communicate()[0].strip() for racer in racers]
    assert "won" in outcomes and all(
        one == "won" or "is being switched by process" in one for one in outcomes
    )
    switches = life_cycle.history(folder)
    assert life_cycle.live(folder) == switches[-1].bundle in (b, c)
    assert all(later.before == earlier.bundle for earlier, later in pairwise(switches))


def test_a_promote_beside_another_is_refused_and_a_run_waits(folder, three):
    with (
        exclusive(folder.path / ".switch.lock", "", ""),
        pytest.raises(UsageError, match=str(os.getpid())),
    ):
        life_cycle.promote(folder, three[0])
    with ThreadPoolExecutor(1) as other:
        with exclusive(folder.path / ".switch.lock", "", ""):
            waiting = other.submit(life_cycle.publish, folder, folder.bundles / three[1])
            time.sleep(0.2)
            assert life_cycle.live(folder) is None
        assert waiting.result().by == "run"
    assert life_cycle.live(folder) == three[1]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=12))
def test_the_history_alone_tells_the_way_back(moves):
    """None rolls back. Against a pile kept beside: whatever was promoted, the way back is the same."""
    pile, switches = [], []
    for move in moves:
        if move is None and len(pile) > 1:
            before = pile.pop()
            switches.append(Promotion("", pile[-1], before, "rollback"))
        elif move is not None and pile[-1:] != [move]:
            switches.append(Promotion("", move, pile[-1] if pile else None, "promote"))
            pile.append(move)
    assert life_cycle._pile(switches) == pile


def test_a_line_of_the_history_is_json(folder, three):
    life_cycle.promote(folder, three[0], force=True)
    [line] = (folder.path / life_cycle.PROMOTIONS).read_text().splitlines()
    assert set(json.loads(line)) == {"time", "bundle", "before", "by", "forced"}
