from pathlib import Path

import pytest

from recsys.core.config import RunConfig, build_config, load_config
from recsys.core.errors import ConfigError


def test_defaults_are_a_valid_run() -> None:
    assert load_config() == RunConfig()


def test_users_are_histories_unless_a_family_is_named() -> None:
    assert load_config().model.family == "history"
    assert load_config(None, ["model.family=degree_prior"]).model.family == "degree_prior"


@pytest.mark.parametrize("key", ["bases=3", "learn_weight_power=true"])
def test_what_histories_do_not_have_is_refused_with_a_remedy(key: str) -> None:
    with pytest.raises(ConfigError, match="only degree_prior") as caught:
        load_config(None, [f"model.{key}"])
    assert 'set model.family = "degree_prior"' in str(caught.value)
    assert load_config(None, [f"model.{key}", "model.family=degree_prior"])


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('name = "a"\n[train]\nlr = 0.5\nepochs = 3\n', encoding="utf-8")
    config = load_config(path, ["train.lr=0.25", "data.log=logs/*.csv", "evaluate.ks=[5, 10]"])
    assert (config.name, config.train.lr, config.train.epochs) == ("a", 0.25, 3)
    assert (config.data.log, config.evaluate.ks) == ("logs/*.csv", [5, 10])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.lrr=1", "Did you mean 'lr'"),
        ("trian.lr=1", "Did you mean 'train'"),
        ("train.lr=-1", "train.lr = -1"),
        ("train.lr", "not key=value"),
        ("name.lr=1", "name"),
        ("graph.attributes=[{colum='genres', column='genres'}]", "Did you mean 'column'"),
        ("model.family=gcn", "gatv2"),
        ("model.width=10", "model.width = 10 is not a multiple of model.heads = 4"),
        ("evaluate.ks=[]", "evaluate.ks"),
        ("evaluate.ks=[0]", "evaluate.ks.0 = 0"),
        ("train.fanouts=[]", "train.fanouts"),
        ("train.fanouts=[5, -1]", "train.fanouts.1 = -1"),
    ],
)
def test_a_wrong_key_or_value_is_named(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=None) as caught:
        load_config(None, [override])
    assert told in str(caught.value)


def test_a_file_that_is_absent_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_config(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(broken)
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id\na,x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="a log with --log"):
        load_config(log)


def test_every_field_is_documented() -> None:
    def undocumented(section: type) -> list[str]:
        return [name for name, field in section.model_fields.items() if not field.description]  # type: ignore[attr-defined]

    sections = [field.annotation for field in RunConfig.model_fields.values()]
    found = {
        s.__name__: undocumented(s)
        for s in sections
        if isinstance(s, type) and hasattr(s, "model_fields")
    }
    assert {name: fields for name, fields in found.items() if fields} == {}


def test_configurations_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        build_config({}).train.lr = 1  # type: ignore[misc]
