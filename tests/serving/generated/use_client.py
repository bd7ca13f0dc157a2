"""Uses the generated Python client against a running service: ADDRESS KEY. Prints what it was given."""

import json
import sys

from recsys_client import AuthenticatedClient, Client
from recsys_client.api.catalogue import item, similar_items, user
from recsys_client.api.events import send_events
from recsys_client.api.recommend import explain, recommend, recommend_user
from recsys_client.models import (
    Accepted,
    Answer,
    Answers,
    CatalogueItem,
    EventsBody,
    ExplainBody,
    Explained,
    FilterBody,
    HistoryEvent,
    KnownUser,
    NewEvent,
    Problem,
    ProblemCode,
    QueryBody,
    RecommendBody,
    RecommendBodyFilters,
)

address, key = sys.argv[1:]
with AuthenticatedClient(base_url=address, token=key) as client:
    by_get = recommend_user.sync("u04", client=client, k=5, filters=["genres.none:drama"])
    assert isinstance(by_get, Answer)
    filters = RecommendBodyFilters()
    filters["genres"] = FilterBody(none=["drama"])
    visitor = QueryBody(history=[HistoryEvent(item="i01"), HistoryEvent(item="i02")])
    lists = recommend.sync(
        client=client,
        body=RecommendBody(requests=[QueryBody(user="u04"), visitor], k=5, filters=filters),
    )
    assert isinstance(lists, Answers)
    ids = [one.id for one in by_get.items]
    assert ids == [one.id for one in lists.answers[0].items]
    assert isinstance(similar_items.sync("i01", client=client, k=3), Answer)
    assert isinstance(item.sync("i01", client=client), CatalogueItem)
    assert isinstance(user.sync("u04", client=client), KnownUser)
    why = explain.sync(client=client, body=ExplainBody(user="u04", item=by_get.items[0].id))
    assert isinstance(why, Explained) and why.reasons[0].code
    taken = send_events.sync(
        client=client, body=EventsBody(events=[NewEvent(user="u04", item="i01", id="order-1")])
    )
    assert isinstance(taken, Accepted)
    unknown = item.sync("nothing", client=client)
    assert isinstance(unknown, Problem) and unknown.code is ProblemCode.UNKNOWN_ITEM
    wrong = recommend_user.sync("u04", client=client, k=0)
    assert isinstance(wrong, Problem) and wrong.code is ProblemCode.INVALID_REQUEST
with Client(base_url=address) as client:
    nobody = item.sync("i01", client=client)
    assert isinstance(nobody, Problem) and nobody.code is ProblemCode.UNKNOWN_KEY
print(json.dumps({"items": ids, "source": lists.answers[1].source, "accepted": taken.accepted}))
