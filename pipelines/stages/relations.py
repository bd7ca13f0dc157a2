"""From files of edges to rows in the codes of the log, so that no later stage reads anything
outside the run.
"""

from pipelines.places import LOG
from pipelines.runner import Facts, Work
from recsys.core.tables import Drops
from recsys.logs.ingest import load_log
from recsys.logs.reasons import describe
from recsys.logs.relations import read_relations, save_relations


def read(work: Work) -> Facts:
    """Read every file that graph.relations names; what is lost on the way is told and counted."""
    found = read_relations(work.config.graph, work.config.data, load_log(work.read(LOG)))
    save_relations(found, work.out)
    for one in found:
        work.progress.say(
            f"relation {one.name}: {len(one.rows):,} edges of {one.rows_read:,} rows; dropped {describe(one.drops)}",
            relation=one.name,
        )
    return Facts(
        rows_in=sum(one.rows_read for one in found),
        rows_out=sum(len(one.rows) for one in found),
        drops=sum((one.drops for one in found), Drops()),
    )
