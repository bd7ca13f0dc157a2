"""What each relation brings: its share of the messages, and what the model is worth without it."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from recsys.core.arrays import Int32Array
from recsys.core.intervals import bootstrap_means, difference
from recsys.evaluate.deciding import list_length
from recsys.evaluate.document import RelationRow
from recsys.evaluate.metrics import rank_metrics

Mass = Mapping[str, Mapping[str, float]]
"""By node type that receives messages, the share of each relation by name (`recsys.model.mass`)."""

_RECEIVERS = ("user", "item")


def relation_rows(
    mass: Mass,
    parts: Mapping[str, str],
    lists: Mapping[str, Int32Array],
    main: Int32Array,
    users: Int32Array,
    held_out: sparse.csr_matrix,
    deciding: str,
    draws: int,
    seed: int,
) -> list[RelationRow]:
    """One row for each part of the graph, the largest share first.

    Args:
        mass: By node type, the share of each relation in its messages.
        parts: By relation, the part that it belongs to.
        lists: By part, (users, k) lists of the model trained without it.
        main: (users, k) lists of the model itself.
        users: (users,) internal ids.
        held_out: (users, items) held-out pairs.
        deciding: Name of the deciding metric, as "name@k".
        draws: Bootstrap draws over users.
        seed: Of the draws.

    Returns:
        The rows, with the worth of the parts that have lists.
    """
    rows = []
    for graph_part in dict.fromkeys([*parts.values(), *lists]):
        relations = [relation for relation, its_part in parts.items() if its_part == graph_part]
        worth = {}
        if graph_part in lists:
            worth = _worth(main, lists[graph_part], users, held_out, deciding, draws, seed)
        rows.append(RelationRow(name=graph_part, mass=_shares(mass, relations), **worth))
    rows.sort(key=lambda row: max(row.mass.values(), default=0.0), reverse=True)
    return rows


def _shares(mass: Mass, relations: Sequence[str]) -> dict[str, float]:
    """By node type that receives messages from any of some relations, their share in all."""
    shares = {}
    for node_type in _RECEIVERS:
        by_relation = mass.get(node_type, {})
        received = [by_relation[relation] for relation in relations if relation in by_relation]
        if received:
            shares[node_type] = sum(received)
    return shares


def _worth(
    main: Int32Array,
    without: Int32Array,
    users: Int32Array,
    held_out: sparse.csr_matrix,
    deciding: str,
    draws: int,
    seed: int,
) -> dict[str, float]:
    """The main model minus the one without a part, paired over users; arguments as above."""
    k = int(list_length(deciding))
    main_values = rank_metrics(main, users, held_out, [k]).per_user[deciding]
    without_values = rank_metrics(without, users, held_out, [k]).per_user[deciding]
    values = np.stack([main_values, without_values], axis=1)
    means = bootstrap_means(values, draws, seed)
    apart = difference(main_values, without_values, means[:, 0], means[:, 1])
    return {
        "without": float(without_values.mean()),
        "worth": apart.mean,
        "low": apart.low,
        "high": apart.high,
    }
