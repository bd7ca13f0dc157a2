"""Write docs/budget.md from the forecasts themselves: `python docs/make_budget.py`."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.budget import budget, forecast_plan
from pipelines.plan import plan
from recsys.budget.counts import Counts
from recsys.budget.forecast import RunForecast
from recsys.core.config import RunConfig, with_overrides
from recsys.core.errors import ConfigError
from recsys.evaluate.deciding import VALIDATION_USERS

SHAPES = (
    (100_000, 4_000, 7_000),
    (500_000, 20_000, 16_000),
    (1_000_000, 40_000, 22_000),
    (5_000_000, 200_000, 50_000),
    (20_000_000, 800_000, 100_000),
)
"""Rows, users, items."""
SWITCHES = (
    ("everything", ()),
    ("`evaluate.baseline_settings = 1`", ("evaluate.baseline_settings=1",)),
    ('`evaluate.baselines = ["popularity"]`', ("evaluate.baselines=['popularity']",)),
    ("`evaluate.bootstrap = 1000`", ("evaluate.bootstrap=1000",)),
    ("`refit = false`", ("refit=false",)),
    ("`blend.low_pass_rank = 0`", ("blend.low_pass_rank=0",)),
    ("`blend.neighbours = 0`", ("blend.neighbours=0",)),
    ("`train.epochs = 10`", ("train.epochs=10",)),
    ("`train.negatives = 512`", ("train.negatives=512",)),
    ("`model.width = 32`", ("model.width=32",)),
)
BUDGETS = (2, 5, 10, 20, 40)
"""Minutes, for the log of a million rows."""

HEAD = """# Budget: what a run takes, and what to switch off

Before it starts, `recsys run` says what every stage will take; `recsys run --forecast` says only that. The figures follow
from counts (rows, users, items, held-out users) and from constants measured on one core of a server of 2.5 GHz or so, the
**nominal machine**: processor time, so two cores halve at best what is waited for. What is printed is scaled by half a
second of measuring how fast this machine is; nothing is decided by that. Afterwards the report and `recsys show` have each
stage's forecast beside what it took. Times depend on early stopping: a factor of 2 is what to expect of them.

This page is made from the forecasts (`python docs/make_budget.py`), for logs of one behaviour with times and the default
configuration.

## Rows × minutes × gigabytes
"""

SWITCH_HEAD = """
## What to switch off

Minutes of the whole run when one thing is changed.
"""

BUDGET_HEAD = """
## A budget

`recsys run --budget-minutes N` (or `budget_minutes = N`) leaves out one part after the other until the forecast is
within N minutes of the nominal machine: the ablation of relations, the twin without attention, baselines from the
dearest on, bootstrap draws, the tuning of baselines, the refit on the whole log, item–item scores and low-pass, the
probe, epochs, and at last training itself, which leaves a factorisation in closed form. What goes is decided before
the run, by counts alone: the same configuration and log leave out the same on every machine. The report, `recsys
show` and the model card name what was left out. Where not even the least fits, the run ends with an error that says
how many minutes would do. A slower machine takes longer than N; the forecast says by how much.

The twin without attention (`lightgcn`) goes without a budget, too, where it is forecast to take more than
`evaluate.twin_minutes`.
"""

FIRST = """
## The first result

Where no bundle is live yet, a run serves a first one before it trains: ItemKNN over popularity, on all rows, within a minute
for a million of them. The model's replaces it at the end, and does not depend on it; `--no-first` leaves it out. Meanwhile
`recsys serve` answers from it, and its page (`/v1/run`) says which stage is at work.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD, _sizes(), SWITCH_HEAD, _switches(), BUDGET_HEAD, _budgets(), FIRST]
    return "\n".join(parts)


def counts_of(rows: int, users: int, items: int) -> Counts:
    """Of a log whose last fifth of each user is tested, with times."""
    test = rows // 5
    validation = (rows - test) // 10
    return Counts(
        rows=rows,
        users=users,
        items=items,
        pairs=rows - test - validation,
        auxiliary_rows=0,
        relation_rows=0,
        validation_pairs=validation,
        test_pairs=test,
        validation_users=min(users, VALIDATION_USERS),
        test_users=users,
        has_order=True,
        has_clock=True,
    )


def _forecast(counts: Counts, config: RunConfig) -> RunForecast:
    config = budget(plan, config, counts).config
    return forecast_plan(plan(config), counts, config)


def _sizes() -> str:
    rows = []
    for shape in SHAPES:
        forecast = _forecast(counts_of(*shape), RunConfig())
        training = sum(
            stage.cost.seconds for stage in forecast.stages if stage.name.startswith("train-")
        )
        cells = [f"{number:,}" for number in shape]
        cells += [_minutes(forecast.seconds), _minutes(training)]
        cells += [_gigabytes(forecast.memory_bytes), _gigabytes(forecast.disk_bytes)]
        rows.append(cells)
    head = ["rows", "users", "items", "minutes", "of them training", "memory, GB", "disk, GB"]
    return _table(head, rows)


def _switches() -> str:
    rows = []
    for words, sets in SWITCHES:
        cells = [words]
        for shape in SHAPES:
            config = with_overrides({}, sets)
            cells.append(_minutes(_forecast(counts_of(*shape), config).seconds))
        rows.append(cells)
    return _table(["rows", *(f"{shape[0]:,}" for shape in SHAPES)], rows)


def _budgets() -> str:
    counts = counts_of(*SHAPES[2])
    rows = []
    for minutes in BUDGETS:
        config = RunConfig(budget_minutes=minutes)
        try:
            budgeted = budget(plan, config, counts)
        except ConfigError as error:
            rows.append([str(minutes), "", f"an error: {error.remedy}"])
            continue
        forecast = forecast_plan(plan(budgeted.config), counts, budgeted.config)
        names = [part.part for part in budgeted.left_out]
        rows.append([str(minutes), _minutes(forecast.seconds), ", ".join(names) or "nothing"])
    text = _table(["budget", "forecast", "left out"], rows)
    return f"For a million rows, in minutes:\n\n{text}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.1f}" if minutes < 10 else f"{minutes:,.0f}"


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f}"


if __name__ == "__main__":
    (Path(__file__).parent / "budget.md").write_text(page() + "\n", encoding="utf-8")
