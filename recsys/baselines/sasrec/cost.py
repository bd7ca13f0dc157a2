"""What SASRec will take at most, before it starts: linear in rows, every epoch alike."""

from recsys.baselines.sasrec.sequences import WINDOW, batch_size
from recsys.closed_form.costs import BLOCK_BYTES, Forecast, rank_seconds

MAX_EPOCHS = 100
"""No training runs longer, whatever validation says."""

_ROW = 3e-5  # a row and an epoch, of one or two blocks: seconds of one core
_USER = 1e-4  # encoding a user's latest items
_ITEM = 3e-7  # Adam on an item's vector, a step
_STEP = 5e-3  # what a step takes whatever its size
_CHECKS = 20  # validations of a training of MAX_EPOCHS
_ITEM_BYTES = 4 * 64 * 6  # vector, gradient, both moments of Adam, and two kept copies
_USER_BYTES = 4 * 64 * 2
_ROW_BYTES = 8 * 12  # sequences and their order while they are sorted
_STEP_BYTES = 500_000_000  # states, scores and gradients of 256 windows of 50 items


def sasrec_cost(users: int, items: int, interactions: int) -> Forecast:
    """One training of MAX_EPOCHS epochs with its validations."""
    num_windows = users + interactions // WINDOW
    steps = num_windows / batch_size(num_windows)
    epoch = _ROW * interactions + (_STEP + _ITEM * items) * steps
    check = _USER * users + rank_seconds(users, items)
    seconds = MAX_EPOCHS * epoch + _CHECKS * check

    table_bytes = _ITEM_BYTES * items + _USER_BYTES * users
    row_bytes = _ROW_BYTES * interactions
    return Forecast(seconds, table_bytes + row_bytes + _STEP_BYTES + BLOCK_BYTES)
