"""benchmarks/notes/signals-results.md: what signals add, log by log."""

from pathlib import Path
from typing import Any

from benchmarks.accuracy.text import figure, section, signed, table
from benchmarks.signals import outcome
from benchmarks.signals.variants import BIPARTITE, HETEROGENEOUS
from recsys.core.artefacts import atomic_file

PAGE = Path(__file__).parents[2] / "benchmarks" / "notes" / "signals-results.md"
_INTRODUCTION = """# What signals add

*Bipartite* is the default configuration on the target behaviour alone; *heterogeneous* the same with every behaviour,
attribute, link and knowledge graph of the run configuration. All choices are made on validation, the model is refitted
on train + validation, and the test is scored once. A user's values are averaged over the seeds first, and the interval is
paired over users (95 %, bootstrap). Trainings are short, for all variants alike (`benchmarks/signals/variants.py`).

Splits: ml-100k the last 20 % of each user; lastfm-hetrec, citeulike-a, yelp-hin and amazon-hin a random 20 % of each
user, seed 0; tmall-mbcgcn as published. Made from [`results.json`](../signals/results.json) by
`python -m benchmarks signals page`; one run is

    python -m benchmarks signals run DATASET VARIANT --data FOLDER --seed SEED"""
_BEHAVIOURS = """The rule ranks what its user viewed or carted and did not buy, rarest first; ties go to the
smaller id, so that its figures differ a little from others' of the same rule. Held-out pairs are told apart
by whether the user had met the item under another behaviour in train; lists "without items met" leave such items out, in
both variants, as `evaluate.seen_behaviors` does. In lists of everything the items met come first, as 83 % of the
held-out buys are such; half of the users who bought something new had met 26 items or more that they had not bought, which
fill a list of ten. A shop that shows items met in a shelf of their own loses nothing."""

_KNOWLEDGE = """On ml-100k the knowledge graph alone gains, and all signals together do not; where edges do not fade, neither did
(.2494 bipartite, .2491 with either). Validation gave the graph's rows weight .1 in the item–item regression, and with it
a ridge of 150, where the other two got 15 and 5 and end lower on validation too (.1961, .1860 and .1876). Blends are
searched one coordinate after the other and can end in different places, so the gain is as much that as the graph."""
_FRIENDS = """Friends on lastfm-hetrec are heard through their gate alone, and three epochs open it to .03 in the first layer and
.05 in the second. There is little to hear. With the mean of the friends' histories added to a user's own, at weights .1,
.2, .4 and .8, NDCG@10 on validation moves by +.0007, +.0007, +.0010 and +.0016 (standard errors .0005 to .0014, 1,854
users) and on the test by −.0001, +.0003, −.0003 and −.0024 (.0004 to .0012, 1,878 users). On yelp-hin, table and SVD alone,
it loses .0004 to .0039 on the test, and wins nothing clear on the quarter of users with the shortest histories (+.0000,
+.0009, +.0014, +.0011, standard errors .0004 to .0016). Who has taken forty artists is known by them. Built, measured and
taken out again; tags, beside which friends stand in the heterogeneous row, enter the regression and pay."""


def write() -> Path:
    """Write the page; returns where it is."""
    rows = outcome.read()
    parts = [
        _INTRODUCTION,
        section("All signals together", _together(rows)),
        section("One signal alone", _alone(rows)),
        *(
            section(f"Behaviours: {row['dataset']}", _behaviours(row))
            for row in rows
            if "rule" in row
        ),
    ]
    with atomic_file(PAGE) as part:
        part.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return PAGE


def _together(rows: list[dict[str, Any]]) -> str:
    head = [
        "NDCG@10",
        BIPARTITE,
        HETEROGENEOUS,
        "difference, 95 % interval",
        "HR@10",
        "seeds",
        "seconds a run",
    ]
    lines = [
        [
            row["dataset"],
            *_compared(row),
            _both(row["hr@10"]),
            str(len(row["seeds"])),
            _seconds(row),
        ]
        for row in rows
    ]
    return table(head, lines)


def _alone(rows: list[dict[str, Any]]) -> str:
    lines = [
        [row["dataset"], name, *_compared(one)]
        for row in rows
        for name, one in row.get("alone", {}).items()
    ]
    if not lines:
        return ""
    return (
        table(["NDCG@10", "signal", BIPARTITE, "with it", "difference, 95 % interval"], lines)
        + f"\n\n{_KNOWLEDGE}\n\n{_FRIENDS}"
    )


def _behaviours(row: dict[str, Any]) -> str:
    head = [
        "held-out pairs",
        "pairs",
        f"NDCG@10 {BIPARTITE}",
        HETEROGENEOUS,
        "difference, 95 % interval",
        "HR@10",
    ]
    lines = [
        [name, f"{one['pairs']:,}", *_compared(one), _both(one["hr@10"])]
        for name, one in row["pairs"].items()
    ]
    whole = ["all", "", *_compared(row), _both(row["hr@10"])]
    rule = (
        f"The rule: HR@10 {figure(row['rule']['hr@10'])}, NDCG@10 {figure(row['rule']['ndcg@10'])}."
    )
    return "\n\n".join([_BEHAVIOURS, rule, table(head, [whole, *lines])])


def _compared(one: dict[str, Any]) -> list[str]:
    low, high = one["interval"]
    return [figure(one[BIPARTITE]), figure(one[HETEROGENEOUS]), f"{signed(low)} to {signed(high)}"]


def _both(values: dict[str, float]) -> str:
    return f"{figure(values[BIPARTITE])} → {figure(values[HETEROGENEOUS])}"


def _seconds(row: dict[str, Any]) -> str:
    return f"{row['seconds'][BIPARTITE]:.0f} → {row['seconds'][HETEROGENEOUS]:.0f}"
