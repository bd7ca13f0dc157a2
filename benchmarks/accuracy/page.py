"""benchmarks/notes/accuracy.md and benchmarks/notes/attention.md with their plots, from the figures
that are kept.

The same figures give the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy import attention, compare, plots, results
from benchmarks.accuracy.arenas import arenas
from benchmarks.accuracy.attention_page import attention_page
from benchmarks.accuracy.cells import cell, change, cost, difference, measured, seeds, verdict
from benchmarks.accuracy.data import ARENAS_ONLY, TIME_ORDERED
from benchmarks.accuracy.epoch_speed import epochs_text, known_epochs
from benchmarks.accuracy.published import (
    PUBLISHED_SETS,
    goals,
    ladder,
    ladder_points,
    published,
    sources,
)
from benchmarks.accuracy.results import Result, Summaries, Summary
from benchmarks.accuracy.rows import ABLATION, FOLDER, PEER, Row, rows
from benchmarks.accuracy.text import figure, section, table
from benchmarks.record import RESULTS
from recsys.core.artefacts import atomic_file, read_json

NOTES = FOLDER.parent / "notes"

_INTRODUCTION = """# Accuracy

Every figure of ours comes from [`benchmarks/accuracy/results.json`](../accuracy/results.json); this page is
made from it by `python -m benchmarks accuracy page`. Each row is one command:

    python -m benchmarks accuracy run ROW DATASET --data FOLDER --seed SEED

`make bench-accuracy DATA=FOLDER` says what all rows cost, runs them and writes the page. Every choice, the number of
epochs included, is made on validation rows taken from train; the model is then refitted on train + validation and the
test is scored once. All items are ranked, train pairs are left out, and users weigh alike. Where several seeds were
run, the figure is their mean with the standard deviation behind ±. "On test" marks figures whose epoch and lengths of
item vectors were chosen on the test, as most published ones were; nothing else reads the log they come from."""


def write(folder: Path = NOTES) -> list[Path]:
    """Write both pages; the files written."""
    found, known = results.read(), published()
    files = {
        "accuracy.md": accuracy_page(
            found, known, compare.read(), rows(), speeds(), known_epochs()
        ),
        "images/accuracy.svg": plots.ladder(ladder_points(results.summarise(found), known)),
        "images/ablation.svg": plots.ablation(ablation_rows(results.summarise(found))),
        **attention_page(attention.read(), compare.read(), results.summarise(found), rows()),
    }
    return [_put(folder / name, text) for name, text in files.items() if text]


def accuracy_page(
    found: list[Result],
    known: dict[str, Any],
    comparisons: list[dict[str, Any]],
    named: dict[str, Row],
    speeds_known: list[dict[str, Any]],
    epochs_known: Sequence[dict[str, Any]] = (),
) -> str:
    """The text of benchmarks/notes/accuracy.md."""
    summaries = results.summarise(found)
    titles = {name: row.title for name, row in named.items()}
    parts = [
        _INTRODUCTION,
        section("Arenas", arenas(summaries, comparisons, known, named)),
        section("Goals and the best published figures", goals(summaries, known)),
        *(
            section(
                f"{PUBLISHED_SETS[name]}: published and ours",
                ladder(name, summaries, known, titles),
            )
            for name in PUBLISHED_SETS
        ),
        section("Other logs", others(summaries, titles)),
        section("The default against the best baseline", against_baselines(comparisons, named)),
        section("The recipe against the best baseline", recipe(comparisons, named)),
        section("Time-ordered logs", time_ordered(summaries, comparisons, titles)),
        section("Ablation", ablation_text(summaries)),
        section("Other packages, same machine, same evaluator", peers(summaries, titles)),
        section("Time to a published figure", speed_text(speeds_known, titles)),
        section("Time of an epoch", epochs_text(epochs_known, titles)),
        section("Every entry", entries(summaries)),
        sources(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def others(summaries: Summaries, titles: dict[str, str]) -> str:
    """NDCG@10 on the remaining logs, one column a row."""
    found = {
        (dataset, row)
        for dataset, row, selected in summaries
        if selected == "validation"
        and dataset not in PUBLISHED_SETS
        and dataset not in ARENAS_ONLY
        and not row.startswith((ABLATION, PEER))
    }
    wanted, shown = (
        sorted({dataset for dataset, _ in found}),
        [row for row in titles if any(row == one for _, one in found)],
    )
    lines = []
    for row in shown:
        cells = [cell(summaries.get((dataset, row, "validation")), "ndcg@10") for dataset in wanted]
        lines.append([titles[row], *cells])
    return table(["NDCG@10", *wanted], _bold_best(lines)) if lines else ""


def against_baselines(
    comparisons: list[dict[str, Any]], named: dict[str, Row], ours: str = "default"
) -> str:
    """By dataset: the baseline with the highest NDCG@10, and our row minus it."""
    best: dict[str, dict[str, Any]] = {}
    for one in comparisons:
        baseline = one["other"] in named and named[one["other"]].baseline
        if one["row"] == ours and one["metric"] == "ndcg@10" and baseline:
            best[one["dataset"]] = max(
                one, best.get(one["dataset"], one), key=lambda known: known["other_value"]
            )
    lines = [
        [
            name,
            figure(one["value"]),
            named[one["other"]].title,
            figure(one["other_value"]),
            difference(one),
            verdict(one),
        ]
        for name, one in sorted(best.items())
    ]
    head = ["NDCG@10", ours, "best baseline", "", "difference, 95 % interval", f"{ours} is"]
    return table(head, lines) if lines else ""


def recipe(comparisons: list[dict[str, Any]], named: dict[str, Row]) -> str:
    """The row that `recsys tune` found, beside the best baseline of each log."""
    found = against_baselines(comparisons, named, "tuned")
    return (
        found
        and f"{named['tuned'].title}, on validation alone; then refitted and judged on the test once.\n\n{found}"
    )


def time_ordered(
    summaries: Summaries, comparisons: list[dict[str, Any]], titles: dict[str, str]
) -> str:
    """Each log whose test is later than its train: rows by NDCG@10, with the paired difference from
    the default.
    """
    blocks = []
    for dataset in TIME_ORDERED:
        found = [
            one
            for key, one in summaries.items()
            if key[0] == dataset and not key[1].startswith((ABLATION, PEER))
        ]
        apart = {
            one["other"]: one
            for one in comparisons
            if one["dataset"] == dataset and one["row"] == "default" and one["metric"] == "ndcg@10"
        }
        lines = [
            [
                titles.get(one.row, one.row),
                cell(one, "ndcg@10"),
                cell(one, "recall@20"),
                difference(apart.get(one.row)),
            ]
            for one in sorted(found, key=lambda one: -one.mean["ndcg@10"])
        ]
        if lines:
            head = ["row", "NDCG@10", "Recall@20", "default minus it, 95 % interval"]
            blocks.append(f"### {dataset}\n\n{table(head, lines)}")
    return "\n\n".join(blocks)


def ablation_rows(summaries: Summaries) -> list[tuple[str, str, Summary, Summary]]:
    """(dataset, title, lever, base) for every lever measured."""
    found = []
    for name, row in rows().items():
        for (dataset, lever, _), summary in summaries.items():
            base = summaries.get((dataset, row.base or "", "validation"))
            if lever == name and base:
                found.append((dataset, row.title, summary, base))
    return sorted(found, key=lambda one: one[0])


def ablation_text(summaries: Summaries) -> str:
    """The levers, each beside the base of its dataset."""
    found = ablation_rows(summaries)
    lines = []
    for dataset, title, lever, base in found:
        changes = [change(lever, base, metric) for metric in ("validation", "ndcg@20", "recall@20")]
        lines.append([dataset, title, *changes, seeds(lever), cost(lever, "seconds")])
    head = ["dataset", "lever", "validation NDCG", "NDCG@20", "Recall@20", "seeds", "seconds"]
    text = (
        "One lever at a time changes the base; epochs are few, so that a row takes at most 15 minutes on one core "
        "([ablation.toml](../accuracy/ablation.toml), [ablation_history.toml](../accuracy/ablation_history.toml)). In "
        "brackets: the change against the base."
    )
    return (
        f"{text}\n\n![Change of validation NDCG by lever](images/ablation.svg)\n\n{table(head, lines)}"
        if lines
        else ""
    )


def peers(summaries: Summaries, titles: dict[str, str]) -> str:
    """Peers by dataset with time and memory, and beside them our rows there."""
    compared = {dataset for dataset, row, _ in summaries if row.startswith(PEER)}
    lines = []
    for (dataset, row, selected), one in sorted(
        summaries.items(), key=lambda one: (one[0][0], -one[1].mean["recall@20"])
    ):
        if dataset in compared and selected == "validation" and not row.startswith(ABLATION):
            spent = [cost(one, "seconds", 1), cost(one, "cpu_seconds", 1), cost(one, "peak_mb")]
            lines.append([dataset, titles.get(row, row), measured(one), *spent])
    if not lines:
        return ""
    said = (
        "Seconds to choose, train and refit, of seed 0; a training that rows share counts in each of them. Other seeds "
        "take over what seed 0 chose. Commits before 3d6acc7 counted only what came after a shared training: "
        "so do `attention-64` and `full-64` on Gowalla below."
    )
    return (
        said
        + "\n\n"
        + table(
            ["dataset", "row", "Recall@20 / NDCG@20", "seconds", "of processor", "peak MB"], lines
        )
    )


def speeds() -> list[dict[str, Any]]:
    """The records of `python -m benchmarks accuracy speed`."""
    return [read_json(file) for file in sorted(RESULTS.glob("speed_*.json"))]


def speed_text(known: list[dict[str, Any]], titles: dict[str, str]) -> str:
    """Each peer's time to its published figure, and ours to the same figure where it was logged."""
    lines = []
    for document in known:
        found = document["figures"]
        theirs, ours = found["theirs"], found.get("ours")
        line = [
            document["data"],
            figure(found["recall@20"]),
            titles.get(found["peer"], found["peer"]),
        ]
        line += [
            theirs["device"],
            f"{theirs['seconds'] / 3600:.1f}",
            f"{theirs['cpu_seconds'] / 3600:.1f}",
            str(theirs["batches_measured"]),
        ]
        if ours:
            line += [
                f"`{found['row']}`",
                f"{ours['seconds'] / 3600:.2f}",
                f"{ours['cpu_seconds'] / 3600:.2f}",
            ]
            line += [f"{theirs['cpu_seconds'] / ours['cpu_seconds']:.0f} ×"]
        lines.append(line + [""] * (11 - len(line)))
    text = (
        "A peer's hours are extrapolated: the seconds of a few measured batches times the batches of its published "
        "training. Ours run from the start of training on all train rows to the first epoch whose test Recall@20 "
        "reaches the figure. Ratio of processor hours, which do not depend on what else the machine did."
    )
    head = ["dataset", "Recall@20", "peer", "on", "hours", "of processor", "batches measured"]
    return (
        f"{text}\n\n{table([*head, 'ours', 'hours', 'of processor', 'ratio'], lines)}"
        if lines
        else ""
    )


def entries(summaries: Summaries) -> str:
    """Every dataset and row with all that is kept of it."""
    lines = []
    for (dataset, row, selected), one in sorted(summaries.items()):
        metrics = [cell(one, name) for name in ("recall@20", "ndcg@20", "ndcg@10")]
        lines.append(
            [
                dataset,
                f"`{row}`",
                seeds(one),
                selected,
                *metrics,
                cost(one, "seconds"),
                cost(one, "peak_mb"),
            ]
        )
    head = [
        "dataset",
        "row",
        "seeds",
        "selected on",
        "Recall@20",
        "NDCG@20",
        "NDCG@10",
        "seconds",
        "peak MB",
    ]
    return table(head, lines)


def _bold_best(lines: list[list[str]]) -> list[list[str]]:
    """The same cells with the highest figure of every column in bold."""
    best = [max((line[column] for line in lines), default="") for column in range(len(lines[0]))]
    return [
        [
            f"**{cell}**" if column and cell and cell == best[column] else cell
            for column, cell in enumerate(line)
        ]
        for line in lines
    ]


def _put(path: Path, text: str) -> Path:
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path
