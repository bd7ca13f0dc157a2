"""Values of `--set` and of TOML files: what the configuration page documents is understood."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from recsys.core.config import RunConfig, build_config, load_config
from recsys.core.config.forms import in_words, type_of_key
from recsys.core.errors import ConfigError
from recsys.core.toml import toml_value


def value_at(config: RunConfig, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("clean.start=2022-02-28", "2022-02-28"),
        ("clean.end=2022-02-28T23:30:00Z", "2022-02-28T23:30:00Z"),
        ("clean.end=2022-02-28 23:30", "2022-02-28 23:30"),
        ('clean.end="2022-02-28"', "2022-02-28"),
        ("clean.start=1650000000", 1_650_000_000),
        ("clean.start=None", None),
        ("clean.min_rating=NONE", None),
        ("clean.min_rating=null", None),
        ("clean.min_rating=3", 3.0),
        ("data.rating_col=none", None),
        ("refit=False", False),
        ("refit=TRUE", True),
        ("evaluate.ablate_relations=True", True),
        ("graph.half_life_days=None", "none"),
        ("graph.half_life_days=30", 30.0),
        ("graph.target=7", "7"),
        ("graph.target=1.50", "1.50"),
        ("graph.target=true", "true"),
        ('graph.target="None"', "None"),
        ("name=2024-05-06", "2024-05-06"),
        ("data.user_col=0", "0"),
        ("data.separator=;", ";"),
        ("data.log=a,b.csv", "a,b.csv"),
        ("data.log=[a.csv, b.csv]", ["a.csv", "b.csv"]),
        ("data.columns=user,item,2", ["user", "item", "2"]),
        ("evaluate.ks=5,15", [5, 15]),
        ("evaluate.ks=[5, 15]", [5, 15]),
        ("evaluate.ks=8", [8]),
        ("evaluate.baselines=[popularity, ease]", ["popularity", "ease"]),
        ("evaluate.baselines=ease", ["ease"]),
        ("graph.negative_behaviors=[1, 2]", ["1", "2"]),
        ("graph.behavior_weights.view=0.5", None),
        ('graph.behavior_weights={"view": 0.5}', {"view": 0.5}),
        ("train.lr=1e-3", 0.001),
        ("train.lr=.25", 0.25),
    ],
)
def test_values_of_set(override: str, value: object) -> None:
    key = override.partition("=")[0]
    config = load_config(None, [override])
    if key == "graph.behavior_weights.view":
        assert config.graph.behavior_weights == {"view": 0.5}
    else:
        assert value_at(config, key) == value


def test_dates_of_a_toml_file_are_moments() -> None:
    raw = tomllib.loads("[clean]\nstart = 2021-07-01\nend = 2021-08-01T06:00:00+02:00\n")
    clean = build_config(raw).clean
    assert (clean.start, clean.end) == ("2021-07-01", "2021-08-01T06:00:00+02:00")


@pytest.mark.parametrize("moment", [20210701, 19991231])
def test_a_day_as_a_number_is_no_moment(moment: int) -> None:
    with pytest.raises(ConfigError, match="looks like a day") as caught:
        load_config(None, [f"clean.start={moment}"])
    written = caught.value.remedy.split()[1]
    assert load_config(None, [f"clean.start={written}"]).clean.start == written


def test_milliseconds_are_no_moment() -> None:
    with pytest.raises(ConfigError, match="milliseconds") as caught:
        load_config(None, ["clean.end=1625097600000"])
    written = caught.value.remedy.split()[1]
    assert load_config(None, [f"clean.end={written}"]).clean.end == 1_625_097_600


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.lr=fast", 'train.lr = "fast": wanted a number above 0'),
        ("train.lr=1,5", 'train.lr = "1,5": wanted a number above 0'),
        ("train.lr=2024-01-31", "train.lr = 2024-01-31: wanted a number above 0"),
        ("train.epochs=2.5", "train.epochs = 2.5: wanted a whole number at least 0"),
        ("refit=maybe", 'refit = "maybe": wanted true or false'),
        ("evaluate.ks=5,zero", 'evaluate.ks.1 = "zero": wanted a whole number above 0'),
        ("data.time_unit=ns ", '"ms"'),
        ("split.test_share=1", "split.test_share = 1: wanted a number above 0 and below 1"),
        ("train=3", "train = 3: wanted a table"),
        ("graph.behavior_weights.view=x", "graph.behavior_weights.view"),
        ("graph.relations=[{name='a', between=['user', 'user']}]", "graph.relations.0.file"),
    ],
)
def test_an_error_names_the_form_that_is_wanted(override: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override.replace("ns ", "years")])
    assert told in caught.value.message
    assert "datetime" not in str(caught.value) and "Input should" not in str(caught.value)


def test_text_without_quotes_in_a_file_is_told_to_get_them() -> None:
    with pytest.raises(ConfigError, match="wanted text") as caught:
        build_config({"graph": {"target": 12}})
    written = caught.value.remedy.rpartition(": ")[2]
    assert build_config(tomllib.loads(f"[graph]\ntarget = {written}")).graph.target == "12"


def test_types_in_words() -> None:
    assert in_words(type_of_key("data.time_unit")).endswith('"iso"')
    assert in_words(type_of_key("index.target_recall")) == "a number above 0 and at most 1"
    assert (
        in_words(type_of_key("clean.max_user_interactions")) == "a whole number at least 1 or none"
    )
    assert type_of_key("train.lrr") is None


def test_values_are_spelled_as_in_toml() -> None:
    value = {"a": [True, 1.5, "x\x7f"], "b": date(2020, 1, 2)}
    assert tomllib.loads(f"value = {toml_value(value)}")["value"] == value


def test_paths_are_meant_from_the_file_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cwd = tmp_path / "runs [1]", tmp_path / "here"
    for place in (folder / "parts", cwd):
        place.mkdir(parents=True)
    for file in (
        folder / "log.csv",
        folder / "parts" / "a.csv",
        cwd / "users.csv",
        cwd / "log.csv",
    ):
        file.write_text("user_id,item_id\n", encoding="utf-8")
    monkeypatch.chdir(cwd)
    text = """
    data = {log = ["log.csv", "parts/*.csv", "s3://bucket/log.csv"], users = "users.csv", items = "no.csv"}
    [[graph.relations]]
    name = "friends"
    file = "parts/a.csv"
    between = ["user", "user"]
    """
    (folder / "run.toml").write_text(text, encoding="utf-8")
    config = load_config(folder / "run.toml")
    log, parts, remote = config.data.log or []
    assert (log, remote) == (str(folder / "log.csv"), "s3://bucket/log.csv")
    assert parts == f"{tmp_path}/runs [[]1]/parts/*.csv"
    assert (config.data.users, config.data.items) == ("users.csv", "no.csv")
    assert config.graph.relations[0].file == str(folder / "parts" / "a.csv")
    flags = load_config(folder / "run.toml", ["data.log=log.csv"])
    assert flags.data.log == "log.csv"  # what is typed is meant from where it is typed
