"""`recsys tune`: the first stages of a run in a folder of their own, then a search on what they
left.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optuna import Study

from pipelines.phases_on_disk import load_phase
from pipelines.places import CONTENTS, GRAPH, LOG, SPLIT
from pipelines.run import run
from recsys.core.artefacts import RunFolder, atomic_file, content_sha256, text_sha256
from recsys.core.config import RunConfig
from recsys.core.progress import QUIET, Progress
from recsys.core.toml import to_toml
from recsys.graph.store import load_graph
from recsys.tune.document import Tuning, best_values, tuning_of
from recsys.tune.page import render
from recsys.tune.search import Budget, Search
from recsys.tune.space import given_space, recipe, with_values
from recsys.tune.study import complete, open_study

SEARCHES, TUNED, DOCUMENT, PAGE = "search", "tuned.toml", "tune.json", "tune.html"


@dataclass(frozen=True)
class Tuned:
    """Where the results of a search lie, and what they are."""

    folder: Path
    tuning: Tuning


def tune(
    config: RunConfig,
    budget: Budget,
    out: Path | None = None,
    progress: Progress = QUIET,
    fresh: bool = False,
) -> Tuned:
    """Search the configuration's space on validation; leaves tuned.toml, tune.json and tune.html in
    the folder.

    A search of the same configuration, log and split in this folder is gone on with, unless
    `fresh`. When interrupted (KeyboardInterrupt) it leaves the results so far. Raises what stages
    raise, and what `Search` and its space do.
    """
    given_space(config)
    folder = RunFolder(out or Path(f"{config.out or f'runs/{config.name}'}-tune"))
    run(config, folder.path, progress, until="graph-select")
    with folder.locked():
        search = _search(config, folder, progress, fresh)
        with open_study(search.folder, config.tune) as study:
            with _results_even_if_interrupted(search, study, budget, folder):
                stopped = search.run(study, budget)
            return Tuned(folder.path, _write(search, study, budget, stopped, folder))


def _search(config: RunConfig, folder: RunFolder, progress: Progress, fresh: bool) -> Search:
    """The search of this configuration on what the stages left; another one has another folder."""
    phase = load_phase(folder.path, config, "select")
    space = given_space(config) or recipe(phase)
    space_lines = [f"{key}: {values}" for key, values in space.items()]
    search_folder = folder.path / SEARCHES / _identity(config, folder, space_lines)
    if fresh:
        shutil.rmtree(search_folder, ignore_errors=True)
    if not search_folder.exists() and search_folder.parent.exists():
        progress.say(
            "a new search: configuration, space, log or split differ from those of earlier ones here"
        )
    if config.train.warm_start:
        progress.say(
            "trials start fresh: a warm start would favour the configuration that its states were trained with"
        )
    graph = load_graph(folder.path / GRAPH.format(phase="select"))
    return Search(phase, graph, space, search_folder, progress)


def _identity(config: RunConfig, folder: RunFolder, space: list[str]) -> str:
    """Hash of all that a trial's value depends on."""
    sections = {"graph", "model", "train", "seed"}
    input_names = [LOG, SPLIT]
    # Searches from before there were these keep their names.
    if config.features.all:
        sections.add("features")
        input_names.append(CONTENTS)
    if config.rank.model != "none":
        sections.add("rank")
    decides = config.model_dump(mode="json", include=sections)
    inputs = [content_sha256(folder.path / name) for name in input_names]
    hidden = config.evaluate.model_dump(mode="json", include={"task", "seen_behaviors"})
    return text_sha256(json.dumps([decides, hidden, space, inputs], sort_keys=True))[:12]


@contextmanager
def _results_even_if_interrupted(
    search: Search, study: Study, budget: Budget, folder: RunFolder
) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if complete(study):
            _write(search, study, budget, "interrupt", folder)
        raise


def _write(search: Search, study: Study, budget: Budget, stopped: str, folder: RunFolder) -> Tuning:
    tuning = tuning_of(search, study, budget, stopped)
    tuned = with_values(search.phase.config, best_values(search, study))
    comment = f"# Found by recsys tune. {tuning.headline}\n"
    texts = {
        TUNED: comment + to_toml(tuned.model_dump(mode="json", exclude_unset=True)),
        DOCUMENT: tuning.model_dump_json(indent=2) + "\n",
        PAGE: render(tuning),
    }
    for name, text in texts.items():
        with atomic_file(folder.path / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return tuning
