"""A phase of a run, read back from its folder."""

from pathlib import Path

from pipelines.places import LOG, SPLIT
from recsys.core.config import RunConfig
from recsys.logs.ingest import load_log
from recsys.logs.split import load as load_splits
from recsys.phases import Phase, PhaseName


def load_phase(run: Path, config: RunConfig, name: PhaseName) -> Phase:
    """A phase of the run folder `run`."""
    return Phase(name, load_log(run / LOG), None if name == "serve" else load_splits(run / SPLIT), config)
