"""What a probe settles, and what it leaves alone."""

import numpy as np
import pytest

from recsys.core.config import TrainConfig
from recsys.core.progress import QUIET
from recsys.train.probe import PROBED_PAIRS, Settings, probe


def judged(values: dict[Settings, float], asked: list):
    """A run that knows the value of every settled configuration; 0.1 where it is not named."""

    def run(config: TrainConfig, steps: int) -> np.ndarray:
        asked.append((Settings.of(config), steps))
        return np.full(20, values.get(Settings.of(config), 0.1))

    return run


def test_each_setting_is_tried_on_the_best_so_far():
    asked: list = []
    values = {Settings(0.1, 10, 1): 0.2, Settings(0.2, 10, 1): 0.15, Settings(0.1, 10, 20): 0.3}
    settled = probe(TrainConfig(metric_k=10), True, 1000, 50, judged(values, asked), QUIET)
    assert settled == Settings(0.1, 10, 20)
    assert [settings for settings, _ in asked] == [
        Settings(0.1, 0, 1),
        Settings(0.1, 10, 1),
        Settings(0.2, 10, 1),
        Settings(0.1, 10, 20),
    ]


def test_what_is_configured_is_not_probed():
    asked: list = []
    config = TrainConfig(temperature=0.3, top_k=0)
    assert probe(config, False, 1000, 50, judged({}, asked), QUIET) == Settings(0.3, 0, 1)
    assert not asked
    settled = probe(config, True, 1000, 50, judged({Settings(0.3, 0, 20): 1.0}, asked), QUIET)
    assert settled == Settings(0.3, 0, 20)
    assert settled.applied(config).temperature == 0.3 and settled.applied(config).horizon == 20


def test_noise_changes_nothing():
    asked: list = []
    settled = probe(
        TrainConfig(), True, 1000, 50, judged({Settings(0.1, 10, 1): 0.1004}, asked), QUIET
    )
    assert settled == Settings()


@pytest.mark.parametrize(("users", "settled"), [(25, 0), (2500, 10)])
def test_a_gain_within_the_noise_of_the_users_changes_nothing(users, settled):
    draws = np.random.default_rng(0).standard_normal(users)
    draws -= draws.mean()

    def run(config: TrainConfig, steps: int) -> np.ndarray:
        # 5 % better on average, and some 0.04 up or down for every user.
        gain = 0.005 + 0.04 * draws if config.top_k else np.zeros(users)
        return 0.1 + gain

    config = TrainConfig(temperature=0.1, horizon=1, metric_k=10)
    assert probe(config, True, 1000, 50, run, QUIET).top_k == settled


def test_candidates_see_a_bounded_number_of_pairs():
    asked: list = []
    probe(TrainConfig(), False, 8192, 4000, judged({}, asked), QUIET)
    assert {steps * 8192 for _, steps in asked} == {-(-PROBED_PAIRS // 8192) * 8192}
    asked.clear()
    probe(TrainConfig(), False, 1024, 3, judged({}, asked), QUIET)
    assert {steps for _, steps in asked} == {3}


def test_settled_values_give_way_to_those_that_are_named() -> None:
    settled = Settings(temperature=0.2, top_k=10, horizon=20)
    assert settled.kept_by(TrainConfig()) == settled
    named = TrainConfig(temperature=0.05, top_k=0)
    assert settled.kept_by(named) == Settings(temperature=0.05, top_k=0, horizon=20)
