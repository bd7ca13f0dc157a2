import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from chain import Heard, Settings
from pipelines.commands.run import finish
from pipelines.plan import plan
from pipelines.run import run
from pipelines.stages import serving
from pipelines.summary import document
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import RunFolder, read_json
from recsys.core.config import RunConfig
from recsys.core.encoder import EncoderState
from recsys.core.errors import ConfigError, DataError, GateRefused
from recsys.core.machine import cores
from recsys.evaluate.document import Report
from recsys.logs.synthetic import communities
from recsys.releases.life_cycle import history, live, promote, rollback


def copy(finished: RunFolder, to: Path) -> Path:
    shutil.copytree(finished.path, to, symlinks=True)
    return to


def metrics(folder: Path) -> dict[str, dict[str, float]]:
    report = Report.load(folder / "report/report.json")
    return {
        row.name: {name: value.value for name, value in row.metrics.items()}
        for row in report.models
    }


def test_the_run_leaves_what_it_promises(finished: RunFolder) -> None:
    report = Report.load(finished.report / "report.json")
    assert [row.name for row in report.models] == ["model", "popularity", "itemknn", "lightgcn"]
    assert all(row.metrics and row.validation is not None for row in report.models)
    assert report.index is not None and set(report.index.differences.values()) == {0.0}
    assert report.verdict.line and report.worst_slice
    assert "<html" in (finished.report / "report.html").read_text(encoding="utf-8").lower()
    assert finished.read_manifest()["status"] == "done"
    assert not list(finished.path.rglob("*.tmp"))


def test_the_bundle_is_refitted_on_everything_and_says_so(finished: RunFolder) -> None:
    bundle = Bundle.load(finished.bundle)
    log = pl.read_parquet(finished.interactions / "log/items.parquet")
    assert bundle.items.ids.to_list() == log["item_id"].to_list()
    assert bundle.model_card["refit"] is True
    assert bundle.model_card["learnt_from"] == "the whole log"
    assert finished.bundle.is_symlink()


def test_the_models_beat_popularity_where_taste_is_local(finished: RunFolder) -> None:
    found = metrics(finished.path)
    assert found["model"]["ndcg@5"] > found["popularity"]["ndcg@5"]


def test_blends_that_were_tried_lie_beside_the_one_that_was_chosen(finished: RunFolder) -> None:
    folder = finished.path / "blend/select/model"
    tried = read_json(folder / "tried.json")
    chosen = read_json(folder / "blend.json")
    figures = finished.read_manifest()["stages"]["blend-select[model]"]["figures"]
    [found] = [one for one in tried if {**chosen, "value": one["value"]} == one]
    assert found["value"] == figures["value"]
    assert len(tried) > 10


def test_a_second_run_skips_every_stage(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    folder = copy(finished, tmp_path / "again")
    heard = Heard()
    assert run(settings(world), folder, heard).ran == []
    assert heard.text.count("unchanged, skipped") == sum(
        len(stage.buckets) for stage in plan(settings(world))
    )


def test_the_same_seed_in_another_folder_gives_the_same_metrics(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    run(settings(world), tmp_path / "other")
    assert metrics(tmp_path / "other") == metrics(finished.path)
    assert (tmp_path / "other/bundle").resolve().name == finished.bundle.resolve().name


def test_another_index_setting_runs_only_what_reads_it(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    folder = copy(finished, tmp_path / "index")
    ran = run(settings(world, "index.k=7"), folder).ran
    assert ran[0] == "index-final" and not any(
        name.startswith(("train", "tune", "ingest")) for name in ran
    )


def test_an_index_is_tested_beside_exact_lists(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    """Exact figures are those of the report's own row; an index that finds all lists the same."""
    folder = copy(finished, tmp_path / "index")
    sets = ("index.kind=ivf", "index.target_recall=0.99")
    run(settings(world, *sets), folder)
    report = Report.load(folder / "report/report.json")
    assert report.index is not None and report.index.kind == "ivf"
    own = metrics(folder)["model"]
    assert report.index.exact == {name: own[name] for name in report.index.exact}
    assert all(abs(value) < 0.02 for value in report.index.differences.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["auto", "hnsw"])
def test_a_busy_machine_leaves_the_same_bundle(
    kind: str, settings: Settings, world: Path, tmp_path: Path
) -> None:
    """Nothing that a clock measures decides what a bundle holds."""
    config = settings(world, f"index.kind={kind}", "index.latency_ms=0.3")
    run(config, tmp_path / "quiet")
    burning = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(burning) for _ in range(4 * cores())]
    try:
        run(config, tmp_path / "busy")
    finally:
        for other in others:
            other.kill()
            other.wait()
    quiet, busy = (tmp_path / name / "bundle" for name in ("quiet", "busy"))
    assert quiet.resolve().name == busy.resolve().name


def test_a_removed_link_is_made_again(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    folder = copy(finished, tmp_path / "unlinked")
    (folder / "bundle").unlink()
    assert run(settings(world), folder).ran == []
    assert (folder / "bundle").resolve().name == finished.bundle.resolve().name


def test_what_was_rolled_back_stays_so_until_something_changes(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    folder = RunFolder(copy(finished, tmp_path / "rolled-back"))
    first = live(folder)
    run(settings(world, "seed=1"), folder.path)
    second = live(folder)
    assert [(one.before, one.by) for one in history(folder)] == [
        (None, "run"),
        (first, "run"),
    ] and first != second
    assert rollback(folder).bundle == first
    assert run(settings(world, "seed=1"), folder.path).ran == [] and live(folder) == first
    # Of the same test users, the same values are kept in both.
    one, other = (Bundle.load(folder.bundles / str(name)).test_values for name in (first, second))
    assert one is not None and other is not None
    assert one.columns == other.columns and one["user_id"].equals(other["user_id"])
    report = Report.load(folder.report / "report.json").row("model").metrics
    assert other["ndcg@5"].mean() == pytest.approx(report["ndcg@5"].value)


def test_a_held_bundle_waits_for_its_promotion(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    folder = RunFolder(copy(finished, tmp_path / "held"))
    first = live(folder)
    run(settings(world, "seed=1"), folder.path, hold=True)
    held = document(folder)["held"]
    assert live(folder) == first == document(folder)["bundle"] and held not in (None, first)
    assert [one.by for one in history(folder)] == ["run"]
    assert (
        run(settings(world, "seed=1"), folder.path, hold=True).ran == [] and live(folder) == first
    )
    # The same run without holding it back makes it live, though no stage has to run.
    again = RunFolder(copy(folder, tmp_path / "let-go"))
    assert run(settings(world, "seed=1"), again.path).ran == [] and live(again) == held
    promote(folder, str(held), force=True)
    assert live(folder) == held and document(folder)["held"] is None
    assert rollback(folder).bundle == first and document(folder)["held"] is None


def test_a_first_bundle_can_be_held_too(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    folder = RunFolder(copy(finished, tmp_path / "first"))
    (folder.path / "bundle").unlink()
    (folder.path / "promotions.jsonl").unlink()
    run(settings(world), folder.path, hold=True)
    assert live(folder) is None and document(folder)["held"] == finished.bundle.resolve().name


def test_a_bundle_that_its_report_calls_worse_does_not_go_live(
    settings: Settings,
    finished: RunFolder,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The gate of `recsys promote`: what is found is printed, the old bundle stays, exit 4."""
    card_of = serving._model_card
    worse = {"never_worse": False, "verdict": "ItemKNN is better"}
    monkeypatch.setattr(serving, "_model_card", lambda *about: {**card_of(*about), **worse})
    folder = RunFolder(copy(finished, tmp_path / "worse"))
    before = live(folder)
    config = settings(world, "refit=false")
    with pytest.raises(GateRefused, match="does not go live: ItemKNN is better") as refused:
        finish(config, folder.path, as_json=False, log_json=False, quiet=False)
    assert refused.value.exit_code == 4 and live(folder) == before
    assert f"serving bundle {before}, holding" in capsys.readouterr().out
    manifest = run(config, folder.path)
    assert manifest.refusal is not None and live(folder) == before  # nor on the second try
    made = manifest.entries["bundle"].figures["bundle"]
    assert str(manifest.refusal).endswith(f"recsys promote RUN {made} --force")
    promote(folder, made, force=True)  # as the remedy says
    assert live(folder) == made
    rollback(folder)
    assert run(config, folder.path, force=True, since="bundle", fresh=True).refusal is None
    assert live(folder) == made


def test_the_bundle_carries_the_report(finished: RunFolder) -> None:
    report = Bundle.load(finished.bundle).report
    assert report is not None
    assert report.document == read_json(finished.report / "report.json")
    assert report.page == (finished.report / "report.html").read_text(encoding="utf-8")


def test_without_refit_the_tested_model_is_served(
    settings: Settings, finished: RunFolder, world: Path, tmp_path: Path
) -> None:
    folder = copy(finished, tmp_path / "tested")
    ran = run(settings(world, "refit=false"), folder).ran
    assert "train-serve[model]" not in ran and ran[-1] == "bundle"
    card = Bundle.load(folder / "bundle").model_card
    assert card["refit"] is False and card["epochs"] >= 1


def test_few_warm_users_are_told_with_the_remedy(
    settings: Settings, world: Path, tmp_path: Path
) -> None:
    heard = Heard()
    run(settings(world), tmp_path / "run", heard, until="audit")
    assert "warm test users: 80" in heard.lines
    assert "fewer than 300" in heard.text and "last_share" in heard.text
    assert "beside it: a global time cut" in heard.text


def test_the_number_of_epochs_is_chosen_once_and_kept(finished: RunFolder) -> None:
    chosen = {
        phase: read_json(finished.checkpoint / phase / "model/training.json")
        for phase in ("select", "serve")
    }
    assert chosen["select"]["epochs"] == chosen["serve"]["epochs"]
    assert chosen["select"]["value"] is not None and chosen["serve"]["value"] is None


def test_a_dear_baseline_is_skipped_and_named(
    settings: Settings, world: Path, tmp_path: Path
) -> None:
    heard = Heard()
    config = settings(world, "evaluate.baseline_minutes=1e-9", "evaluate.baselines=['itemknn']")
    run(config, tmp_path / "run", heard)
    row = Report.load(tmp_path / "run/report/report.json").row("itemknn")
    assert row.skipped and not row.metrics
    assert "ItemKNN skipped" in heard.text


def test_published_files_keep_their_split(settings: Settings, world: Path, tmp_path: Path) -> None:
    log = pl.read_parquet(world / "log.parquet").unique(["user_id", "item_id"], maintain_order=True)
    parts = {
        "train": log.with_row_index().filter(pl.col("index") % 5 != 0),
        "test": log.gather_every(5),
    }
    for part, rows in parts.items():
        rows.write_parquet(tmp_path / f"{part}.parquet")
    config = settings(
        world, "split.method=given", *(f"data.{part}={tmp_path}/{part}.parquet" for part in parts)
    )
    config = config.model_copy(update={"data": config.data.model_copy(update={"log": None})})
    run(config, tmp_path / "run", until="audit")
    split = read_json(tmp_path / "run/interactions/split/split.json")
    assert split["method"] == "given"


def test_behaviours_need_a_target_and_then_run(settings: Settings, tmp_path: Path) -> None:
    world = communities(
        num_users=60, num_items=40, events_per_user=25, behaviors=("view", "buy"), seed=1
    )
    world.log.write_parquet(tmp_path / "log.parquet")
    world.items.write_parquet(tmp_path / "items.parquet")
    with pytest.raises(ConfigError, match=r"graph\.target"):
        run(settings(tmp_path, "data.behavior_col=behavior"), tmp_path / "run")
    wanted = ("data.behavior_col=behavior", "graph.target=buy", "evaluate.baselines=['popularity']")
    run(settings(tmp_path, *wanted), tmp_path / "run")
    assert Report.load(tmp_path / "run/report/report.json").facts.target == "buy"


def test_a_test_without_warm_users_is_refused(settings: Settings, tmp_path: Path) -> None:
    rows = {
        "user_id": ["a", "b", "c"],
        "item_id": ["x", "y", "z"],
        "timestamp": [1_600_000_000 + n for n in range(3)],
    }
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    pl.DataFrame({"item_id": ["x"], "title": ["X"]}).write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match=r"warm|rows|known"):
        run(settings(tmp_path, "split.method=global_time"), tmp_path / "run")


@pytest.mark.parametrize("method", ["global_time", "random", "last_share", "leave_last"])
def test_users_with_a_single_row_are_told_apart_from_a_wrong_split(
    settings: Settings, tmp_path: Path, method: str
) -> None:
    log = visits(tmp_path)
    sets = (f"split.method={method}", f"data.log={log}", "data.items=none")
    with pytest.raises(DataError, match="every user has a single row") as caught:
        run(settings(tmp_path, *sets, "data.user_col=visit"), tmp_path / "run", until="audit")
    assert "split.method" not in caught.value.remedy and "--user-col" in caught.value.remedy
    run(settings(tmp_path, *sets, "data.user_col=customer"), tmp_path / "run", until="audit")


def visits(folder: Path) -> Path:
    """Every visit is of another id; customers come again and again."""
    customers, days = 12, 9
    rows = [
        (f"v{day * customers + customer}", f"c{customer}", f"i{(day + customer) % 5}", day)
        for day in range(days)
        for customer in range(customers)
    ]
    table = pl.DataFrame(rows, schema=["visit", "customer", "item_id", "day"], orient="row")
    table = table.with_columns(timestamp=1_600_000_000 + 86_400 * pl.col("day"))
    table.write_parquet(folder / "visits.parquet")
    return folder / "visits.parquet"


def test_only_splits_that_leave_warm_users_are_named(settings: Settings, tmp_path: Path) -> None:
    # Every user comes on one day and never again: a cut in time knows nobody.
    rows = [
        (f"u{user}", f"i{(item + user) % 8}", 1_600_000_000 + 86_400 * user + item)
        for user in range(20)
        for item in range(8)
    ]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    table.write_parquet(tmp_path / "log.parquet")
    sets = ("split.method=global_time", "split.test_share=0.2", "data.items=none")
    with pytest.raises(DataError, match="none of the 32 test rows") as caught:
        run(settings(tmp_path, *sets), tmp_path / "run", until="audit")
    named = re.findall(r'split\.method = "(\w+)" \((\d+) warm users', caught.value.remedy)
    assert dict(named).keys() == {"last_share", "leave_last", "random"}
    for method, warm in named:
        heard = Heard()
        run(
            settings(tmp_path, *sets, f"split.method={method}"),
            tmp_path / method,
            heard,
            until="audit",
        )
        assert f"warm test users: {warm}" in heard.lines


def test_the_plan_names_each_stage_once() -> None:
    names = [stage.name for stage in plan(RunConfig())]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("family", ["gat", "gatv2"])
def test_the_textbook_layers_go_through_the_chain(
    settings: Settings, world: Path, tmp_path: Path, family: str
) -> None:
    run(
        settings(world, f"model.family={family}", "evaluate.baselines=['popularity']"),
        tmp_path / "run",
    )
    assert Bundle.load(tmp_path / "run/bundle").encoder.family == family


def test_sampled_training_and_attributes_go_through_the_chain(
    settings: Settings, world: Path, tmp_path: Path
) -> None:
    wanted = [
        "model.family=degree_prior",
        "train.mode=sampled",
        "train.epochs=1",
        "graph.attributes=[{column='genres'}]",
        "evaluate.baselines=[]",
    ]
    run(settings(world, *wanted), tmp_path / "run")
    report = Report.load(tmp_path / "run/report/report.json")
    assert "diversity@5" in report.row("model").metrics


def test_what_attention_learnt_of_fading_is_told_and_served(
    settings: Settings, world: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    sets = ["model.family=degree_prior", "model.learn_weight_power=true", "graph.half_life_days=20"]
    run(settings(world, *sets), out)
    rows = {row.name: row for row in Report.load(out / "report/report.json").models}
    powers = {
        key: value
        for key, value in rows["model"].params.items()
        if key.endswith("weights to the power")
    }
    assert (
        len(powers) == 2
        and all(power > 0 for power in powers.values())
        and set(powers.values()) != {1.0}
    )
    assert not any("power" in key for key in rows["lightgcn"].params)
    # A bundle encodes its users anew and refuses what differs from training.
    assert EncoderState.load(RunFolder(out).bundle).relations[0].weight_power is not None
