"""The report of an experiment out of a run folder, with estimates for bundles that were never shown."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl

from recsys.core.artefacts import RunFolder
from recsys.core.errors import UsageError
from recsys.core.tables import BEHAVIOR, ITEM_ID, ITEMS, OPTIONS, TIME, USER_ID, WEIGHT
from recsys.experiments.definition import Experiment, answers_of, find_experiment
from recsys.experiments.documents import OffPolicy, Report
from recsys.experiments.drawn_lists import estimate_bundle
from recsys.experiments.records import Records, read_records
from recsys.experiments.report import make_report
from recsys.lookup.histories import Event
from recsys.lookup.options import ListOptions
from recsys.lookup.query import Query
from recsys.releases.life_cycle import find
from serving.impressions import FILE as IMPRESSIONS
from serving.problems import Refused
from serving.settings import Settings
from serving.state import Served, load

MOST_MEGABYTES = 1000.0
"""Of logs that a service reads for a report; larger ones are for the command line."""

_AT_ONCE = 64
_SECONDS_A_DAY = 86_400
_reading = threading.Lock()


def report_of(folder: RunFolder, events: Sequence[Path], target: str | None) -> Report:
    """The newest experiment's, for a service: one at a time.

    Raises Refused: 404 without an experiment, 409 where the logs are too large.
    """
    try:
        experiment = find_experiment(folder)
    except UsageError as error:
        raise Refused(
            404, "the run has no experiment", error.remedy, code="unknown_experiment"
        ) from None
    if log_megabytes(folder, events) > MOST_MEGABYTES:
        raise Refused(
            409,
            "the logs are too large for a service to read",
            "recsys experiment report RUN",
            code="logs_too_large",
        )
    with _reading:
        return make_report(experiment, records_of(folder, experiment, events), target)


def log_megabytes(folder: RunFolder, events: Sequence[Path]) -> float:
    """Of what a report of the newest experiment reads."""
    files = [folder.path / IMPRESSIONS, *events]
    try:
        files.append(answers_of(folder, find_experiment(folder)))
    except UsageError:
        return 0.0
    return sum(file.stat().st_size for file in files if file.exists()) / 1e6


def full_report(
    folder: RunFolder,
    experiment: Experiment,
    events: Sequence[Path],
    estimated: Sequence[str] = (),
) -> Report:
    """With estimates.

    Args:
        folder: Of the run.
        experiment: One of its.
        events: Logs of live events, older ones too.
        estimated: Names of bundles, or how they begin.

    Returns:
        The document.

    Raises:
        UsageError: There is no such bundle, or nothing was drawn to estimate from.
        DataError: A bundle is damaged.
    """
    records = records_of(folder, experiment, events)
    target_of = load(folder.bundles / str(experiment.control.bundle))
    target = target_of.bundle.target if target_of.has_behaviors else None
    if estimated and not experiment.explore:
        raise UsageError(
            "the experiment drew no lists to estimate from", "Start one with --explore SHARE"
        )
    estimates: list[OffPolicy] = []
    for name in estimated:
        served = load(find(folder, name))
        lists = _Lists(served, records)
        estimates.append(estimate_bundle(served.version, records, lists.of, experiment.alpha))
    return make_report(experiment, records, target, estimates=estimates)


def records_of(folder: RunFolder, experiment: Experiment, events: Sequence[Path]) -> Records:
    """What services wrote down of an experiment."""
    return read_records(answers_of(folder, experiment), folder.path / IMPRESSIONS, events)


class _Lists:
    """What a bundle would have given where others were given: for the same users, with the same options,
    and with the live events that there were by then.
    """

    def __init__(self, served: Served, records: Records) -> None:
        self._served = served
        users = records.answers[USER_ID].unique()
        events = records.events.filter(pl.col(USER_ID).is_in(users.implode()))
        self._events: dict[str, list[Event]] = {}
        columns = events.select(USER_ID, ITEM_ID, BEHAVIOR, TIME, pl.col(WEIGHT).fill_null(1.0))
        for user, item, behavior, moment, weight in columns.iter_rows():
            event = Event(item, behavior, float(moment), weight)
            self._events.setdefault(user, []).append(event)

    def of(self, answers: pl.DataFrame) -> list[list[str]]:
        """Items of a list for each answer."""
        lists: dict[int, list[str]] = {}
        columns = answers.with_columns(pl.col(ITEMS).list.len()).select(ITEMS, OPTIONS)
        numbered = columns.with_row_index("row")
        # Lists of the same length and options are answered by one search; `lists` finds their order
        # again.
        for (k, options), group in numbered.group_by(ITEMS, OPTIONS):
            values = orjson.loads(str(options or "{}"))
            wanted = ListOptions.model_validate({**values, "k": k})
            rows = group["row"].to_list()
            for start in range(0, len(rows), _AT_ONCE):
                batch = rows[start : start + _AT_ONCE]
                queries = [self._query(answers.row(row, named=True)) for row in batch]
                batch_answers = self._served.lookup.answer(queries, wanted, "popularity")
                for row, answer in zip(batch, batch_answers, strict=True):
                    lists[row] = [item["id"] for item in answer["items"]]
        return [lists[row] for row in range(len(answers))]

    def _query(self, answer: dict[str, object]) -> Query:
        """A user as they were known when they were answered."""
        user = str(answer[USER_ID])
        moment = float(str(answer[TIME]))
        # A service forgets live events after so many days, and knew none of what came later.
        earliest = moment - _SECONDS_A_DAY * Settings.live_days
        known = []
        for event in self._events.get(user, ()):
            if event.time is not None and earliest <= event.time < moment:
                known.append(event)
        return replace(Query(user), history=self._served.news(user, known))
