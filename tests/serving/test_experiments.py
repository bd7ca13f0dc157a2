"""Experiments over HTTP: who gets which bundle, what is written down, and what the report makes of it."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patience import eventually
from pipelines.forget import forget
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder, switch_link, write_json
from recsys.core.errors import DataError, UsageError
from recsys.core.json_lines import lock_of
from recsys.experiments.definition import FOLDER, Experiment, all_experiments, answers_of, latest
from recsys.experiments.exploration import drawn_order
from recsys.lookup.lookup import Lookup
from recsys.releases import life_cycle
from recsys.releases.trials import WantedArm, start_experiment, stop_experiment
from servers import ask, running
from serving.client import Client
from serving.impressions import ImpressionLog, ImpressionRow
from serving.settings import Settings
from worlds import USERS
from written import json_rows

ALL = [f"u{number:02}" for number in range(USERS)]


@pytest.fixture
def folder(tmp_path: Path, bundle_path: Path, other_bundle_path: Path) -> RunFolder:
    """A run with two bundles, the first of them live."""
    run = RunFolder(tmp_path / "run")
    for path in (bundle_path, other_bundle_path):
        shutil.copytree(path, run.bundles / path.name)
    switch_link(run.bundle, run.bundles / bundle_path.name)
    write_json(run.manifest, {})
    return run


@pytest.fixture
def settings(folder: RunFolder) -> Settings:
    events = folder.path / "events.jsonl"
    return Settings(folder.bundle, folder.path, events=events, poll_seconds=0.05)


@pytest.fixture
def names(bundle_path: Path, other_bundle_path: Path) -> tuple[str, str]:
    return bundle_path.name, other_bundle_path.name


@pytest.fixture
def start(folder: RunFolder, names: tuple[str, str]) -> Callable[..., Experiment]:
    def start(**settings: Any) -> Experiment:
        """With somebody in every arm, and in none: who is where follows from its id."""
        arms = [WantedArm("control", "live", 0.3), WantedArm("new", names[1], 0.3)]
        while True:
            experiment = start_experiment(folder, arms, holdout=0.2, **settings)
            if len(set(arms_of(experiment).values())) == 4:
                return experiment
            shutil.rmtree(folder.path / FOLDER)

    return start


def arms_of(experiment: Experiment) -> dict[str, str | None]:
    from recsys.experiments.assignment import arm_of

    found: dict[str, str | None] = {}
    for user in ALL:
        arm = arm_of(user, experiment.id, experiment.shares)
        found[user] = None if arm is None else experiment.arms[arm].name
    return found


def ids(answer: Any) -> list[str]:
    return [item["id"] for item in answer["items"]]


def shown(answer: dict[str, Any], user: str, **more: Any) -> dict[str, Any]:
    items = [{"item": item["id"], "place": item["rank"]} for item in answer["items"]]
    return {"answer": answer["answer"], "user": user, "items": items, **more}


@pytest.fixture
def lookups(folder: RunFolder, names: tuple[str, str]) -> dict[str | None, Lookup]:
    """What answers in each arm; the live bundle for whoever is in none."""
    live, other = (Lookup(Bundle.load(folder.bundles / name)) for name in names)
    return {None: live, "control": live, "new": other}


def expected(lookups: dict[str | None, Lookup], arm: str | None, user: str, k: int) -> list[str]:
    if arm != "holdout":
        return ids(lookups[arm].recommend([user], k)[0])
    [everybody] = lookups[None].recommend(["nobody"], 40, fallback="popularity")
    [everything] = lookups[None].recommend([user], 40)  # but what they have seen
    return [item for item in ids(everybody) if item in ids(everything)][:k]


def test_every_list_has_an_id_of_its_own(address: str) -> None:
    _, one = ask(f"{address}/v1/recommend/u01?k=2")
    _, same = ask(f"{address}/v1/recommend/u01?k=2")
    _, many = ask(f"{address}/v1/recommend", {"requests": [{"user": "u01"}, {}, {"user": "?"}]})
    _, reasons = ask(f"{address}/v1/recommend/u01?k=2&explain=true")
    found = [answer["answer"] for answer in (one, same, reasons, *many["answers"])]
    assert len(set(found)) == 6 and all(len(name) == 12 for name in found)
    assert one["items"] == same["items"]


@pytest.mark.parametrize("path", ["get", "post", "batch", "explain"])
def test_every_user_gets_the_bundle_of_their_arm(
    settings: Settings,
    start: Callable[..., Experiment],
    lookups: dict[str | None, Lookup],
    folder: RunFolder,
    path: str,
) -> None:
    experiment = start()
    arms = arms_of(experiment)
    with running(settings) as address:
        answers = {}
        if path == "batch":
            body = {"requests": [{"user": user} for user in ALL], "k": 5}
            _, found = ask(f"{address}/v1/recommend", body)
            answers = dict(zip(ALL, found["answers"], strict=True))
        else:
            for user in ALL:
                if path == "post":
                    body = {"requests": [{"user": user}], "k": 5}
                    answers[user] = ask(f"{address}/v1/recommend", body)[1]["answers"][0]
                else:
                    explain = str(path == "explain").lower()
                    url = f"{address}/v1/recommend/{user}?k=5&explain={explain}"
                    answers[user] = ask(url)[1]
    for user, answer in answers.items():
        assert ids(answer) == expected(lookups, arms[user], user, 5), (user, arms[user])
        assert (answer["source"] == "fallback") == (arms[user] == "holdout")
    written = json_rows(answers_of(folder, experiment))
    told = {row["user_id"]: (row["answer"], row["arm"], row["items"]) for row in written}
    assert told == {
        user: (answer["answer"], arms[user], ids(answer))
        for user, answer in answers.items()
        if arms[user] is not None
    }


def test_visitors_without_an_id_and_forgotten_people_are_in_no_experiment(
    settings: Settings, start: Callable[..., Experiment], folder: RunFolder, names: tuple[str, str]
) -> None:
    experiment = start()
    [someone, *_] = [user for user, arm in arms_of(experiment).items() if arm == "new"]
    forget(folder, someone)
    renamed = latest(folder)
    assert renamed is not None and not renamed.bundles & set(names)
    with running(settings) as address:
        body = {"requests": [{"history": [{"item": "i01"}]}, {"user": someone}]}
        _, found = ask(f"{address}/v1/recommend", body)
        status, told = ask(
            f"{address}/v1/impressions", {"impressions": [shown(found["answers"][1], someone)]}
        )
    assert {answer["model_version"] for answer in found["answers"]} == {life_cycle.live(folder)}
    assert (status, told) == (200, {"accepted": 0, "forgotten": 1})
    assert not json_rows(answers_of(folder, experiment))
    assert not json_rows(folder.path / "impressions.jsonl")


def test_forgetting_takes_answers_and_impressions_away(
    settings: Settings, start: Callable[..., Experiment], folder: RunFolder
) -> None:
    experiment = start()
    arms = arms_of(experiment)
    gone, stays = [user for user, arm in arms.items() if arm is not None][:2]
    with running(settings) as address:
        for user in (gone, stays, gone):
            _, answer = ask(f"{address}/v1/recommend/{user}")
            ask(f"{address}/v1/impressions", {"impressions": [shown(answer, user)]})
    receipt = forget(folder, gone)
    assert (receipt.answers, receipt.impressions) == (2, 2)
    for file in (answers_of(folder, experiment), folder.path / "impressions.jsonl"):
        assert [row["user_id"] for row in json_rows(file)] == [stays]
        assert gone not in file.read_text()


def test_services_follow_what_is_started_and_stopped(
    settings: Settings, start: Callable[..., Experiment], folder: RunFolder, names: tuple[str, str]
) -> None:
    with running(settings) as address:

        def versions() -> Counter[str]:
            body = {"requests": [{"user": user} for user in ALL], "k": 1}
            _, found = ask(f"{address}/v1/recommend", body)
            return Counter(answer["model_version"] for answer in found["answers"])

        assert set(versions()) == {names[0]}
        experiment = start()
        eventually(lambda: set(versions()) == set(names), "the experiment is not followed")
        with pytest.raises(UsageError, match="is under way"):
            start()
        stop_experiment(folder)
        eventually(lambda: set(versions()) == {names[0]}, "its end is not followed")
        with pytest.raises(UsageError, match="no experiment under way"):
            stop_experiment(folder)
        assert [one.id for one in all_experiments(folder)] == [experiment.id]


def test_after_a_restart_everybody_has_the_arm_of_before(
    settings: Settings, start: Callable[..., Experiment], folder: RunFolder
) -> None:
    experiment = start()
    for _ in range(2):
        with running(settings) as address:
            for user in ALL:
                ask(f"{address}/v1/recommend/{user}?k=1")
    counts = Counter(
        (row["user_id"], row["arm"]) for row in json_rows(answers_of(folder, experiment))
    )
    arms = arms_of(experiment)
    assert counts == {(user, arm): 2 for user, arm in arms.items() if arm is not None}


def test_a_damaged_bundle_of_an_arm_is_told_and_left_out_of_the_report(
    settings: Settings, start: Callable[..., Experiment], folder: RunFolder, names: tuple[str, str]
) -> None:
    experiment = start()
    vectors = next((folder.bundles / names[1]).glob("*.npy"))
    vectors.write_bytes(vectors.read_bytes()[:-8] + b"damaged!")
    arms = arms_of(experiment)
    with running(settings) as address:
        assert "arm 'new'" in ask(f"{address}/readyz")[1]["experiment"]
        for user in ALL:
            _, answer = ask(f"{address}/v1/recommend/{user}?k=2")
            assert answer["model_version"] == names[0]
            ask(f"{address}/v1/impressions", {"impressions": [shown(answer, user)]})
        _, report = ask(f"{address}/v1/admin/experiment")
    of_new = list(arms.values()).count("new")
    assert report["excluded"]["fallbacks"] == of_new
    control, new, _ = report["arms"]
    assert (new["assigned"], new["lists"]) == (of_new, 0)
    assert control["lists"] == list(arms.values()).count("control")
    assert any("could not be loaded" in note for note in report["notes"])


def test_bundles_of_an_experiment_are_not_pruned_while_it_goes_on(
    folder: RunFolder, start: Callable[..., Experiment], names: tuple[str, str]
) -> None:
    start()
    life_cycle.promote(folder, names[1])
    switch_link(folder.bundle, folder.bundles / names[1])
    life_cycle.write_history(folder, [])
    assert life_cycle.prune(folder, 1) == []
    stop_experiment(folder)
    assert life_cycle.prune(folder, 1) == [names[0]]


def test_an_experiment_of_a_damaged_bundle_does_not_begin(
    folder: RunFolder, start: Callable[..., Experiment], names: tuple[str, str]
) -> None:
    vectors = next((folder.bundles / names[1]).glob("*.npy"))
    vectors.write_bytes(b"")
    with pytest.raises(DataError):
        start()
    assert latest(folder) is None


def test_drawn_lists_are_those_of_their_ids_and_their_propensity_is_written_down(
    settings: Settings,
    start: Callable[..., Experiment],
    folder: RunFolder,
    lookups: dict[str | None, Lookup],
) -> None:
    experiment = start(explore=1.0, pool=8)
    arms = arms_of(experiment)
    with running(settings) as address:
        answers = {user: ask(f"{address}/v1/recommend/{user}?k=5")[1] for user in ALL}
        ask(f"{address}/v1/recommend/{ALL[0]}?k=9")  # longer than what is drawn from
        ask(f"{address}/v1/recommend/{ALL[0]}?k=5&offset=5")
        ask(f"{address}/v1/recommend/{ALL[0]}?k=5&filters=country:nowhere")
    written = {row["answer"]: row for row in json_rows(answers_of(folder, experiment))}
    for user, answer in answers.items():
        arm = arms[user]
        assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4, 5]
        if arm in ("control", "new"):
            best = expected(lookups, arm, user, 8)
            order = drawn_order(answer["answer"], experiment.id, 8)[:5]
            assert ids(answer) == [best[place] for place in order]
            row = written.pop(answer["answer"])
            assert (row["pool"], row["propensity"], row["drawn"]) == (best, 1 / 8, True)
            assert json.loads(row["options"]) == {"k": 5}
        elif arm == "holdout":
            assert ids(answer) == expected(lookups, arm, user, 5)
            row = written.pop(answer["answer"])
            assert row["drawn"] and "pool" not in row
    assert not any("drawn" in row for row in written.values())


def test_too_few_items_to_draw_from_give_the_list_itself(
    settings: Settings, start: Callable[..., Experiment], folder: RunFolder
) -> None:
    experiment = start(explore=1.0, pool=100)
    with running(settings) as address:
        answers = [ask(f"{address}/v1/recommend/{user}?k=5")[1] for user in ALL]
    assert all(len(answer["items"]) == 5 and "note" not in answer for answer in answers)
    written = json_rows(answers_of(folder, experiment))
    assert written and all(row["drawn"] and "pool" not in row for row in written)


def test_impressions_count_once_and_wrong_ones_fail_alone(
    settings: Settings, folder: RunFolder
) -> None:
    file = folder.path / "impressions.jsonl"
    with running(settings) as address:
        _, answer = ask(f"{address}/v1/recommend/u01?k=4")
        good = shown(answer, "u01", time=1_700_000_000)
        later = {**good, "items": [{"item": "i39", "place": 5}]}
        wrong = [
            {**good, "answer": "x"},
            {**good, "items": []},
            {**good, "items": [{"item": "a", "place": 1}, {"item": "b", "place": 1}]},
            {**good, "user": ""},
            5,
        ]
        status, told = ask(
            f"{address}/v1/impressions", {"impressions": [good, *wrong, later, good]}
        )
        assert (status, told["accepted"], told["repeated"]) == (200, 2, 1)
        assert [one["place"] for one in told["rejected"]] == [1, 2, 3, 4, 5]
        assert all(one["detail"] and one["remedy"] for one in told["rejected"])
        status, told = ask(f"{address}/v1/impressions", {"impressions": wrong})
        assert (status, told["detail"].startswith("impressions.0: answer")) == (400, True)
    with running(settings) as address:  # and after a restart
        again = {"impressions": [{**good, "items": good["items"][::-1]}, later]}
        assert ask(f"{address}/v1/impressions", again)[1] == {"accepted": 0, "repeated": 2}
    assert [row["places"] for row in json_rows(file)] == [[1, 2, 3, 4], [5]]
    assert json_rows(file)[0]["timestamp"] == 1_700_000_000


def test_two_processes_take_an_impression_once(tmp_path: Path) -> None:
    file = tmp_path / "impressions.jsonl"
    one, other = ImpressionLog(file), ImpressionLog(file)
    row: ImpressionRow = {
        "answer": "a" * 12,
        "user_id": "u",
        "timestamp": 5,
        "items": ["x"],
        "places": [1],
    }
    assert one.append([row]) == [True]
    assert other.append([row, {**row, "items": ["y"]}]) == [False, True]
    assert one.append([{**row, "items": ["y"]}]) == [False]
    assert lock_of(file).exists()


def test_a_service_of_one_bundle_takes_no_impressions(address: str) -> None:
    body = {
        "impressions": [{"answer": "a" * 12, "user": "u", "items": [{"item": "i", "place": 1}]}]
    }
    assert ask(f"{address}/v1/impressions", body)[0] == 404
    assert ask(f"{address}/v1/admin/experiment")[0] == 404


def test_what_cannot_be_written_or_read_is_refused_with_a_code(
    settings: Settings,
    start: Callable[..., Experiment],
    folder: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start()
    with running(settings) as address:
        _, answer = ask(f"{address}/v1/recommend/u01?k=2")
        monkeypatch.setattr("serving.trial_report.MOST_MEGABYTES", -1.0)
        status, told = ask(f"{address}/v1/admin/experiment")
        assert (status, told["code"]) == (409, "logs_too_large")
        (folder.path / "impressions.jsonl").mkdir()
        body = {"impressions": [shown(answer, "u01")]}
        status, told = ask(f"{address}/v1/impressions", body)
        assert (status, told["code"]) == (503, "impressions_not_written")
        (folder.path / "impressions.jsonl").rmdir()
        assert ask(f"{address}/v1/impressions", body) == (200, {"accepted": 1})


def test_the_disk_being_full_stops_no_answer(
    settings: Settings, start: Callable[..., Experiment], folder: RunFolder
) -> None:
    experiment = start()
    answers_of(folder, experiment).mkdir()  # cannot be written to
    with running(settings) as address:
        assert all(ask(f"{address}/v1/recommend/{user}?k=2")[0] == 200 for user in ALL)
        assert "do not count" in ask(f"{address}/readyz")[1]["experiment"]


def cli(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "experiment", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def test_the_whole_way_from_the_command_line_and_back(
    settings: Settings, folder: RunFolder, names: tuple[str, str]
) -> None:
    """Start, ask, show, click, report: as an operator, a shop and its visitors do it."""
    run = str(folder.path)
    clicking = np.random.default_rng(0)
    people = [f"visitor {number}" for number in range(600)]
    clicks: dict[str, bool] = {}
    with running(settings) as address, Client(address) as client:
        began = cli(
            "start",
            run,
            "--arm",
            "control=live:0.5",
            "--arm",
            f"new={names[1][:6]}:0.5",
            "--explore",
            "0.2",
            "--effect",
            "0.2",
            "--json",
        )
        bundles = dict(zip(names, ("control", "new"), strict=True))
        eventually(
            lambda: len({client.recommend(user)["model_version"] for user in ALL}) == 2,
            "the experiment is not followed",
        )
        for user in people:
            client.send([{"user": user, "item": "i01", "behavior": "view"}])
            answer = client.recommend(user, 5)
            arm = bundles[answer["model_version"]]
            assert client.shown(user, answer)["accepted"] == 1
            assert client.shown(user, answer) == {"accepted": 0, "repeated": 1}
            clicked = bool(clicking.random() < {"control": 0.2, "new": 0.5}[arm])
            if clicked:
                item, name = answer["items"][0]["id"], answer["answer"]
                client.send([{"user": user, "item": item, "behavior": "view", "answer": name}])
            clicks[answer["answer"]] = clicked
        _, served = ask(f"{address}/v1/admin/experiment")
    report = cli("report", run, "--estimate", names[1], "--json")
    counted: dict[str, list[bool]] = {"control": [], "new": []}
    for row in json_rows(folder.path / FOLDER / f"{began['id']}.answers.jsonl"):
        if row["answer"] in clicks and "drawn" not in row:
            counted[row["arm"]].append(clicks[row["answer"]])
    for found in (served, report):
        for arm in found["arms"]:
            of_arm = counted[arm["name"]]
            assert arm["lists"] == len(of_arm) > 150
            assert arm["rates"]["click_through"]["value"] == pytest.approx(np.mean(of_arm))
        [comparison] = found["comparisons"]
        assert (comparison["arm"], comparison["verdict"]) == ("new", "better")
        assert not found["split"]["alarm"] and found["experiment"] == began["id"]
        assert found["excluded"]["foreign"] == found["excluded"]["clicks"] == 0
    assert 60 < report["excluded"]["explored"] < 200
    [estimate] = report["estimates"]
    assert estimate["lists"] > 60 and estimate["matches"] > 10 and 0 < estimate["coverage"] <= 1
    text = cli("report", run)
    assert "better" in text and "click_through" in text
    cli("stop", run)
    assert cli("list", run, "--json")["experiments"][0]["ended"] is not None
