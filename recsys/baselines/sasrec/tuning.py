"""SASRec's settings by validation: blocks and dropout, and the epochs by early stopping."""

from collections.abc import Sequence

from recsys.baselines.choice import Choice, Params, Value
from recsys.baselines.sasrec.cost import MAX_EPOCHS
from recsys.baselines.sasrec.training import Training
from recsys.core.interactions import Interactions

_PATIENCE = 3  # checks in a row without a better value that end a training


def choose_sasrec(
    train: Interactions, target: str, grid: Sequence[Params], value: Value, seed: int
) -> Choice:
    """The setting and the number of epochs with the largest value; the earlier one among equals.

    Args:
        train: the rows to learn from.
        target: the behaviour to predict.
        grid: settings to try; their `epochs` are chosen anew, at most MAX_EPOCHS.
        value: judges a scorer on validation.
        seed: of every training.
    """
    trained = []
    for params in grid:
        training = Training(train, target, params["blocks"], params["dropout"], seed)
        trained.append(_train_while_better(training, params, value))
    best = max(trained, key=lambda choice: choice.value)
    tried = [(choice.params, choice.value) for choice in trained]
    return best._replace(tried=tried)


def epochs_to_next_check(epoch: int) -> int:
    """How many epochs to train until the next validation: each gap is about a fifth of the epochs
    before it, so that early peaks are met and late ones not overpaid.
    """
    return min(1 + epoch // 5, MAX_EPOCHS - epoch)


def _train_while_better(training: Training, params: Params, value: Value) -> Choice:
    """Train until some checks in a row are no better, or for MAX_EPOCHS; the best check."""
    training.run_epoch()
    best = _checked(training, params, value)
    checks_without_gain = 0
    while training.epoch < MAX_EPOCHS and checks_without_gain < _PATIENCE:
        for _ in range(epochs_to_next_check(training.epoch)):
            training.run_epoch()
        checked = _checked(training, params, value)
        checks_without_gain += 1
        if checked.value > best.value:
            best = checked
            checks_without_gain = 0
    return best


def _checked(training: Training, params: Params, value: Value) -> Choice:
    """What was learned so far, and its value."""
    scorer = training.scorer()
    params = {**params, "epochs": training.epoch}
    return Choice(params, value(scorer), [], scorer)
