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
    log = load_log(work.read(LOG))
    relations = read_relations(work.config.graph, work.config.data, log)
    save_relations(relations, work.out)
    rows_in, rows_out = 0, 0
    drops = Drops()
    for relation in relations:
        rows_in += relation.rows_read
        rows_out += len(relation.rows)
        drops += relation.drops
        work.progress.say(
            f"relation {relation.name}: {len(relation.rows):,} edges of "
            f"{relation.rows_read:,} rows; dropped {describe(relation.drops)}",
            relation=relation.name,
        )
    return Facts(rows_in=rows_in, rows_out=rows_out, drops=drops)
