"""What a run folder holds, as tables and as a document; reads JSON files only."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.console import print_table, print_text
from pipelines.stages.took import budget_document, left_out
from recsys.core.artefacts import RunFolder, read_json
from recsys.releases.life_cycle import live, was_live

Rows = list[list[object]]


def document(folder: RunFolder, ran: Sequence[str] = ()) -> dict[str, Any]:
    """Manifest, report and cards of a run; `ran` names the stages that were not skipped just now."""
    manifest = folder.read_manifest()
    stages = {name: manifest["stages"][name] for name in manifest["order"]}
    skipped = []
    if manifest["status"] == "done":
        skipped = [name for name in stages if name not in ran]
    briefs = {name: _brief(entry) for name, entry in stages.items()}
    return {
        "run": str(folder.path),
        "status": manifest["status"],
        "ran": list(ran),
        "skipped": skipped,
        "bundle": live(folder),
        "held": _held(folder, stages),
        "report": _read(folder, "report/report.json"),
        "index_card": _read(folder, "bundle/index_card.json"),
        "stages": briefs,
        "config": manifest["config"],
        "versions": manifest["versions"],
    }


def _held(folder: RunFolder, stages: Mapping[str, Any]) -> str | None:
    """The bundle of the run when it was never live."""
    if "bundle" not in stages:
        return None
    name: str = stages["bundle"]["figures"]["bundle"]
    return None if was_live(folder, name) else name


def print_summary(folder: RunFolder) -> None:
    """Data, models, index and timings, as tables on stdout."""
    summary = document(folder)
    # A bundle that a gate kept from going live.
    holding = f", holding {summary['held']}" if summary["held"] else ""
    run = f"run {summary['run']} ({summary['status']})"
    print_text(f"{run}, serving bundle {summary['bundle']}{holding}")
    _print_side_tables(_read(folder, "interactions/log/ingest.json"))
    report = summary["report"]
    if report:
        print_table("Data", ["", ""], _data_rows(report["facts"]))
        _print_models(report)
    if summary["index_card"]:
        print_table("Index", ["", ""], _flat(summary["index_card"]))
    columns = ["stage", "rows in", "rows out", "dropped", "seconds", "processor"]
    columns += ["forecast", "peak MB"]
    forecasts = budget_document(folder).get("forecast", {})
    rows = []
    for name, entry in summary["stages"].items():
        rows.append(_stage_row(name, entry, forecasts.get(name)))
    print_table("Stages", columns, rows)
    for missing in left_out(folder):
        print_text(f"left out: {missing.part}: {missing.loss}")
    if report:
        sentences = [report["headline"], report["verdict"]["line"], report["worst_slice"]]
        print_text("\n".join(sentences))
        print_text(f"Report: {folder.report / 'report.html'}")


def warnings_of(folder: RunFolder) -> list[str]:
    """What looks wrong in the log and the tables beside it."""
    ingested = _read(folder, "interactions/log/ingest.json") or {}
    return list(ingested.get("warnings", []))


def _print_side_tables(ingested: Mapping[str, Any] | None) -> None:
    """What was read of the tables beside the log, and what is wrong with them."""
    # Runs of earlier versions did not write it.
    facts_of_log = ingested or {}
    side_tables = facts_of_log.get("side_tables", [])
    rows: Rows = []
    for facts in side_tables:
        matched = f"{facts['matched']:,} of {facts['log_ids']:,}"
        counts = [f"{facts[key]:,}" for key in ("rows", "without_id", "repeated")]
        rows.append([facts["table"], facts["file"], *counts, matched])
    if rows:
        columns = ["table", "file", "rows", "without id", "repeated", "ids of the log matched"]
        print_table("Side tables", columns, rows)
    for warning in facts_of_log.get("warnings", []):
        print_text(f"warning: {warning}")


def _print_models(report: Mapping[str, Any]) -> None:
    """Every model with the deciding metrics; a star marks differences from the model that count."""
    k = report["deciding"].partition("@")[2]
    metrics = [report["deciding"], f"recall@{k}", f"hr@{k}", f"coverage@{k}"]
    columns = ["model", f"{report['deciding']} on validation", *metrics, "95 % interval", "seconds"]
    findings = {}
    for comparison in report["comparisons"]:
        if comparison["metric"] == report["deciding"]:
            findings[comparison["other"]] = comparison
    rows = []
    for model in report["models"]:
        rows.append(_model_row(model, metrics, findings.get(model["name"])))
    title = f"Models on the test, {report['facts']['warm_users']:,} users"
    print_table(title, [*columns, "model against it"], rows)
    if report.get("served"):
        _print_served(report["served"])
    if report.get("similar_items"):
        print_text(report["similar_items"])
    if report.get("agreement"):
        agreement = report["agreement"]
        print_text(
            f"validation and test: rank correlation {agreement['tau']:.2f} over all models, "
            f"{agreement['turned']} of {agreement['pairs']} pairs the other way round"
        )


def _print_served(served: Mapping[str, Any]) -> None:
    """What goes live, beside what else there is on validation."""
    print_text(served["line"])
    rows: Rows = []
    for row in served["rows"]:
        value = _number(row["value"])
        difference = f"{row['difference']:+.4f}"
        rows.append([row["title"], value, difference, _number(row["error"])])
    columns = ["compared with", "on validation", "what goes live minus it", "standard error"]
    print_table(f"What goes live, {served['users']:,} validation users", columns, rows)


def _model_row(
    row: Mapping[str, Any], metrics: Sequence[str], finding: Mapping[str, Any] | None
) -> list[object]:
    if row["skipped"]:
        # Metrics, interval, seconds and finding stay empty.
        empty = [""] * (len(metrics) + 3)
        return [row["title"], f"skipped: {row['skipped']}", *empty]
    values = row["metrics"]
    numbers = [_number(values[name]["value"]) for name in metrics]
    deciding = values[metrics[0]]
    interval = f"{deciding['low']:.4f} to {deciding['high']:.4f}"
    seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
    against = ""
    if finding:
        against = f"{finding['difference']:+.4f} {finding['finding']}"
    return [row["title"], _number(row["validation"]), *numbers, interval, seconds, against]


def _data_rows(facts: Mapping[str, Any]) -> Rows:
    label = "time-safe" if facts["time_safe"] else "not time-safe"
    counts = [f"{name} {count:,}" for name, count in facts["rows"].items()]
    rows: Rows = [
        ["log", facts["data"]],
        ["users, items", f"{facts['users']:,}, {facts['items']:,}"],
        ["target", facts["target"]],
        ["split", f"{facts['split']} ({label})"],
        ["rows", ", ".join(counts)],
        ["warm test users", f"{facts['warm_users']:,}"],
    ]
    for reason, count in facts["drops"].items():
        rows.append([f"dropped: {reason}", f"{count:,}"])
    return rows


def _stage_row(
    name: str, entry: Mapping[str, Any], forecast: Mapping[str, Any] | None
) -> list[object]:
    """forecast: of the stage; None in a run of before."""
    dropped = sum(entry["drops"].values())
    megabytes = entry["peak_memory_bytes"] / 1e6
    return [
        name,
        _count(entry["rows_in"]),
        _count(entry["rows_out"]),
        _count(dropped or None),
        f"{entry['seconds']:.1f}",
        _seconds(entry.get("processor_seconds")),
        _seconds(None if forecast is None else forecast["seconds"]),
        f"{megabytes:,.0f}",
    ]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _brief(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = ["rows_in", "rows_out", "drops", "figures", "seconds", "peak_memory_bytes"]
    names += [name for name in ("processor_seconds", "disk_bytes") if name in entry]
    return {name: entry[name] for name in names}


def _flat(card: Mapping[str, Any], prefix: str = "") -> Rows:
    rows: Rows = []
    for key, value in card.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key} ")
        else:
            rows.append([f"{prefix}{key}", _plain(value)])
    return rows


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _read(folder: RunFolder, name: str) -> Any:
    file = folder.path / name
    return read_json(file) if file.exists() else None
