"""Early stopping judges no more users than it takes to be sure, so that an epoch costs rows alone."""

import pytest

from recsys.core.config import build_config
from recsys.fitting.fit import fit_phase
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases import judge
from recsys.phases.judge import Judge
from recsys.phases.phase import Phase


@pytest.fixture(scope="module")
def phase(tmp_path_factory) -> Phase:
    config = build_config({"model": {"width": 8, "heads": 2}, "train": {"epochs": 2}})
    log = communities(num_users=40, num_items=30, events_per_user=8, seed=5).log
    folder = tmp_path_factory.mktemp("log")
    ingest(log, config.data, config.clean, folder)
    coded = load_log(folder)
    return Phase("select", coded, split_log(coded, config.split, "interaction", 0), config)


@pytest.mark.parametrize("most", [7, 10_000])
def test_at_most_so_many_users_are_judged_after_an_epoch(phase, monkeypatch, most):
    everybody = phase.judge.held_out_users
    judged = []
    per_user = Judge.per_user

    def noted(self, scorer, users=None):
        values = per_user(self, scorer, users)
        judged.append(len(values))
        return values

    monkeypatch.setattr(Judge, "per_user", noted)
    monkeypatch.setattr(judge, "VALIDATION_USERS", most)
    anew = Phase("select", phase.log, phase.splits, phase.config)
    trained = fit_phase(anew, anew.graph, anew.config.model)
    assert len(judged) >= len(trained.history) == 2
    assert set(judged) == {min(most, len(everybody))}
