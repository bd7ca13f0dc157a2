"""Who is asked about: a known user, a visitor, or a user with news."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from recsys.core.errors import UsageError
from recsys.lookup.histories import History, require_list
from recsys.lookup.visits import Attributes, Friends


@dataclass(frozen=True)
class Query:
    """About whom a list is asked.

    user: id of a user; None for a visitor.
    history: what a visitor did, or what a user did since the bundle was written.
    attributes: values by user column of the graph; they take the place of those of a known user.
    friends: known users to whom somebody is linked by the graph's relations between users.
    popular: whether what is popular answers, whatever is known; what somebody has seen stays left out.
    """

    user: object | None = None
    history: History = ()
    attributes: Attributes = field(default_factory=dict)
    friends: Friends = ()
    popular: bool = False


def queries_of(
    users: Sequence[object] | None,
    histories: Sequence[History] | None = None,
    attributes: Sequence[Attributes] | None = None,
    friends: Sequence[Friends] | None = None,
) -> list[Query]:
    """One query for each place of the lists that are given.

    Args:
        users: Ids; None at a place stands for a visitor.
        histories: Of each of them, items or events.
        attributes: Of each of them, values by column.
        friends: Of each of them, ids of known users.

    Returns:
        As many queries as every list has entries.

    Raises:
        UsageError: No list is given, or lists of different lengths.
    """
    lists = {"users": users, "histories": histories, "attributes": attributes, "friends": friends}
    lengths = {}
    for name, values in lists.items():
        if values is not None:
            lengths[name] = len(values)
    if not lengths:
        raise UsageError(
            "nobody to recommend to",
            "Give users, histories, attributes, friends, or several of them",
        )
    require_list("users", users)
    if len(set(lengths.values())) > 1:
        counts = " and ".join(f"{count} {name}" for name, count in lengths.items())
        raise UsageError(counts, "Give as many of the one as of the other")
    queries = []
    for index in range(max(lengths.values())):
        query = Query(
            user=None if users is None else users[index],
            history=() if histories is None else histories[index],
            attributes={} if attributes is None else attributes[index],
            friends=() if friends is None else friends[index],
        )
        queries.append(query)
    return queries
