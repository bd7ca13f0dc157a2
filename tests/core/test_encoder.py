from pathlib import Path

import numpy as np

from recsys.core.encoder import EncoderState, RelationState


def test_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    def floats(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    relation = RelationState(
        "rev_buy",
        "item",
        "buy",
        1.0,
        True,
        floats(5),
        floats(2),
        floats(2),
        floats(2, 4),
        floats(2),
        floats(2),
    )
    state = EncoderState(
        "degree_prior", 4, "cosine", floats(3), floats(8), {"item": floats(2, 5, 8)}, (relation,), 30.0, 10, False,
        half_life_events=5.0, dense={"0.rev_buy.weight": floats(2, 2)},
    )  # fmt: skip
    state.save(tmp_path)
    loaded = EncoderState.load(tmp_path)
    assert loaded.layers == 2
    assert (loaded.half_life_days, loaded.half_life_events) == (30.0, 5.0)
    np.testing.assert_array_equal(loaded.states["item"], state.states["item"])
    np.testing.assert_array_equal(loaded.dense["0.rev_buy.weight"], state.dense["0.rev_buy.weight"])
    for name in ("gamma", "source_degree", "gate"):
        np.testing.assert_array_equal(getattr(loaded.relations[0], name), getattr(relation, name))
