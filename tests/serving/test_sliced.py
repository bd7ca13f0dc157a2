"""Large bodies are read piece by piece as the model reads them whole."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from recsys.core.artefacts import no_pause
from serving.bodies import pieces
from serving.bodies.catalogue import ItemsBody
from serving.bodies.lists import ExplainBody, OtherBody, RecommendBody
from serving.bodies.live import EventsBody, ImpressionsBody, RetractBody
from serving.bodies.pieces import LARGEST_BYTES, NotJson, TooLarge, cut
from serving.bodies.sliced import read_sliced
from serving.routes import admin, catalogue, experiments, live, recommend, run
from serving.routes.body import BodyRoute

MODELS = [
    RecommendBody,
    OtherBody,
    ExplainBody,
    ItemsBody,
    EventsBody,
    ImpressionsBody,
    RetractBody,
]
NAMES = [
    "requests", "user", "history", "item", "items", "behavior", "time", "weight", "attributes",
    "friends", "k", "allow", "deny", "filters", "any", "all", "none", "gte", "lte", "exclude_seen",
    "include", "events", "impressions", "answer", "place", "ids", "id", "bundle", "genres",
]  # fmt: skip
TEXTS = st.sampled_from(["", "1", "x]", '"', "\\", "}{", "é,", "Drama", "a" * 12, "0123456789ab"])
SCALARS = st.one_of(
    TEXTS, st.none(), st.booleans(), st.integers(-2, 2000), st.floats(allow_nan=False)
)
EVENT = st.fixed_dictionaries(
    {"item": TEXTS | st.integers(0, 9)}, optional={"time": SCALARS, "weight": st.just(2.0)}
)
QUERY = st.fixed_dictionaries(
    {},
    optional={
        "user": TEXTS,
        "history": st.lists(EVENT, max_size=30),
        "friends": st.lists(TEXTS, max_size=30),
        "attributes": st.dictionaries(TEXTS, st.lists(TEXTS, max_size=130), max_size=3),
    },
)
VALUES = st.lists(SCALARS, max_size=130)
LISTS = st.fixed_dictionaries(
    {"requests": st.lists(QUERY, max_size=300)},
    optional={
        "k": st.integers(0, 1001),
        "deny": st.lists(TEXTS | st.integers(0, 9), max_size=60),
        "allow": VALUES,
        "exclude_seen": st.booleans() | st.lists(TEXTS, max_size=30),
        "include": st.lists(TEXTS, max_size=30),
        "filters": st.dictionaries(
            TEXTS,
            VALUES | st.dictionaries(st.sampled_from(["any", "all", "none", "gte"]), VALUES),
            max_size=3,
        ),
        "x": VALUES,
    },
)
SENT = st.fixed_dictionaries(
    {"user": TEXTS, "item": TEXTS}, optional={"id": TEXTS, "weight": SCALARS, "time": SCALARS}
)
SEEN = st.fixed_dictionaries(
    {
        "answer": TEXTS,
        "user": TEXTS,
        "items": st.lists(
            st.fixed_dictionaries({"item": TEXTS, "place": st.integers(0, 50)}), max_size=40
        ),
    }
)
LIVE = st.one_of(
    st.fixed_dictionaries({"events": st.lists(SENT, max_size=60)}),
    st.fixed_dictionaries({"impressions": st.lists(SEEN, max_size=60)}),
    st.fixed_dictionaries({"ids": st.lists(TEXTS, max_size=60), "events": st.lists(SENT)}),
    st.fixed_dictionaries({"items": st.lists(TEXTS, max_size=60)}),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=40,
)
WRITTEN = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])


MANY = b", ".join([b'"1234567"'] * 40)


@pytest.fixture(autouse=True)
def small_pieces() -> Iterator[None]:
    """So that small bodies have many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_BYTES", 64)
        patch.setattr(pieces, "_SHORT_BYTES", 32)
        yield


def outcome(read: Any) -> object:
    """The model, or what its first error says and where."""
    try:
        return read()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return first["type"], first["loc"], first["msg"]


def assert_read_alike(model: type[BaseModel], text: bytes) -> None:
    sliced = outcome(lambda: read_sliced(model, text, no_pause))
    assert sliced == outcome(lambda: model.model_validate_json(text))


@given(st.sampled_from(MODELS), LISTS | LIVE | ANYTHING, WRITTEN)
@settings(max_examples=150, deadline=None)
def test_a_body_in_pieces_is_what_it_is_as_a_whole(
    model: type[BaseModel], document: Any, written: dict[str, Any]
) -> None:
    assert_read_alike(model, json.dumps(document, **written).encode())


@given(LISTS, st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_no_json_is_told_alike(document: Any, data: st.DataObject) -> None:
    """A sign is taken out, put in, or changed anywhere."""
    text = json.dumps(document).encode()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 2)))
    put_in = data.draw(
        st.sampled_from([b"", b",", b",,", b'"', b"]", b"[", b"{", b"}", b"\xff", b"0"])
    )
    assert_read_alike(RecommendBody, text[:start] + put_in + text[stop:])


@pytest.mark.parametrize(
    "text",
    [
        b'{"requests": [{"user": "1"}], "deny": [%b, ]}' % MANY,
        b'{"requests": [{"user": "1"}], "deny": [%b,, %b]}' % (MANY, MANY),
        b'{"requests": [{"user": "1"}], "deny": [ %b , "1"]}' % (b" " * 100),
        b'{"requests": [{"user": "1"}], "deny": ["1"]} []',
        b'{"requests": [{"user": "1"}], "deny": [%b}' % (b"[" * 300),
        b"[" * 300,
        b"",
    ],
)
def test_commas_and_brackets_that_nothing_belongs_to(text: bytes) -> None:
    with pytest.raises(ValidationError, match="Invalid JSON"):
        read_sliced(RecommendBody, text, no_pause)
    assert_read_alike(RecommendBody, text)


def test_of_the_wrong_elements_of_a_list_the_first_is_told() -> None:
    document = {"requests": [{"user": "1", "friends": ["1"] * 30 + [None] * 900}] * 3}
    with pytest.raises(ValidationError) as caught:
        read_sliced(RecommendBody, json.dumps(document).encode(), no_pause)
    [error] = caught.value.errors()
    assert error["loc"] == ("requests", 0, "friends", 30)


def test_a_mark_cannot_be_sent() -> None:
    """A client that learnt the form of marks knows no name of one."""
    text = json.dumps({"items": ["0" * 32, 0]}).encode()
    assert read_sliced(ItemsBody, text, no_pause) == ItemsBody(items=["0" * 32, "0"])


def test_pieces_are_small_and_are_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 8192)
    monkeypatch.setattr(pieces, "_SHORT_BYTES", 1024)
    history = [{"item": str(one), "behavior": "buy, [view]"} for one in range(5000)]
    document = {"requests": [{"history": history}] * 3, "deny": [str(one) for one in range(9999)]}
    pauses = []
    made = cut(json.dumps(document).encode(), lambda: pauses.append(1))
    runs = [run for aside in made.lists for run in aside]
    assert len(made.lists) == 4  # three histories and `deny`; three marks are short themselves
    assert len(made.rest) < 300
    assert max(map(len, runs)) < 2 * 8192 and len(pauses) > 40
    deny = [one for run in made.lists[-1] for one in json.loads(b"[%b]" % run)]
    assert deny == document["deny"]


def test_what_cannot_be_cut_is_bounded() -> None:
    user = "x" * (LARGEST_BYTES + 1)
    texts = [
        json.dumps({"requests": [{"user": user}]}),
        json.dumps({"requests": [{"user": "1"}], **{f"k{one}": 0 for one in range(40_000)}}),
        json.dumps({"requests": [{f"k{one}": 0 for one in range(40_000)}]}),
    ]
    for text in texts:
        with pytest.raises(TooLarge):
            cut(text.encode(), no_pause)
        with pytest.raises(ValidationError, match="no list is over 262144 bytes"):
            read_sliced(RecommendBody, text.encode(), no_pause)
    with pytest.raises(NotJson):
        cut(b'{"requests": ["', no_pause)


def test_every_list_of_every_body_may_stand_aside() -> None:
    """So that no mark is taken for a list."""
    bodies = set()
    for part in (admin, catalogue, experiments, live, recommend, run):
        for route in part.router.routes:
            if isinstance(route, BodyRoute) and route.body_field is not None:
                bodies.add(route.body_field.field_info.annotation)
    assert set(MODELS) <= bodies
    for body in bodies:
        assert unmarked(body.__pydantic_core_schema__) == []


def unmarked(schema: Any, is_marked: bool = False) -> list[Any]:
    """Lists of a schema that are not read by `Aside`."""
    found = []
    if isinstance(schema, dict):
        if schema.get("type") in ("list", "tuple", "set") and not is_marked:
            found.append(schema)
        function = schema.get("function")
        if isinstance(function, dict):
            function = function["function"]
        reads = getattr(function, "__qualname__", "")
        for name, value in schema.items():
            found += unmarked(value, name == "schema" and reads == "_Runs.read")
    elif isinstance(schema, list):
        for one in schema:
            found += unmarked(one)
    return found
