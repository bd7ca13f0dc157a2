"""Where the stages of a run leave their outputs, and reading them back."""

from pathlib import Path

from recsys.core.config import RunConfig
from recsys.logs.ingest import load_log
from recsys.logs.split import load as load_splits
from recsys.phases import Phase, PhaseName

LOG = "interactions/log"
SPLIT = "interactions/split"
AUDIT = "interactions/audit"
GRAPH = "graph/{phase}"
TRAINED = "checkpoint/{phase}/{bucket}"
VALIDATION = "scores/validation/{bucket}"
TEST = "scores/test/{bucket}"
INDEX = "index/{phase}"
REPORT = "report"


def load_phase(run: Path, config: RunConfig, name: PhaseName) -> Phase:
    """A phase of the run folder `run`."""
    return Phase(name, load_log(run / LOG), None if name == "serve" else load_splits(run / SPLIT), config)
