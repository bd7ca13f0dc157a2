import tomllib

from hypothesis import given
from hypothesis import strategies as st

from recsys.core.toml import to_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=8
)


@given(st.dictionaries(TEXT, VALUES))
def test_what_is_written_is_read_back(document: dict) -> None:
    assert tomllib.loads(to_toml(document)) == document


def test_a_document_by_hand() -> None:
    document = {
        "name": "a",
        "train": {"lr": 1e-05, "warm_start": None},
        "graph": {"attributes": [{"column": "genres"}]},
    }
    expected = 'name = "a"\n\n[train]\nlr = 1e-05\n\n[graph]\nattributes = [\n    { column = "genres" },\n]\n'
    assert to_toml(document) == expected
