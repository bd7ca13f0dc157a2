"""Encoding with numpy against the formulae, written as loops, and against the trained network."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recsys.core.errors import UsageError
from recsys.core.history import no_history
from recsys.core.later_events import HistoryEvent, extended
from recsys.encode import fold_in
from recsys.encode.attention import row_reduce
from recsys.encode.fold_in import UserEncoder, history_neighbours


def cosine(a, b):
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms > 0 else 0.0


def naive_message(state, relation, layer, edges, hidden):
    """out_r of one user; edges: {source: weight}."""
    heads = np.split(np.arange(len(hidden)), state.heads)
    states = state.states[relation.source][layer - 1].astype(float)
    a, b = relation.source_exponent[layer - 1], relation.target_exponent[layer - 1]
    prior = {u: w * float(relation.source_degree[u]) ** -a for u, w in edges.items()}
    out = np.zeros(len(hidden))
    for m, part in enumerate(heads):
        weight = {
            u: p * np.exp(relation.gamma[layer - 1, m] * cosine(states[u][part], hidden[part]))
            for u, p in prior.items()
        }
        for u, one in weight.items():
            out[part] += one / sum(weight.values()) * states[u][part]
    return sum(prior.values()) * sum(edges.values()) ** -b * out


def naive_encode(state, neighbours, own):
    """z of one user; neighbours: {relation: {source: weight}}."""
    hidden = own.astype(float)
    total = state.layer_weights[0] * hidden
    for layer in range(1, state.layers + 1):
        fresh, added = np.zeros(len(own)), []
        for relation in state.relations:
            edges = neighbours.get(relation.name, {})
            if not edges:
                continue
            out = naive_message(state, relation, layer, edges, hidden)
            if relation.base:
                fresh = out
            else:
                added.append((relation, out))
        closeness = [
            np.exp(relation.kappa[layer - 1] * cosine(hidden, out)) for relation, out in added
        ]
        for (relation, out), beta in zip(added, closeness, strict=True):
            fresh = fresh + np.tanh(relation.gate[layer - 1]) * beta / sum(closeness) * out
        hidden = fresh
        total = total + state.layer_weights[layer] * hidden
    norm = np.linalg.norm(total) if state.similarity == "cosine" else 1.0
    return total / norm if norm > 0 else total


def edges_of(neighbours, user):
    rows = {name: matrix[user] for name, matrix in neighbours.items()}
    return {
        name: dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        for name, row in rows.items()
    }


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_every_user_equals_the_loops(contents, similarity):
    state = replace(contents.embeddings.encoder, similarity=similarity)
    own = contents.embeddings.user_self
    vectors = UserEncoder(state).encode(contents.neighbours, own)
    for user in range(len(own)):
        expected = naive_encode(state, edges_of(contents.neighbours, user), own[user])
        assert np.allclose(vectors[user], expected, atol=1e-5)


def test_a_visitor_starts_from_the_learned_state(contents):
    state = contents.embeddings.encoder
    history = sparse.csr_matrix(([1.0, 2.0], ([0, 0], [4, 9])), shape=(1, 40))
    vector = UserEncoder(state).encode({"rev_view": history})[0]
    expected = naive_encode(state, {"rev_view": {4: 1.0, 9: 2.0}}, state.visitor)
    assert np.allclose(vector, expected, atol=1e-5)


def test_nobody_known_is_the_visitor_alone(contents):
    state = contents.embeddings.encoder
    vector = UserEncoder(state).encode({"rev_buy": sparse.csr_matrix((1, 40), dtype=np.float32)})[0]
    assert np.allclose(vector, state.visitor / np.linalg.norm(state.visitor), atol=1e-6)


def test_blocks_of_users_change_nothing(contents, monkeypatch):
    encoder, own = UserEncoder(contents.embeddings.encoder), contents.embeddings.user_self
    whole = encoder.encode(contents.neighbours, own)
    monkeypatch.setattr(fold_in, "_EDGES_AT_ONCE", 9)
    assert np.allclose(encoder.encode(contents.neighbours, own), whole, atol=1e-7)


def test_without_attention_the_layer_is_weighted_lightgcn(contents):
    """γ = 0, a = b = ½, one relation: D^-½ W D^-½, as a matrix product."""
    state = contents.embeddings.encoder
    half = np.full(2, 0.5, np.float32)
    plain = replace(
        state.relations[0],
        gamma=np.zeros((2, 2), np.float32),
        source_exponent=half,
        target_exponent=half,
    )
    encoder = UserEncoder(replace(state, relations=(plain,), similarity="dot"))
    edges = contents.neighbours["rev_buy"]
    own = contents.embeddings.user_self
    users = np.asarray(edges.sum(axis=1)).ravel()
    norm = sparse.diags(np.where(users > 0, users, 1.0) ** -0.5) @ edges
    norm = norm @ sparse.diags(np.where(plain.source_degree > 0, plain.source_degree, 1.0) ** -0.5)
    layers = [own, norm @ state.states["item"][0], norm @ state.states["item"][1]]
    expected = sum(
        weight * layer for weight, layer in zip(state.layer_weights, layers, strict=True)
    )
    assert np.allclose(encoder.encode({"rev_buy": edges}, own), expected, atol=1e-5)


def test_a_source_without_edges_counts_its_new_one(contents):
    state = contents.embeddings.encoder
    degrees = state.relations[0].source_degree.copy()
    degrees[4] = 0
    state = replace(state, relations=(replace(state.relations[0], source_degree=degrees),))
    vector = UserEncoder(state).encode(
        {"rev_buy": sparse.csr_matrix(([2.0], ([0], [4])), shape=(1, 40))}
    )
    assert np.isfinite(vector).all()
    degrees[4] = 2.0
    again = UserEncoder(state).encode(
        {"rev_buy": sparse.csr_matrix(([2.0], ([0], [4])), shape=(1, 40))}
    )
    assert np.allclose(vector, again)


def test_edges_of_a_history_by_hand(contents):
    day = 86_400
    state = replace(
        contents.embeddings.encoder, half_life_days=10.0, now=1_000 * day, use_weights=True
    )
    state = replace(state, relations=(replace(state.relations[0], weight=3.0),))
    history = no_history(("view", "buy"), 40, has_times=True)
    events = [
        HistoryEvent(1, "buy", 1.0, 990 * day),
        HistoryEvent(2, "buy", 2.0, 980 * day),
        HistoryEvent(3, "buy", 1.0),
        HistoryEvent(4, "buy", 0.5, 2_000 * day),
        HistoryEvent(5, "buy", 1.0, -(10**15)),
    ]
    history = extended(history, events, "first")
    edges = history_neighbours(state, history)["rev_buy"]
    assert edges.indices.tolist() == [1, 2, 3, 4, 5]
    assert edges.data[:4].tolist() == [1.5, 1.5, 3.0, 1.5]
    assert edges.data[4] > 0
    plain = replace(state, half_life_days=None, use_weights=False)
    assert history_neighbours(plain, history)["rev_buy"].data.tolist() == [3.0] * 5


def test_row_reduce_with_empty_rows():
    indptr = np.array([0, 0, 2, 2, 3, 3])
    assert row_reduce(np.add, np.array([1.0, 2.0, 5.0]), indptr).tolist() == [0, 3, 0, 5, 0]
    assert row_reduce(np.maximum, np.array([-1.0, -2.0, -5.0]), indptr).tolist() == [
        0,
        -1,
        0,
        -5,
        0,
    ]


def test_different_numbers_of_users_are_refused(contents):
    one, two = sparse.csr_matrix((1, 40)), sparse.csr_matrix((2, 40))
    with pytest.raises(UsageError, match=r"neighbours of \[1, 2\] users"):
        UserEncoder(contents.embeddings.encoder).encode({"rev_buy": one, "rev_view": two})
