import pytest

from recsys.core.errors import (
    ConfigError,
    DataError,
    GateRefused,
    MachineError,
    RecsysError,
    UsageError,
    nearest,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError, 1),
        (MachineError, 1),
        (UsageError, 2),
        (ConfigError, 2),
        (RecsysError, 3),
        (GateRefused, 4),
    ],
)
def test_exit_codes(error: type[RecsysError], code: int) -> None:
    assert error("x").exit_code == code


def test_message_ends_with_the_remedy() -> None:
    assert str(DataError("the log is empty", "Give another")) == "the log is empty. Give another"
    assert str(UsageError("for whom?", "Give --user ID")) == "for whom? Give --user ID"


def test_nearest_names_close_values_only() -> None:
    assert nearest("itm_id", ["item_id", "user_id"], count=1) == "Did you mean 'item_id'?"
    assert nearest("zzz", ["item_id"]) == ""
