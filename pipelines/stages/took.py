"""What the stages of a run took, beside what was forecast; and what its budget left out."""

from collections.abc import Mapping
from typing import Any

from pipelines.places import BUDGET
from recsys.core.artefacts import RunFolder, read_json
from recsys.evaluate.document import LeftOutRow, StageRow


def budget_document(folder: RunFolder) -> dict[str, Any]:
    """What the run wrote before it started; empty in a run folder of before."""
    file = folder.path / BUDGET
    document: dict[str, Any] = read_json(file) if file.exists() else {}
    return document


def left_out(folder: RunFolder) -> list[LeftOutRow]:
    """Parts that the budget had no time for."""
    rows = budget_document(folder).get("left_out", [])
    return [LeftOutRow(**row) for row in rows]


def stage_rows(folder: RunFolder, stages: Mapping[str, Any]) -> list[StageRow]:
    """A row for each stage that was forecast or run, in the order of the run.

    stages: of the manifest.
    """
    forecasts = budget_document(folder).get("forecast", {})
    rows = []
    for name in dict.fromkeys([*forecasts, *stages]):
        forecast = forecasts.get(name, {})
        entry = stages.get(name, {})
        row = StageRow(
            name=name,
            forecast_seconds=forecast.get("seconds"),
            seconds=entry.get("processor_seconds"),
            forecast_memory_bytes=forecast.get("memory_bytes"),
            memory_bytes=entry.get("peak_memory_bytes"),
            forecast_disk_bytes=forecast.get("disk_bytes"),
            disk_bytes=entry.get("disk_bytes"),
        )
        rows.append(row)
    return rows
