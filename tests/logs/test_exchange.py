"""Ids of pieces get their codes range by range, as they would all at once."""

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.logs.exchange import code_ids

PIECES = st.lists(st.lists(st.text(max_size=3), unique=True), min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES, st.integers(1, 12))
def test_codes_are_places_in_text_order_whatever_the_ranges(tmp_path, pieces, at_once):
    paths = []
    for number, ids in enumerate(pieces):
        path = tmp_path / f"{number}.arrow"
        pl.DataFrame({"id": pl.Series(ids, dtype=pl.String)}).write_ipc(path)
        paths.append(path)
    ids, codes = code_ids(paths, at_once)
    # By bytes, as UTF-8 is compared.
    wanted = sorted({one for piece in pieces for one in piece}, key=lambda text: text.encode())
    assert ids.to_list() == wanted
    assert [found.tolist() for found in codes] == [
        [wanted.index(one) for one in piece] for piece in pieces
    ]
