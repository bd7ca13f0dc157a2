"""benchmarks/notes/attention.md: what attention does, by log."""

from collections.abc import Mapping
from typing import Any

from benchmarks.accuracy import plots
from benchmarks.accuracy.cells import cell, difference, seeds, verdict
from benchmarks.accuracy.results import Summaries
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.text import figure, section, signed, table

ROW = "history"
TWINS = {
    "history-no-query": "(a) γ = 0",
    "history-no-order": "(b) no order",
    "history-mean": "(c) mean",
}
"""Rows with less of what attention is, and their titles on the page."""
VERDICTS = ("better", "within noise", "worse", "the same", "not measured")
Facts = dict[str, Any]

_INTRODUCTION = """# What attention does

A user is what attention makes of the history. An event weighs by a prior, which knows the item's degree, how many of the
user's events are later and how long it was before the latest, times the exponential of what a query makes of the item's
state, head by head. In the first layer one query serves all users; in the next the user's state after the layer before
asks, too. The row `history` is this alone, without the terms that a blend adds. Beside it, retrained with the same budget
and seeds:

- **(a) γ = 0**, `history-no-query`: queries stay 0, so that an item's state does not matter for its weight.
- **(b) no order**, `history-no-order`: the history is a set. Neither position nor time counts in attention, and training
  draws from all of a user's other events, later ones too. Where edges fade with time, they still do. On a log without
  times it is the same model.
- **(c) mean**, `history-mean`: neither, and degrees do not count in what the events of a user weigh either. The messages
  between items and users stay.

The commands of one log, and of this page:

    python -m benchmarks accuracy run history LOG --data FOLDER --seed SEED      (and the three twins)
    python -m benchmarks accuracy attention history history-no-query,history-no-order,history-mean LOG --data FOLDER
    python -m benchmarks accuracy page"""

_AGAINST = """NDCG@10 on the test, means over seeds; attention minus its twin, paired by user: each user's mean over the seeds,
10,000 bootstrap draws of users. Better and worse: the 95 % interval is above or below 0."""

_LOOKS = """What it looks at, seed {seed}. Blue: the learnt factor of a position or age, over its mean over all events. Grey:
what events there weigh, a line a head, 1 being the weight in a plain mean of the user's events. Right: entropy of the
attention weights over that of the prior, median and middle 80 % of users; 1 where the query changes nothing."""

_OLDER = """The family `degree_prior` weighs a neighbour u of v by a degree prior times exp(γ cos(h_u, h_v)), and γ starts at 0.
Measured before users were histories. Entropy is that of attention over that of the prior: medians by number of
neighbours, the lowest and the highest of all layers and relations. Popular: the difference on the most popular tenth of
the items; rare: on the less popular half, with seed 0."""


def attention_page(
    facts: list[Facts],
    comparisons: list[Facts],
    summaries: Summaries,
    named: Mapping[str, Row],
) -> dict[str, str]:
    """The files of the page by name."""
    logs = named[ROW].datasets if ROW in named else ()
    measured = {}
    older = []
    for entry in facts:
        if entry["family"] == "history" and entry["row"] == ROW:
            measured[entry["dataset"]] = entry
        elif entry["family"] == "degree_prior":
            older.append(entry)
    text = [
        _INTRODUCTION,
        section("Against its twins", against_twins(logs, comparisons, summaries)),
    ]
    files = {}
    for log in logs:
        if log not in measured:
            continue
        text.append(section(log, _of_log(measured[log])))
        files[_looks(log)] = plots.attended(measured[log]["relations"])
        if measured[log]["slices"]:
            files[_slices(log)] = plots.slices(_by_title(measured[log]["slices"]))
    absent = [log for log in logs if log not in measured]
    if absent:
        said = "What attention learnt and where it helps is not measured on"
        text.append(section("Not measured", f"{said} {', '.join(absent)}."))
    text.append(section("Attention over whole neighbourhoods", _whole(older, comparisons)))
    page = "\n\n".join(block for block in text if block) + "\n"
    return {"attention.md": page} | files


def against_twins(logs: tuple[str, ...], comparisons: list[Facts], summaries: Summaries) -> str:
    """On how many logs attention is better than each twin, and the table of all logs."""
    if not logs:
        return ""
    apart = {}
    for entry in comparisons:
        if entry["row"] == ROW and entry["metric"] == "ndcg@10":
            apart[entry["dataset"], entry["other"]] = entry
    head = ["log", "attention"]
    for title in TWINS.values():
        head += [title, f"attention minus {title[:3]}"]
    lines = []
    for log in logs:
        line = [log, _measured(summaries, log, ROW)]
        for twin in TWINS:
            line += [_measured(summaries, log, twin), _difference(apart.get((log, twin)))]
        lines.append(line)
    counts = _counts(logs, apart)
    return f"{_AGAINST}\n\n{counts}\n\n{table(head, lines)}"


def _counts(logs: tuple[str, ...], apart: dict[tuple[str, str], Facts]) -> str:
    lines = []
    for twin, title in TWINS.items():
        verdicts = [_verdict(apart.get((log, twin))) for log in logs]
        counts = [f"{verdicts.count(word)} {word}" for word in VERDICTS if word in verdicts]
        lines.append(f"- Against {title}, of {len(logs)} logs: {', '.join(counts)}.")
    complete = above_all = 0
    for log in logs:
        verdicts = [_verdict(apart.get((log, twin))) for twin in TWINS]
        complete += "not measured" not in verdicts
        above_all += verdicts.count("better") == len(TWINS)
    if complete:
        lines.append(f"- Better than all three: {above_all} of {complete} logs measured with all.")
    return "\n".join(lines)


def _verdict(entry: Facts | None) -> str:
    if entry is None:
        return "not measured"
    # Two trainings of one model give the same lists, and no interval.
    if entry["low"] == entry["high"] == 0:
        return "the same"
    return verdict(entry)


def _measured(summaries: Summaries, log: str, row: str) -> str:
    summary = summaries.get((log, row, "validation"))
    if summary is None:
        return "not measured"
    return f"{cell(summary, 'ndcg@10')} ({seeds(summary)})"


def _difference(entry: Facts | None) -> str:
    if entry is None:
        return ""
    return f"{signed(entry['difference'])} ({difference(entry)}): {_verdict(entry)}"


def _of_log(entry: Facts) -> str:
    """What was learnt on one log, and where it helps."""
    log = entry["dataset"]
    blocks = [
        _LOOKS.format(seed=entry["seed"]),
        f"![What heads look at]({_looks(log)})",
        _relations(entry["relations"]),
        _kinds(entry["kinds"]),
    ]
    if entry["slices"]:
        blocks += [
            "Where it helps: NDCG@10 on slices of the test, paired by user, means over seeds.",
            f"![Attention minus its twins on slices]({_slices(log)})",
            _slice_table(entry["slices"]),
        ]
    return "\n\n".join(block for block in blocks if block)


def _relations(relations: list[Facts]) -> str:
    """The learnt numbers of each relation into users. The rest of the vector is the visitor's."""
    lines = []
    for facts in relations:
        line = [
            str(facts["layer"]),
            facts["relation"],
            _number(facts["gate"]),
            _number(facts["kappa"]),
            f"{facts['share']:.0%}",
            _number(facts["source_exponent"]),
            ", ".join(_number(length) for length in facts["query_length"]),
            _entropy_range([facts]),
        ]
        lines.append(line)
    head = [
        "layer",
        "relation",
        "gate",
        "κ",
        "share of what vectors are made of",
        "exponent of the degree",
        "length of the query by head",
        "entropy over the prior's",
    ]
    return table(head, lines)


def _kinds(kinds: list[Facts]) -> str:
    """What items of a kind weigh: by popularity all, of those of a table the outermost three."""
    by_kind: dict[str, list[Facts]] = {}
    for row in kinds:
        by_kind.setdefault(row["kind"], []).append(row)
    lines = []
    for kind, rows in sorted(by_kind.items()):
        shown = rows if len(rows) <= 6 else [*rows[:3], *rows[-3:]]
        for row in shown:
            lines.append([kind, row["value"], f"{row['events']:.0%}", f"{row['weight']:.2f}"])
    if not lines:
        return ""
    said = (
        "What items weigh in the first layer by degree and query: the heaviest and the lightest. 1 is the mean over\n"
        "the events that users are made of."
    )
    return f"{said}\n\n{table(['items by', '', 'of events', 'weight'], lines)}"


def _slice_table(by_twin: Mapping[str, list[Facts]]) -> str:
    """A line a slice, with the difference from every twin that was measured."""
    titled = _by_title(by_twin)
    lines: dict[tuple[str, str], list[str]] = {}
    for rows in titled.values():
        for row in rows:
            first_cells = [row["group"], row["label"], f"{row['users']:,}", figure(row["value"])]
            line = lines.setdefault((row["group"], row["label"]), first_cells)
            line.append(_slice_cell(row))
    head = ["slice", "", "users", "attention"]
    head += [f"minus {title}" for title in titled]
    return table(head, list(lines.values()))


def _slice_cell(row: Facts | None) -> str:
    return "" if row is None else f"{signed(row['difference'])} ({difference(row)})"


def _by_title(by_twin: Mapping[str, list[Facts]]) -> dict[str, list[Facts]]:
    """Slices by the twin's title on the page, in the order of `TWINS`."""
    titled = {}
    for twin in sorted(by_twin, key=lambda name: (name not in TWINS, TWINS.get(name, name))):
        titled[TWINS.get(twin, twin)] = by_twin[twin]
    return titled


def _whole(older: list[Facts], comparisons: list[Facts]) -> str:
    """The older figures, of degree_prior against γ = 0: a line a log."""
    lines = []
    for entry in older:
        for twin in entry["slices"]:
            pair = {"dataset": entry["dataset"], "row": entry["row"], "other": twin}
            for compared in comparisons:
                if compared["metric"] == "ndcg@10" and pair.items() <= compared.items():
                    lines.append(_older_line(entry, compared))
    if not lines:
        return ""
    head = [
        "log",
        "rows",
        "attention",
        "γ = 0",
        "difference, 95 % interval",
        "seeds",
        "γ",
        "entropy over the prior's",
        "popular",
        "rare",
    ]
    return f"{_OLDER}\n\n{table(head, lines)}"


def _older_line(entry: Facts, compared: Facts) -> list[str]:
    gammas = []
    for layer in entry["layers"]:
        gammas += layer["gamma"]
    by_label = {row["label"]: row for row in entry["slices"][compared["other"]]}
    return [
        entry["dataset"],
        f"`{entry['row']}`, `{compared['other']}`",
        figure(compared["value"]),
        figure(compared["other_value"]),
        _difference(compared),
        str(compared["seeds"][0]),
        f"{_number(min(gammas))} to {_number(max(gammas))}",
        _entropy_range(entry["layers"]),
        _slice_cell(by_label.get("top 10 % of items")),
        _slice_cell(by_label.get("bottom 50 % of items")),
    ]


def _entropy_range(relations: list[Facts]) -> str:
    """The lowest and the highest median of the bins of some relations."""
    medians = []
    for facts in relations:
        medians += [row["median"] for row in facts["entropy"]]
    if not medians:
        return ""
    return f"{min(medians):.2f} to {max(medians):.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}".replace("-", "−")


def _looks(log: str) -> str:
    return f"images/attention-looks-{log}.svg"


def _slices(log: str) -> str:
    return f"images/attention-slices-{log}.svg"
