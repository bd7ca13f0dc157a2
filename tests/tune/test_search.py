"""A search on a small world: what it starts from, what it looks at, what it does after being
stopped.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from chain import Heard
from recsys.core.config import TuneConfig, with_overrides
from recsys.core.errors import MachineError, UsageError
from recsys.core.noise import Difference
from recsys.core.progress import Progress
from recsys.fitting.fit import fit_phase
from recsys.fitting.second_stage import SecondStageChoice, choose_second_stage
from recsys.scores.choice import choose_blend
from recsys.scores.trained_vectors import TrainedVectors
from recsys.train.probe import Settings
from recsys.tune import search as module
from recsys.tune import study as trials
from recsys.tune.document import Tuning, best_values, tuning_of
from recsys.tune.page import render
from recsys.tune.search import Budget, Search
from recsys.tune.space import given_space, with_values
from recsys.tune.study import open_study

MANY = Budget(trials=4, minutes=30)


def tried(
    search: Search, budget: Budget = MANY
) -> list[tuple[str, float | None, dict[str, object]]]:
    """State, value and configuration values of every trial after the budget is used."""
    with open_study(search.folder, search.phase.config.tune) as study:
        search.run(study, budget)
        return [
            (one.state.name, one.value, one.user_attrs.get(trials.VALUES, {}))
            for one in study.trials
        ]


def test_the_first_trial_is_the_configuration_as_given(new_search) -> None:
    search = new_search()
    [(state, value, values)] = tried(search, Budget(1, 30))
    config = search.phase.config
    assert (state, values) == ("COMPLETE", {"train.lr": config.train.lr, "model.layers": 1})
    found = fit_phase(search.phase, search.graph, config.model)
    users = TrainedVectors(search.phase.interactions, found.embeddings, search.graph)
    assert value == pytest.approx(choose_blend(search.phase, users).value)
    assert value >= found.best_value  # what histories add on top, where it is more than noise


def test_a_trial_is_judged_by_both_stages(
    new_search, small_phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By trees that were fitted on other users; by the first stage alone where they do not pay."""
    config = with_overrides(
        small_phase.config.model_dump(exclude_unset=True),
        ["rank.model=lightgbm", "rank.trees=10"],
    )
    values, choices = [], []

    def remembered(*arguments: object) -> SecondStageChoice:
        choices.append(choose_second_stage(*arguments))
        return choices[-1]

    monkeypatch.setattr(module, "choose_second_stage", remembered)
    for name, gain in (("used", 1.0), ("left_out", -1.0)):
        apart = Difference(gain, 0.0)
        monkeypatch.setattr("recsys.fitting.second_stage.difference", lambda *_, apart=apart: apart)
        search = new_search(name, config)
        tried(search, Budget(1, 30))
        values.append(search.users(0))
    [(_, alone, _)] = tried(new_search("alone"), Budget(1, 30))
    used, left_out = values
    assert [choice.used for choice in choices] == [True, False]
    assert left_out.mean() == pytest.approx(alone) and (used != left_out).any()
    # Every second user is judged by the very trees of the choice.
    assert used[1::2].mean() == pytest.approx(choices[0].value)
    assert left_out[1::2].mean() == pytest.approx(choices[0].without)


def test_given_values_outside_the_space_are_still_tried_first(new_search, small_phase) -> None:
    config = with_overrides(
        small_phase.config.model_dump(exclude_unset=True), ["model.layers=3", "train.lr=0.5"]
    )
    rows = tried(new_search(config=config), Budget(2, 30))
    assert rows[0][2] == {"train.lr": 0.5, "model.layers": 3}
    assert rows[1][2]["model.layers"] in (1, 2)


def test_at_first_trials_stand_beside_the_best_so_far(new_search, small_phase) -> None:
    space = {
        "train.lr": {"low": 1e-3, "high": 3e-2, "log": True},
        "train.temperature": {"low": 0.05, "high": 0.4},
        "train.user_dropout": {"low": 0.0, "high": 0.4},
        "model.layers": {"choices": [1, 2]},
    }
    raw = small_phase.config.model_dump(exclude_unset=True)
    tune = {"space": space, "startup": 6, "prune": False}
    # A temperature that was left open has nothing beside it.
    config = with_overrides({**raw, "tune": tune}, ["train.temperature=0.1"])
    rows = tried(new_search(config=config), Budget(6, 30))
    best = rows[0]
    for row in rows[1:]:
        assert 1 <= sum(row[2][key] != best[2][key] for key in space) <= 2
        best = max(best, row, key=lambda one: one[1])


def test_same_seed_same_trials_in_one_process_or_in_several(new_search) -> None:
    at_once = tried(new_search("at once"))
    parts = new_search("in parts")
    for count in (1, 2, 4):
        in_parts = tried(parts, Budget(count, 30))
    assert in_parts == at_once
    assert len({row[2]["train.lr"] for row in at_once}) == 4


def test_values_are_ndcg_on_validation_and_kept_per_user(new_search) -> None:
    search = new_search()
    [(_, value, _)] = tried(search, Budget(1, 30))
    assert search.users(0).shape == search.phase.judge.held_out_users.shape
    assert search.users(0).mean() == value


class _Interrupting(Heard):
    """Ctrl-C at the first line that starts as told."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self.start = start

    def say(self, message: str, **fields: object) -> None:
        super().say(message, **fields)
        if message.startswith(self.start):
            raise KeyboardInterrupt


@pytest.mark.parametrize("place", ["trial 1", "trial 3"])
def test_an_interrupted_trial_is_tried_again_with_the_same_values(new_search, place: str) -> None:
    undisturbed = tried(new_search("undisturbed"))
    search = new_search("disturbed")
    with pytest.raises(KeyboardInterrupt):
        tried(replace(search, progress=_Interrupting(place)))
    rows = tried(search)
    assert [row for row in rows if row[0] != "FAIL"] == undisturbed
    [interrupted] = [row for row in rows if row[0] == "FAIL"]
    assert interrupted[2] in [row[2] for row in undisturbed]


def test_training_goes_on_from_the_checkpoint_of_an_interrupted_trial(
    new_search, monkeypatch
) -> None:
    search = new_search()
    epochs: list[int] = []
    watching = module._watching

    def stopping(trial, place: str, progress: Progress):
        watch = watching(trial, place, progress)

        def watched(record) -> None:
            epochs.append(record.epoch)
            watch(record)
            if len(epochs) == 3:
                raise KeyboardInterrupt

        return watched

    monkeypatch.setattr(module, "_watching", stopping)
    with pytest.raises(KeyboardInterrupt):
        tried(search, Budget(1, 30))
    [_, (_, value, _)] = tried(search, Budget(1, 30))
    assert epochs == [1, 2, 3, 1, 2, 3, 4]
    assert value == tried(new_search("undisturbed"), Budget(1, 30))[0][1]


@pytest.mark.parametrize(
    ("second", "fate"), [(0.1, "PRUNED"), (0.81, "PRUNED"), (0.83, "COMPLETE")]
)
def test_a_trial_a_tenth_below_the_others_is_pruned(
    new_search, small_phase, monkeypatch, second: float, fate: str
) -> None:
    raw = small_phase.config.model_dump(exclude_unset=True)
    config = with_overrides(
        raw,
        [
            *("tune.startup=1", "train.epochs=6", "train.patience=6"),
            # Nothing is left for a probe, which would ask for values, too.
            *("train.temperature=0.1", "train.top_k=0", "train.horizon=1"),
            *(
                "blend.neighbours=0",
                "blend.low_pass_rank=0",
                "blend.recency=false",
                "blend.lengths=false",
                "blend.trend=false",
            ),
        ],
    )
    search = new_search(config=config)
    # One of each epoch, and one of what would be served.
    values = iter([*[0.9] * 7, *[second] * 7])

    def next_values(judge: object, scorer: object, users: object = None) -> np.ndarray:
        return np.array([next(values)])

    monkeypatch.setattr(type(small_phase.judge), "per_user", next_values)
    rows = tried(search, Budget(2, 30))
    assert [row[0] for row in rows] == ["COMPLETE", fate]


@pytest.mark.parametrize(
    ("epochs", "values", "pruned_at"),
    [
        # Rungs of 8 epochs are 2 and 4; the median of the others is 0.5 at both.
        (8, [0.49, 0.49, 0.6, 0.6], 2),
        (8, [0.49, 0.51, 0.51, 0.49], None),
        (8, [0.5, 0.51, 0.48, 0.48], None),
        (8, [0.48, 0.49, 0.49], 2),
        # Of 12 they are 3 and 6: at 2 only what is a tenth below goes.
        (12, [0.49, 0.49, 0.5, 0.5], None),
        (12, [0.49, 0.49, 0.49], 3),
        (12, [0.4, 0.4], 2),
    ],
)
def test_at_a_quarter_and_at_half_a_trial_stands_among_the_better_half(
    tmp_path: Path, epochs: int, values: list[float], pruned_at: int | None
) -> None:
    with open_study(tmp_path, TuneConfig()) as study:
        for level in (0.3, 0.5, 0.7):
            other = study.ask()
            for epoch in range(1, 13):
                other.report(level, epoch)
            study.tell(other, level)
        trial = study.ask()
        trial.set_user_attr(trials.EPOCHS, epochs)
        pruned = []
        for epoch, value in enumerate(values, start=1):
            trial.report(value, epoch)
            if trial.should_prune():
                pruned.append(epoch)
        assert pruned[:1] == ([] if pruned_at is None else [pruned_at])


def test_what_the_first_trial_settled_is_not_probed_again(new_search, monkeypatch) -> None:
    asked = []
    real = module.fit_phase

    def noting(*arguments: object, settings: object = None, **more: object) -> object:
        asked.append(settings)
        return real(*arguments, settings=settings, **more)

    monkeypatch.setattr(module, "fit_phase", noting)
    search = new_search()
    with open_study(search.folder, search.phase.config.tune) as study:
        search.run(study, Budget(2, 30))
        settled = study.user_attrs[trials.SETTLED]
    assert asked[0] is None
    assert asked[1] == Settings(**settled)


def test_a_trial_that_cannot_run_fails_with_its_reason_and_the_search_goes_on(
    new_search, small_phase
) -> None:
    raw = small_phase.config.model_dump(exclude_unset=True)
    config = with_overrides(
        raw, ["tune.space={'model.width'={choices=[8, 12]}, 'model.heads'={choices=[2, 8]}}"]
    )
    search = new_search(config=config)
    rows = tried(search, Budget(8, 30))
    assert len(rows) == 8 and {row[0] for row in rows} == {"COMPLETE", "FAIL"}
    with open_study(search.folder, config.tune) as study:
        reasons = [
            one.user_attrs[trials.REASON] for one in study.trials if one.state == TrialState.FAIL
        ]
    assert all("not a multiple" in reason for reason in reasons)


def test_no_trial_is_started_that_would_end_after_the_budget(new_search) -> None:
    search = new_search()
    with open_study(search.folder, search.phase.config.tune) as study:
        search.run(study, Budget(1, 30))
        seconds = trials.spent_seconds(study)
        assert search.run(study, Budget(20, 1.9 * seconds / 60)) == "minutes"
        assert len(study.trials) == 1


def test_the_forecast_is_said_and_refuses_what_cannot_fit(new_search) -> None:
    heard = Heard()
    search = replace(new_search(), progress=heard)
    search.forecast(MANY)
    assert (
        "a trial of all 4 epochs" in heard.text
        and "the search ends after 30.0 minutes" in heard.text
    )
    with pytest.raises(UsageError, match="Raise --budget-minutes"):
        search.forecast(Budget(1, 1e-9))


def test_without_validation_there_is_nothing_to_choose_by(new_search, small_phase) -> None:
    config = with_overrides(small_phase.config.model_dump(exclude_unset=True), ["train.epochs=0"])
    with pytest.raises(UsageError, match="no validation"):
        new_search(config=config).forecast(MANY)


@pytest.mark.parametrize(
    ("count", "minutes", "told"), [(0, 5, "--trials 0"), (5, 0, "leaves no time")]
)
def test_an_empty_budget_is_refused(count: int, minutes: float, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Budget(count, minutes)


@pytest.fixture(scope="module")
def tuning(small_phase, tmp_path_factory) -> Tuning:
    folder = tmp_path_factory.mktemp("tuning")
    search = Search(small_phase, small_phase.graph, given_space(small_phase.config), folder)
    with open_study(search.folder, search.phase.config.tune) as study:
        stopped = search.run(study, Budget(10, 30))
        found = tuning_of(search, study, Budget(10, 30), stopped)
        assert set(best_values(search, study)) <= set(search.space)
    return found


def test_the_document_tells_the_gain_and_survives_its_json(tuning: Tuning) -> None:
    best, given = tuning.row(tuning.best), tuning.row(tuning.given)
    assert (
        given.given
        and best.value is not None
        and given.value is not None
        and best.value >= given.value
    )
    assert tuning.gain.difference == pytest.approx(best.value - given.value)
    assert tuning.gain.low <= tuning.gain.difference <= tuning.gain.high
    assert Tuning.model_validate_json(tuning.model_dump_json()) == tuning
    assert tuning.stopped == "trials" and len(tuning.trials) == 10


def test_the_page_stands_alone_and_holds_every_trial(tuning: Tuning) -> None:
    page = render(tuning)
    assert page == render(tuning)
    assert "<script" not in page and "src=" not in page and page.count("<svg") == 2
    assert page.count("<tr") == 2 + len(tuning.trials) + len(tuning.space)
    assert str(np.round(tuning.row(tuning.best).value, 4)) in page


def test_a_damaged_study_is_told(new_search) -> None:
    search = new_search()
    search.folder.mkdir()
    Path(search.folder / trials.FILE).write_text("not a database", encoding="utf-8")
    with pytest.raises(MachineError, match=r"study\.db"):
        tried(search)


def test_a_trial_of_another_graph_is_judged_by_scores_of_that_graph(
    shop_phase, tmp_path: Path
) -> None:
    phase = shop_phase
    search = Search(phase, phase.graph, given_space(phase.config), tmp_path / "search")
    rows = tried(search, Budget(4, 30))
    weights = {row[2]["graph.behavior_weights.view"] for row in rows}
    assert len(weights) > 1
    for _, value, values in rows:
        as_given = values["graph.behavior_weights.view"] is None
        alone = phase if as_given else replace(phase, config=with_values(phase.config, values))
        trained = fit_phase(alone, alone.graph, alone.config.model)
        vectors = TrainedVectors(alone.interactions, trained.embeddings, alone.graph)
        assert value == pytest.approx(choose_blend(alone, vectors).value, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ("train.lr=0.002", True),
        ("graph.behavior_weights={view=0.0}", False),
        ("graph.half_life_days=30", False),
        ("blend.trend=false", False),
        ("seed=7", False),
    ],
)
def test_scores_are_shared_only_where_all_they_depend_on_is_equal(
    shop_phase, tmp_path: Path, change: str, shared: bool
) -> None:
    phase = shop_phase
    search = Search(phase, phase.graph, given_space(phase.config), tmp_path / "search")
    config = with_overrides(phase.config.model_dump(exclude_unset=True), [change])
    assert (search._shared_terms(config) is not None) == shared
