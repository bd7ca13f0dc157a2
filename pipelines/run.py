"""A batch run from its log to what is live."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pipelines.budget import budget, forecast_plan, settle
from pipelines.first import serve_first
from pipelines.manifest import Manifest
from pipelines.plan import plan
from pipelines.runner import HERE, Settle, Settled, Where, run_plan
from pipelines.stages.counts import counts_of
from pipelines.trackers.hook import track, tracker_of
from pipelines.trackers.tracked import Tracker, tracked
from recsys.budget.forecast import RunForecast
from recsys.budget.leave_out import Budgeted
from recsys.core.addresses import is_object, local_path, refuse_secrets
from recsys.core.artefacts import RunFolder
from recsys.core.config import RunConfig
from recsys.core.errors import GateRefused
from recsys.core.progress import QUIET, Progress
from recsys.releases.life_cycle import live, model_card_of, publish, require_never_worse, was_live


def run(
    config: RunConfig,
    out: str | Path | None = None,
    progress: Progress = QUIET,
    fresh: bool = False,
    since: str | None = None,
    until: str | None = None,
    hold: bool = False,
    force: bool = False,
    where: Where = HERE,
) -> Manifest:
    """Run the plan of a configuration in its run folder.

    A new bundle goes live at the end, unless `hold`, or its own report calls it worse than another
    model. One that was live before and is so no more (rolled back, say) stays as it is while nothing
    changes.

    Args:
        config: of the run.
        out: the run folder, or its URL in object storage; config.out or runs/<name> when absent.
        progress: told of every stage.
        fresh: run every stage again.
        since: first stage to look at; what lies before is taken as it is.
        until: last stage to look at.
        hold: leave a new bundle for `recsys promote`.
        force: make it live whatever its report says.
        where: stages that go by buckets of users run.

    Returns:
        The manifest; its `refusal` says why a finished bundle did not go live.
    """
    publishes = since is None and until is None and not hold
    with _working_in(config, out, progress) as (folder, push):
        tracker = tracker_of(config.tracking, folder.path)
        go_on = Settle("count", partial(_go_on, config, folder, progress, until, publishes, push))
        manifest = run_plan(
            plan(config), config, folder, progress, fresh, since, until, go_on, where
        )
        if "bundle" in manifest.touched:
            bundle = _go_live(folder, manifest, progress, hold, force)
            push(bundle)
            if tracker is not None:
                _track(folder, manifest, tracker, progress)
    return manifest


Push = Callable[..., None]
"""Publishes what is live now in the folder at work, and the bundles whose names it is given."""


@contextmanager
def _working_in(
    config: RunConfig, out: str | Path | None, progress: Progress
) -> Iterator[tuple[RunFolder, Push]]:
    """The folder of a run on this machine, and what publishes from it; nothing is where it lies here."""
    location = _location_of(config, out)
    if not is_object(location):
        yield RunFolder(Path(location)), _push_nothing
        return
    from recsys.releases.remote import RemoteRun

    remote = RemoteRun(location, "runs", progress)
    with remote.run() as folder:
        yield folder, remote.push_run


def _push_nothing(*bundles: str) -> None:
    """What is in the run folder is where it belongs."""


def _go_on(
    config: RunConfig,
    folder: RunFolder,
    progress: Progress,
    until: str | None,
    publishes: bool,
    push: Push,
) -> Settled:
    """What comes after the log is counted.

    Args:
        config: of the run.
        folder: of the run.
        progress: told of what is done.
        until: last stage to look at.
        publishes: whether a bundle may go live.
        push: publishes a first bundle.

    Returns:
        The stages that follow.
    """
    settled = settle(plan, config, folder, progress, until)
    if config.first and publishes and not folder.bundle.exists():
        serve_first(config, folder, progress)
        push()
    return settled


def forecast(
    config: RunConfig, out: str | Path | None = None, progress: Progress = QUIET
) -> tuple[Budgeted, RunForecast]:
    """Count the log in its run folder; what the budget leaves of the run, and what that takes."""
    with _working_in(config, out, progress) as (folder, _):
        run_plan(plan(config), config, folder, progress, until="count")
        counted = counts_of(folder)
    budgeted = budget(plan, config, counted)
    return budgeted, forecast_plan(plan(budgeted.config), counted, budgeted.config)


def _location_of(config: RunConfig, out: str | Path | None) -> str:
    """Where the run folder is; raises UsageError for a URL with a secret in it."""
    location = str(out or config.out or f"runs/{config.name}")
    refuse_secrets(location)
    return local_path(location)


def _go_live(
    folder: RunFolder, manifest: Manifest, progress: Progress, hold: bool, force: bool
) -> str:
    """Switch the link to the bundle of this run, where it is new or none was live, and the gate lets
    it; returns its name.
    """
    bundle = folder.path / manifest.entries["bundle"].output
    name = bundle.name
    if hold:
        progress.say(f"bundle {name} is held: recsys promote makes it live", bundle=name)
        return name
    is_new = "bundle" in manifest.ran
    if is_new or not folder.bundle.exists() or not was_live(folder, name):
        try:
            if not force:
                require_never_worse(name, model_card_of(bundle))
        except GateRefused as refusal:
            manifest.refusal = refusal
            return name
        publish(folder, bundle)
        progress.say(f"serving bundle {name}", bundle=name)
    return name


def _track(folder: RunFolder, manifest: Manifest, tracker: Tracker, progress: Progress) -> None:
    """Tell the tracker of the finished run."""
    bundle = folder.path / manifest.entries["bundle"].output
    is_live = live(folder) == bundle.name
    config = manifest.asked
    describe = partial(tracked, folder, config, bundle, is_live)
    manifest.tracking = tracking = track(config.tracking.tracker, tracker, describe)
    if tracking.where is not None:
        progress.say(f"logged in {tracking.tracker}: {tracking.where}", failed=len(tracking.failed))
