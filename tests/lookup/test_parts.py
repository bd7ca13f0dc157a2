"""Parts and rest sum to the score, and each part is what it says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from explaining import explain
from recsys.encode.fold_in import UserEncoder


def rows_of_user(contents, user):
    return {name: matrix[user] for name, matrix in contents.neighbours.items()}


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_parts_and_rest_sum_to_the_score(contents, similarity):
    found = contents.embeddings
    encoder = UserEncoder(replace(found.encoder, similarity=similarity))
    for user in range(0, 30, 3):
        neighbours, own = rows_of_user(contents, user), found.user_self[user : user + 1]
        vector = encoder.encode(neighbours, own)[0]
        for item in (0, 11, 39):
            why = explain(encoder, neighbours, found.items[item], own)
            assert why.score == pytest.approx(float(vector @ found.items[item]), abs=1e-5)
            assert sum(part.value for part in why.parts) + why.rest == pytest.approx(
                why.score, abs=1e-5
            )


def test_the_rest_is_the_users_own_state(contents):
    found = contents.embeddings
    encoder = UserEncoder(replace(found.encoder, similarity="dot"))
    neighbours, own = rows_of_user(contents, 5), found.user_self[5:6]
    why = explain(encoder, neighbours, found.items[2], own)
    assert why.rest == pytest.approx(
        float(found.encoder.layer_weights[0] * own[0] @ found.items[2]), abs=1e-5
    )


def test_one_part_per_neighbour_largest_first(contents):
    neighbours = rows_of_user(contents, 5)
    why = explain(
        UserEncoder(contents.embeddings.encoder), neighbours, contents.embeddings.items[2]
    )
    named = {(part.relation, part.neighbour) for part in why.parts}
    assert named == {(name, int(one)) for name, row in neighbours.items() for one in row.indices}
    assert len(named) == len(why.parts)
    values = [part.value for part in why.parts]
    assert values == sorted(values, reverse=True)
    assert {part.source for part in why.parts if part.relation == "rev_country"} == {"user:country"}


def test_a_single_neighbour_without_attention_by_hand(contents):
    """One item, one layer, γ = 0, degrees 1: its part is layer weight × ⟨state, item⟩."""
    state = contents.embeddings.encoder
    flat = np.zeros((1, 2), np.float32)
    ones = np.ones(1, np.float32)
    degrees = np.ones(40, np.float32)
    relation = replace(
        state.relations[0],
        gamma=flat,
        source_exponent=ones,
        target_exponent=ones,
        source_degree=degrees,
    )
    weights = np.array([0.5, 0.25], np.float32)
    state = replace(state, relations=(relation,), layer_weights=weights, similarity="dot")
    item = contents.embeddings.items[0]
    why = explain(
        UserEncoder(state), {"rev_buy": sparse.csr_matrix(([1.0], ([0], [8])), shape=(1, 40))}, item
    )
    assert [part.neighbour for part in why.parts] == [8]
    assert why.parts[0].value == pytest.approx(
        0.25 * float(state.states["item"][0][8] @ item), abs=1e-6
    )


def test_nothing_known_is_all_rest(contents):
    empty = {"rev_buy": sparse.csr_matrix((1, 40), dtype=np.float32)}
    why = explain(UserEncoder(contents.embeddings.encoder), empty, contents.embeddings.items[0])
    assert (why.parts, why.rest) == ([], why.score)
