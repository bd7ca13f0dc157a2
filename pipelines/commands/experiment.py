"""`recsys experiment start | stop | list | report`: bundles against each other, on users."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.options import Json
from pipelines.run_folders import beside_service
from recsys.core.errors import UsageError

if TYPE_CHECKING:
    from recsys.experiments.definition import Experiment
    from recsys.experiments.documents import Estimate, Report
    from recsys.releases.trials import WantedArm

Folder = Annotated[str, typer.Argument(metavar="RUN", help="Run folder.")]
Arms = Annotated[
    list[str],
    typer.Option(
        "--arm",
        metavar="NAME=BUNDLE:SHARE",
        help="An arm; several times, the control first. BUNDLE: a name, how it begins, or `live`.",
    ),
]
Holdout = Annotated[
    float, typer.Option("--holdout", min=0, max=1, help="Share of users who get what is popular.")
]
Explore = Annotated[
    float,
    typer.Option("--explore", min=0, max=1, help="Share of lists whose order is drawn at random."),
]
Pool = Annotated[
    int, typer.Option("--pool", min=2, max=1000, help="Best items that such a list is drawn from.")
]
Rate = Annotated[
    str,
    typer.Option(
        "--rate",
        help="What decides: click_through, clicks_per_list, conversion, clickers or converters.",
    ),
]
Effect = Annotated[
    float, typer.Option("--effect", help="Difference of that rate that is worth finding.")
]
Days = Annotated[float, typer.Option("--days", help="How long it is to go on.")]
Alpha = Annotated[
    float, typer.Option("--alpha", help="Probability of finding a difference that is not there.")
]
Name = Annotated[
    str | None,
    typer.Option("--experiment", metavar="ID", help="Which one; the newest when absent."),
]
Events = Annotated[
    list[Path] | None,
    typer.Option(
        "--events", metavar="FILE", help="Logs of live events; RUN/events.jsonl when absent."
    ),
]
Estimated = Annotated[
    list[str] | None,
    typer.Option(
        "--estimate", metavar="BUNDLE", help="A bundle that was never shown; several times."
    ),
]

app = typer.Typer(
    name="experiment",
    help="Bundles against each other, on users: who gets what, and whether it helps.",
    no_args_is_help=True,
)


@app.command("start")
def start(
    run: Folder,
    arm: Arms,
    holdout: Holdout = 0.0,
    explore: Explore = 0.0,
    pool: Pool = 20,
    rate: Rate = "click_through",
    effect: Effect = 0.01,
    days: Days = 14.0,
    alpha: Alpha = 0.05,
    as_json: Json = False,
) -> None:
    """Share users out among bundles; services of the run follow within seconds."""
    from recsys.releases.trials import start_experiment

    experiment = start_experiment(
        beside_service(run),
        [_arm(text) for text in arm],
        holdout,
        explore=explore,
        pool=pool,
        rate=rate,
        effect=effect,
        days=days,
        alpha=alpha,
    )
    _tell(experiment, as_json)


@app.command("stop")
def stop(run: Folder, as_json: Json = False) -> None:
    """End the experiment under way: everybody gets the live bundle again, and the report stays."""
    from recsys.releases.trials import stop_experiment

    _tell(stop_experiment(beside_service(run)), as_json)


@app.command("list")
def list_experiments(run: Folder, as_json: Json = False) -> None:
    """The experiments of a run, newest first."""
    from pipelines.console import print_document, print_table
    from recsys.experiments.definition import all_experiments

    experiments = all_experiments(beside_service(run))[::-1]
    if as_json:
        print_document({"experiments": [experiment.model_dump() for experiment in experiments]})
        return
    rows = [_row(experiment) for experiment in experiments]
    print_table(f"experiments of {run}", ["experiment", "began", "ended", "arms", "explore"], rows)


@app.command("report")
def report(
    run: Folder,
    experiment: Name = None,
    estimate: Estimated = None,
    events: Events = None,
    as_json: Json = False,
) -> None:
    """Rates of every arm, what the sequential test says by now, and estimates of what was never shown."""
    from pipelines.console import print_document
    from pipelines.forget import EVENTS
    from recsys.experiments.definition import find_experiment
    from serving.trial_report import full_report

    folder = beside_service(run)
    definition = find_experiment(folder, experiment)
    document = full_report(folder, definition, events or [folder.path / EVENTS], estimate or [])
    if as_json:
        print_document(document)
    else:
        _print(document)


def _arm(text: str) -> "WantedArm":
    """Raises UsageError for what is not NAME=BUNDLE:SHARE."""
    from recsys.releases.trials import WantedArm

    name, _, rest = text.partition("=")
    bundle, _, share = rest.partition(":")
    try:
        return WantedArm(name, bundle, float(share))
    except ValueError:
        raise UsageError(
            f"--arm {text!r} is not NAME=BUNDLE:SHARE", "For example: --arm control=live:0.5"
        ) from None


def _tell(experiment: "Experiment", as_json: bool) -> None:
    from pipelines.console import print_document, print_text

    if as_json:
        print_document(experiment.model_dump())
        return
    state = "is under way" if experiment.is_running else "has ended"
    print_text(f"experiment {experiment.id} {state}: {_arms(experiment)}")


def _arms(experiment: "Experiment") -> str:
    arms = []
    for arm in experiment.arms:
        arms.append(f"{arm.name} {arm.bundle or 'what is popular'} {arm.share:.1%}")
    return ", ".join(arms)


def _row(experiment: "Experiment") -> list[Any]:
    from recsys.experiments.definition import iso

    ended = "" if experiment.ended is None else iso(experiment.ended)
    return [
        experiment.id,
        iso(experiment.began),
        ended,
        _arms(experiment),
        f"{experiment.explore:.1%}",
    ]


def _print(report: "Report") -> None:
    from pipelines.console import print_table, print_text

    title = f"experiment {report['experiment']}, {report['state']}, {report['days']:.1f} days"
    columns = ["arm", "bundle", "users", "lists", *report["arms"][0]["rates"]]
    rows = []
    for arm in report["arms"]:
        rates = [_with_interval(rate) for rate in arm["rates"].values()]
        bundle = arm["bundle"] or "popular"
        rows.append([arm["name"], bundle, f"{arm['users']:,}", f"{arm['lists']:,}", *rates])
    print_table(title, columns, rows)
    _print_comparisons(report)
    if estimates := report.get("estimates"):
        columns = ["never shown", "drawn lists", "coverage", "IPS", "SNIPS"]
        rows = []
        for estimate in estimates:
            lists, coverage = f"{estimate['lists']:,}", f"{estimate['coverage']:.0%}"
            ips, snips = _with_interval(estimate["ips"]), _with_interval(estimate["snips"])
            rows.append([estimate["bundle"], lists, coverage, ips, snips])
        print_table("clicks_per_list that a bundle would have got", columns, rows)
    split = report["split"]
    told = [f"users are shared out as defined: p = {split['p']:.3g}", *report["notes"]]
    if split["alarm"]:
        del told[0]
    print_text("\n".join(told))


def _print_comparisons(report: "Report") -> None:
    from pipelines.console import print_table

    if not report["comparisons"]:
        return
    columns = ["arm", "difference", "at all looks", "p", "verdict", "planned power", "power left"]
    rows = []
    for comparison in report["comparisons"]:
        power = ["", ""]
        if "power" in comparison:
            probabilities = comparison["power"]["planned"], comparison["power"]["remaining"]
            power = [f"{probability:.0%}" for probability in probabilities]
        rows.append(
            [
                comparison["arm"],
                _with_interval(comparison["difference"]),
                _with_interval(comparison["sequential"]),
                f"{comparison['p']:.3g}",
                comparison["verdict"],
                *power,
            ]
        )
    control = report["arms"][0]["name"]
    print_table(f"{report['rate']} against {control}", columns, rows)


def _with_interval(estimate: "Estimate") -> str:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None or low is None or high is None:
        return "–"
    return f"{value:.4f} ({low:.4f} to {high:.4f})"
