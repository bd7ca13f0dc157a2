"""The encoder in onnxruntime gives what it gives in numpy, for any histories."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recsys.core.encoder import LATEST, EncoderState
from recsys.core.errors import UsageError
from recsys.core.history import EdgeWeighting
from recsys.encode.fold_in import UserEncoder, edge_weighting
from recsys.encode.history_scores import HistoryScores
from worlds import HEADS, ITEMS, LAYERS, WIDTH, make_contents

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

USERS, PLACES = 25, 9


def history_encoder(rng: np.random.Generator, block: bool) -> EncoderState:
    """Of the family history, with everything that it may have away from its start."""
    state = make_contents().embeddings.encoder
    relations = []
    for relation in state.relations:
        learnt = {
            "query": rng.normal(size=(LAYERS, HEADS, WIDTH // HEADS)).astype(np.float32),
            "match": rng.normal(size=(LAYERS, WIDTH, WIDTH)).astype(np.float32),
            "weight_power": rng.uniform(0.5, 2, LAYERS).astype(np.float32),
        }
        if relation.behavior is not None:
            learnt["rank_weights"] = rng.uniform(0.1, 3, 6).astype(np.float32)
            learnt["gap_weights"] = rng.uniform(0.1, 3, 32).astype(np.float32)
        relations.append(replace(relation, **learnt))
    causal = {}
    if block:
        shapes = {"into": (2 * WIDTH, WIDTH), "bias": (2 * WIDTH,), "out": (WIDTH, 2 * WIDTH)}
        causal = {name: rng.normal(size=size).astype(np.float32) for name, size in shapes.items()}
    return replace(
        state,
        family="history",
        relations=tuple(relations),
        half_life_events=4.0,
        causal_block=causal,
    )


def drawn_inputs(state, rng):
    """Padded inputs of the graph; a fifth of the rows of each relation is empty."""
    inputs = {}
    for relation in state.relations:
        nodes = state.states[relation.source].shape[1]
        index = np.full((USERS, PLACES), -1, np.int64)
        for row in index:
            length = int(rng.integers(1, min(PLACES, nodes) + 1)) * int(rng.random() > 0.2)
            row[:length] = rng.choice(nodes, length, replace=False)
        weight = rng.uniform(0.2, 3, index.shape).astype(np.float32)
        inputs[relation.name] = {"index": index, "weight": weight}
        if relation.behavior is not None:
            lengths = (index >= 0).sum(axis=1, keepdims=True)
            inputs[relation.name]["rank"] = lengths - 1 - np.arange(PLACES)
            seconds = np.exp2(rng.uniform(0, 36, index.shape)).astype(np.int64)
            inputs[relation.name]["seconds"] = seconds
    return inputs


def neighbours_of(state, inputs):
    """The same as the matrices that numpy reads, placed edge by edge."""
    neighbours = {}
    for relation in state.relations:
        given = inputs[relation.name]
        weighting = EdgeWeighting()
        if relation.behavior is not None:
            weighting = edge_weighting(state, relation)
        users, places = np.nonzero(given["index"] >= 0)
        weight = given["weight"][users, places].astype(np.float64)
        if relation.behavior is not None:
            rank, gap = (given[name][users, places] for name in ("rank", "seconds"))
            weight = weight * weighting.of_places(rank, gap)
        items = given["index"][users, places]
        shape = (USERS, state.states[relation.source].shape[1])
        matrix = sparse.csr_matrix((weight.astype(np.float32), (users, items)), shape=shape)
        matrix.eliminate_zeros()
        neighbours[relation.name] = matrix
    return neighbours


def ran(state, added, feeds):
    from recsys.encode.onnx_graph import encoder_graph

    model = encoder_graph(state, added)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = {one.name for one in session.get_inputs()}
    [vectors] = session.run(None, {name: feeds[name] for name in wanted})
    return vectors, wanted


def feeds_of(inputs):
    feeds = {}
    for relation, arrays in inputs.items():
        for name, values in arrays.items():
            feeds[f"{relation}_{name}"] = values
    return feeds


@pytest.mark.parametrize("kind", ["degree_prior", "dot", "history", "causal block"])
@pytest.mark.parametrize("seed", range(3))
def test_vectors_are_those_of_numpy(kind, seed):
    rng = np.random.default_rng(seed)
    state = make_contents().embeddings.encoder
    if kind == "dot":
        state = replace(state, similarity="dot")
    if kind in ("history", "causal block"):
        state = history_encoder(rng, kind == "causal block")
    inputs = drawn_inputs(state, rng)
    neighbours, feeds = neighbours_of(state, inputs), feeds_of(inputs)
    if kind == "causal block":
        latest = rng.integers(-1, ITEMS, (USERS, 1))
        feeds["latest_index"] = latest
        users = np.flatnonzero(latest[:, 0] >= 0)
        rows = (np.ones(len(users), np.float32), (users, latest[users, 0]))
        neighbours[LATEST] = sparse.csr_matrix(rows, shape=(USERS, ITEMS))
    expected = UserEncoder(state).encode(neighbours)
    vectors, wanted = ran(state, None, feeds)
    assert np.abs(vectors - expected).max() < 1e-5
    assert vectors.any(axis=1).all()
    assert ("rev_buy_rank" in wanted) == (state.family == "history")
    assert "rev_country_rank" not in wanted


def test_low_pass_and_trend_stand_behind_the_vector(rng):
    state = make_contents().embeddings.encoder
    inputs = drawn_inputs(state, rng)
    into, back = (rng.normal(size=(ITEMS, rank)).astype(np.float32) for rank in (3, 5))
    added = HistoryScores(sparse.csr_matrix((ITEMS, ITEMS), dtype=np.float32), into, back)
    index = inputs["rev_buy"]["index"]
    weight = inputs["rev_buy"]["weight"]
    users, places = np.nonzero(index >= 0)
    rows = (weight[users, places], (users, index[users, places]))
    histories = sparse.csr_matrix(rows, shape=(USERS, ITEMS))
    feeds = feeds_of(inputs) | {"history_index": index, "history_weight": weight}
    vectors, _ = ran(state, added, feeds)
    plain = UserEncoder(state).encode(neighbours_of(state, inputs))
    expected, _ = added.widened(plain, np.zeros((ITEMS, WIDTH), np.float32), histories)
    assert vectors.shape == (USERS, WIDTH + 5)
    assert np.abs(vectors - expected).max() < 1e-5


def test_of_the_textbook_families_it_says_that_it_cannot(rng):
    from recsys.encode.onnx_graph import encoder_graph

    state = replace(make_contents().embeddings.encoder, family="gat")
    with pytest.raises(UsageError, match="family 'gat' is not written as ONNX"):
        encoder_graph(state, None)
