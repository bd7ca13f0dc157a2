"""Renamed configuration keys: the old name works wherever keys are written, and says the new one."""

import tomllib
from pathlib import Path

import pytest

from recsys.core.config import RunConfig, aliases, build_config, load_config, with_overrides
from recsys.core.config.aliases import ALIASES, current_key, rename_old_keys, rename_old_parameters
from recsys.core.errors import ConfigError
from recsys.tune.space import given_space

EXAMPLES = {
    "train.learning_rate": "train.lr",
    "ranking": "evaluate",
    "graph.relations.source": "graph.relations.file",
    "model.cut_off": "evaluate.bootstrap",
}
FRIENDS = {"name": "friends", "between": ["user", "user"]}


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "ALIASES", ALIASES | EXAMPLES)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("new", ALIASES.values())
def test_every_new_name_is_a_key(new: str) -> None:
    value = RunConfig()
    for name in new.split("."):
        value = getattr(value, name)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("[blend]\nmet = false", "blend.auxiliary_behaviors", False),
        ("[train]\nlearning_rate = 0.5", "train.lr", 0.5),
        ("[ranking]\nks = [3]", "evaluate.ks", [3]),
        ("ranking = {bootstrap = 200}", "evaluate.bootstrap", 200),
        ("[model]\ncut_off = 300", "evaluate.bootstrap", 300),
    ],
)
def test_an_old_key_of_a_file_is_read(tmp_path: Path, text: str, key: str, value: object) -> None:
    with pytest.warns(FutureWarning, match=key.partition(".")[0]):
        config = load_config(written(tmp_path / "run.toml", text))
    section, name = key.split(".")
    assert getattr(getattr(config, section), name) == value


def test_an_old_key_in_a_list_of_tables_is_read() -> None:
    relations = [FRIENDS | {"source": "a.csv"}, FRIENDS | {"name": "b", "source": "b.csv"}]
    with pytest.warns(FutureWarning, match=r"graph\.relations\.file"):
        config = build_config({"graph": {"relations": relations}})
    assert [relation.file for relation in config.graph.relations] == ["a.csv", "b.csv"]
    assert "source" in relations[0]  # the caller's own stays as it is


def test_an_old_key_of_set_is_read_and_wins_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "run.toml", "[train]\nlr = 0.5\n")
    with pytest.warns(FutureWarning, match=r"train\.learning_rate is now called train\.lr"):
        assert load_config(path, ["train.learning_rate=0.1"]).train.lr == 0.1
    with pytest.warns(FutureWarning, match=r"train\.lr"):
        assert load_config(path, ["train={learning_rate=0.2}"]).train.lr == 0.2
    with pytest.warns(FutureWarning, match="evaluate"):
        assert load_config(path, ["ranking.ks=[7]"]).evaluate.ks == [7]


def test_set_of_the_new_key_wins_over_an_old_key_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "run.toml", "[train]\nlearning_rate = 0.5\n")
    with pytest.warns(FutureWarning, match=r"train\.lr"):
        assert load_config(path, ["train.lr=0.1"]).train.lr == 0.1


@pytest.mark.parametrize(
    "text",
    [
        "[train]\nlr = 0.5\nlearning_rate = 0.5",
        "[ranking]\nks = [5]\n[evaluate]\nbootstrap = 200",
        "[tune.space]\ntrain.lr = {low = 0.1, high = 0.2}\n'train.learning_rate' = {choices = [1]}",
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_both_names_in_one_file_are_refused(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "run.toml", text)
    with pytest.raises(ConfigError, match="one key under two names") as caught:
        load_config(path)
    # The remedy: leave the old name out.
    raw = tomllib.loads(text)
    left_out = caught.value.remedy.split()[1].removesuffix(":").split(".")
    table = raw
    for name in left_out[:-1] if left_out[0] != "tune" else left_out[:2]:
        table = table[name]
    del table[left_out[-1] if left_out[0] != "tune" else ".".join(left_out[2:])]
    build_config(raw)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_both_names_in_set_are_refused() -> None:
    with pytest.raises(ConfigError, match="one key under two names"):
        load_config(None, ["train.lr=0.5", "train.learning_rate=0.1"])
    assert load_config(None, ["train.learning_rate=0.5", "train.learning_rate=0.1"]).train.lr == 0.1


@pytest.mark.parametrize(
    "space",
    [
        {"blend.met": {"choices": [True, False]}},
        {"blend": {"met": {"choices": [True, False]}, "neighbours": {"choices": [5]}}},
    ],
)
def test_old_keys_of_a_search_are_read(space: dict[str, object]) -> None:
    with pytest.warns(FutureWarning, match=r"blend\.auxiliary_behaviors"):
        config = build_config({"tune": {"space": space}})
    assert "blend.auxiliary_behaviors" in given_space(config)


def test_a_stored_configuration_with_old_keys_is_read() -> None:
    stored = RunConfig().model_dump(mode="json")
    stored["blend"]["met"] = stored["blend"].pop("auxiliary_behaviors")
    with pytest.warns(FutureWarning, match=r"blend\.auxiliary_behaviors"):
        assert with_overrides(stored, ["index.k=7"]).index.k == 7


def test_old_names_of_parameters_are_read() -> None:
    with pytest.warns(FutureWarning, match=r"train\.lr"):
        assert rename_old_parameters("train", {"learning_rate": 0.1, "epochs": 3}) == {
            "lr": 0.1,
            "epochs": 3,
        }


def test_present_keys_are_read_without_a_warning() -> None:
    raw = {"train": {"lr": 0.5}, "blend": {"auxiliary_behaviors": True}}
    assert rename_old_keys(raw) == raw and current_key("train.lr") == "train.lr"
