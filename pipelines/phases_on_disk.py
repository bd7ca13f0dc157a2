"""A phase of a run, read back from its folder."""

from pathlib import Path

from pipelines.places import CONTENTS, LOG, RELATIONS, SPLIT
from recsys.content.features import load_contents
from recsys.core.config import RunConfig
from recsys.logs.ingest import load_log
from recsys.logs.relations import load_relations
from recsys.logs.split import load as load_splits
from recsys.phases.phase import Phase, PhaseName


def load_phase(run: Path, config: RunConfig, name: PhaseName) -> Phase:
    """A phase of the run folder `run`."""
    splits = None if name == "serve" else load_splits(run / SPLIT)
    relations = load_relations(run / RELATIONS) if config.graph.files else []
    contents = load_contents(run / CONTENTS, config.features) if config.features.all else []
    return Phase(name, load_log(run / LOG), splits, config, relations, contents)
