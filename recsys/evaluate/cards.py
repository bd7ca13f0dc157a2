"""A bundle as others read of it: a model card and a data card, in the format of the Hugging Face Hub.

Both are made of what the bundle holds (its model card, its report, its tables), and of nothing else: the same
bundle has the same cards, and no card is part of what a bundle is named by.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float32Array
from recsys.core.artefacts import atomic_file
from recsys.core.errors import DataError
from recsys.core.tables import ITEM_ID
from recsys.evaluate.document import Report, Value

MODEL_FILE, DATA_FILE = "README.md", "DATA.md"
CORE_WATTS = 10
"""What a busy core is taken to draw where energy is told: an assumption, as no meter is read."""

_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
_SIZE_NAMES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")
_MOST_SLICES = 30


def write_cards(bundle: Bundle, out: Path, license_name: str | None = None) -> list[Path]:
    """README.md and DATA.md in the folder `out`; returns both. Raises as `model_card`."""
    texts = {
        MODEL_FILE: model_card(bundle, license_name),
        DATA_FILE: data_card(bundle, license_name),
    }
    paths = []
    for name, text in texts.items():
        with atomic_file(out / name) as file:
            file.write_text(text, encoding="utf-8")
        paths.append(out / name)
    return paths


def model_card(bundle: Bundle, license_name: str | None = None) -> str:
    """What the model is, for whom, how it did, where it fails, and what it took.

    license_name: identifier of the Hub, such as "apache-2.0". Raises DataError for a bundle without
    a report.
    """
    report = _report_of(bundle)
    card = bundle.model_card
    front = {
        "library_name": "recsys",
        "tags": ["recommender-system", "recsys", bundle.encoder.family],
        "metrics": sorted(report.row(report.main).metrics),
        "model-index": [_model_index(bundle, report)],
    }
    return _page(
        "model_card.md.j2",
        _with_license(front, license_name),
        bundle=bundle.name,
        card=card,
        report=report,
        added=_terms(bundle),
        metrics=_shown_metrics(report),
        slices=[row for row in report.slices if row.values][:_MOST_SLICES],
        processor_seconds=_processor_seconds(report),
        watts=CORE_WATTS,
        version=report.facts.versions.get("recsys", ""),
    )


def data_card(bundle: Bundle, license_name: str | None = None) -> str:
    """What the model learnt from: rows, people, time, what was left out, what is skewed.

    Raises DataError for a bundle without a report.
    """
    report = _report_of(bundle)
    rows = int(bundle.model_card.get("interactions", 0))
    front = {
        "pretty_name": report.facts.name,
        "tags": ["recommender-system", "interactions"],
        "task_categories": ["other"],
        "size_categories": [_size_of(rows)],
    }
    counts = np.asarray(bundle.counts)
    return _page(
        "data_card.md.j2",
        _with_license(front, license_name),
        bundle=bundle.name,
        rows=rows,
        report=report,
        behaviors={name: int(matrix.nnz) for name, matrix in bundle.seen.items()},
        columns=_columns(bundle),
        withdrawn=int((~np.asarray(bundle.available)).sum()),
        items=len(bundle.items),
        users=len(bundle.users),
        top_share=_share_of_top(counts, 0.01),
        never=int((counts == 0).sum()),
        target=bundle.target,
    )


def _report_of(bundle: Bundle) -> Report:
    if bundle.report is None:
        raise DataError(
            f"bundle {bundle.name} has no report to make a card of", "Write it with recsys run"
        )
    return Report.model_validate(bundle.report.document)


def _model_index(bundle: Bundle, report: Report) -> dict[str, Any]:
    """The test of the main model, as leaderboards read it."""
    metrics = []
    for name, value in report.row(report.main).metrics.items():
        metrics.append({"type": name, "name": name, "value": round(value.value, 6)})
    facts = report.facts
    result = {
        "task": {"type": "recommendation", "name": f"next {facts.target}, {facts.split} split"},
        "dataset": {"type": "interactions", "name": facts.name},
        "metrics": metrics,
    }
    return {"name": f"{facts.name}-{bundle.name}", "results": [result]}


def _terms(bundle: Bundle) -> list[str]:
    """What is added up to a score, in words."""
    terms = []
    if bundle.encoder.is_heard:
        terms.append("inner products of trained vectors")
    added = bundle.added
    if added is None:
        return terms
    if added.table.nnz:
        terms.append("an item–item table over the history")
    if added.rank:
        terms.append("low-pass factors of the history")
    if added.trend.any():
        terms.append("a trend")
    if added.popular.any():
        terms.append("popularity of all time")
    if added.auxiliary_gains:
        terms.append(f"gains of items under {', '.join(added.auxiliary_gains)}")
    return terms


def _shown_metrics(report: Report) -> list[tuple[str, Value]]:
    """Of the main model: the deciding metric first."""
    metrics = report.row(report.main).metrics
    names = sorted(metrics, key=lambda name: (name != report.deciding, name))
    return [(name, metrics[name]) for name in names]


def _processor_seconds(report: Report) -> float:
    """Of all stages before the report."""
    return sum(row.seconds for row in report.stages if row.seconds is not None)


def _columns(bundle: Bundle) -> list[tuple[str, str, float]]:
    """Of each column of the item table: name, type, and the share of items that have a value."""
    table = bundle.item_table
    columns = []
    for name in table.columns:
        if name != ITEM_ID:
            known = 1 - table[name].null_count() / max(len(table), 1)
            columns.append((name, str(table[name].dtype), known))
    return columns


def _share_of_top(counts: Float32Array, share: float) -> float:
    """Of all users' items, those that the most popular share of items has."""
    top = max(int(np.ceil(len(counts) * share)), 1)
    total = float(counts.sum())
    return float(np.sort(counts)[::-1][:top].sum()) / total if total else 0.0


def _size_of(rows: int) -> str:
    return _SIZE_NAMES[min(int(np.searchsorted(_SIZES, rows, side="right")), len(_SIZE_NAMES) - 1)]


def _with_license(front: dict[str, Any], license_name: str | None) -> dict[str, Any]:
    return front if license_name is None else {"license": license_name, **front}


def _page(template: str, front: dict[str, Any], **values: Any) -> str:
    """Front matter and the text."""
    environment = Environment(
        loader=PackageLoader("recsys.evaluate", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "interval": _interval, "listed": _listed}
    # A value in JSON is one in YAML, too.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in front.items()]
    head = "".join(lines)
    text = environment.get_template(template).render(**values)
    return f"---\n{head}---\n\n{text.rstrip()}\n"


def _cell(text: object) -> str:
    """Text inside a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def _interval(value: Value) -> str:
    if value.low is None or value.high is None:
        return ""
    return f"{value.low:.4f} to {value.high:.4f}"


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts) if texts else "none"
