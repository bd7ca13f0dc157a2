"""What the cost of the run follows from."""

from pipelines.places import COUNTS, LOG, RELATIONS, SPLIT
from pipelines.runner import Facts, Work
from recsys.budget.counts import Counts, count
from recsys.core.artefacts import RunFolder, read_json, write_json
from recsys.logs.ingest import load_log
from recsys.logs.relations import load_relations
from recsys.logs.split import load as load_splits

_FILE = "counts.json"


def write(work: Work) -> Facts:
    """Count rows, users and items of the split log."""
    graph = work.config.graph
    relations = load_relations(work.read(RELATIONS)) if graph.files else []
    counts = count(load_log(work.read(LOG)), load_splits(work.read(SPLIT)), graph.target, relations)
    write_json(work.out / _FILE, counts.document())
    return Facts(rows_in=counts.rows, figures=counts.document())


def counts_of(folder: RunFolder) -> Counts:
    """What the stage left in a run folder."""
    return Counts.read(read_json(folder.path / COUNTS / _FILE))


def is_counted(folder: RunFolder) -> bool:
    """Whether the stage ran there."""
    return (folder.path / COUNTS / _FILE).exists()
