import pytest

from recsys.budget.counts import Counts


@pytest.fixture(scope="session")
def counts() -> Counts:
    """Of a small log in an order."""
    return Counts(
        rows=1000,
        users=100,
        items=50,
        pairs=800,
        auxiliary_rows=0,
        relation_rows=0,
        validation_pairs=100,
        test_pairs=100,
        validation_users=90,
        test_users=90,
        has_order=True,
        has_clock=True,
    )
