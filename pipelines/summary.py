"""What a run folder holds, as tables and as a document; reads JSON files only."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.console import print_table, print_text
from recsys.core.artefacts import RunFolder, read_json
from recsys.releases.life_cycle import live, was_live

Rows = list[list[object]]


def document(folder: RunFolder, ran: Sequence[str] = ()) -> dict[str, Any]:
    """Manifest, report and cards of a run; `ran` names the stages that were not skipped just now."""
    manifest = folder.read_manifest()
    stages = {name: manifest["stages"][name] for name in manifest["order"]}
    return {
        "run": str(folder.path),
        "status": manifest["status"],
        "ran": list(ran),
        "skipped": [name for name in stages if name not in ran]
        if manifest["status"] == "done"
        else [],
        "bundle": live(folder),
        "held": _held(folder, stages),
        "report": _read(folder, "report/report.json"),
        "index_card": _read(folder, "bundle/index_card.json"),
        "stages": {name: _brief(entry) for name, entry in stages.items()},
        "config": manifest["config"],
        "versions": manifest["versions"],
    }


def _held(folder: RunFolder, stages: Mapping[str, Any]) -> str | None:
    """The bundle of the run when it was never live."""
    name = stages["bundle"]["figures"]["bundle"] if "bundle" in stages else None
    return None if name is None or was_live(folder, name) else name


def print_summary(folder: RunFolder) -> None:
    """Data, models, index and timings, as tables on stdout."""
    found = document(folder)
    held = f", holding {found['held']}" if found["held"] else ""
    print_text(f"run {found['run']} ({found['status']}), serving bundle {found['bundle']}{held}")
    report = found["report"]
    if report:
        print_table("Data", ["", ""], _data_rows(report["facts"]))
        _print_models(report)
    if found["index_card"]:
        print_table("Index", ["", ""], _flat(found["index_card"]))
    columns = ["stage", "rows in", "rows out", "dropped", "seconds", "peak MB"]
    print_table(
        "Stages", columns, [_stage_row(name, entry) for name, entry in found["stages"].items()]
    )
    if report:
        print_text(
            "\n".join([report["headline"], report["verdict"]["line"], report["worst_slice"]])
        )
        print_text(f"Report: {folder.report / 'report.html'}")


def _print_models(report: Mapping[str, Any]) -> None:
    """Every model with the deciding metrics; a star marks differences from the model that count."""
    k = report["deciding"].partition("@")[2]
    metrics = [report["deciding"], f"recall@{k}", f"hr@{k}", f"coverage@{k}"]
    columns = ["model", f"{report['deciding']} on validation", *metrics, "95 % interval", "seconds"]
    findings = {
        one["other"]: one for one in report["comparisons"] if one["metric"] == report["deciding"]
    }
    rows = [_model_row(row, metrics, findings.get(row["name"])) for row in report["models"]]
    print_table(
        f"Models on the test, {report['facts']['warm_users']:,} users",
        [*columns, "model against it"],
        rows,
    )


def _model_row(
    row: Mapping[str, Any], metrics: Sequence[str], finding: Mapping[str, Any] | None
) -> list[object]:
    if row["skipped"]:
        return [row["title"], f"skipped: {row['skipped']}", *[""] * (len(metrics) + 3)]
    values = row["metrics"]
    first = values[metrics[0]]
    against = f"{finding['difference']:+.4f} {finding['finding']}" if finding else ""
    return [
        row["title"],
        _number(row["validation"]),
        *(_number(values[name]["value"]) for name in metrics),
        f"{first['low']:.4f} to {first['high']:.4f}",
        f"{row['seconds']:.1f}" if row["seconds"] is not None else "",
        against,
    ]


def _data_rows(facts: Mapping[str, Any]) -> Rows:
    label = "time-safe" if facts["time_safe"] else "not time-safe"
    rows: Rows = [
        ["log", facts["data"]],
        ["users, items", f"{facts['users']:,}, {facts['items']:,}"],
        ["target", facts["target"]],
        ["split", f"{facts['split']} ({label})"],
        ["rows", ", ".join(f"{part} {rows:,}" for part, rows in facts["rows"].items())],
        ["warm test users", f"{facts['warm_users']:,}"],
    ]
    return rows + [[f"dropped: {reason}", f"{count:,}"] for reason, count in facts["drops"].items()]


def _stage_row(name: str, entry: Mapping[str, Any]) -> list[object]:
    counts = [
        _count(entry["rows_in"]),
        _count(entry["rows_out"]),
        _count(sum(entry["drops"].values()) or None),
    ]
    return [name, *counts, f"{entry['seconds']:.1f}", f"{entry['peak_memory_bytes'] / 1e6:,.0f}"]


def _brief(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: entry[name]
        for name in ("rows_in", "rows_out", "drops", "figures", "seconds", "peak_memory_bytes")
    }


def _flat(card: Mapping[str, Any], prefix: str = "") -> Rows:
    rows: Rows = []
    for key, value in card.items():
        rows += (
            _flat(value, f"{prefix}{key} ")
            if isinstance(value, dict)
            else [[f"{prefix}{key}", _plain(value)]]
        )
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
