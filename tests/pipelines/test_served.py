"""What a report calls the scores that go live."""

import pytest

from pipelines.stages.served import served
from recsys.core.noise import Difference
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.choice import Choice

NO_DIFFERENCE = Difference(0.0, 0.01)
POPULARITY = Blend.of_terms(trained_vectors={"weight": 0}, most_popular={"weight": 1.0})


@pytest.mark.parametrize(
    ("blend", "kind", "title"),
    [
        (NO_BLEND, "vectors", "the trained vectors alone"),
        (
            Blend.of_terms(item_item={"weight": 0.2}),
            "blend",
            "the trained vectors with item–item table 0.2",
        ),
        (
            Blend.of_terms(trained_vectors={"half_life_events": 5.0}),
            "blend",
            "the trained vectors, scaled as validation asks",
        ),
        (POPULARITY, "baseline", "popularity of all time 1, without the trained vectors"),
    ],
)
def test_what_goes_live_is_named(blend, kind, title):
    choice = Choice(
        blend, 0.3, 0.2, [{}, {}], best=0.3, behind=NO_DIFFERENCE, over_vectors=NO_DIFFERENCE
    )
    told = served(choice, "NDCG@10")
    assert told is not None
    assert (told.kind, told.title) == (kind, title)
    # The vectors are not compared with themselves.
    assert bool(told.rows) is (kind != "vectors")
