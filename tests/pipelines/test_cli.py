import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from chain import Call, Called
from pipelines import cli
from pipelines.doctor import Check
from recsys.core.artefacts import RunFolder
from recsys.core.config import aliases
from recsys.core.errors import GateRefused
from worlds import make_contents, write_world

HEAVY = ("torch", "dgl", "matplotlib", "sklearn", "pandas")
VERBS = (
    "init",
    "run",
    "data",
    "train",
    "evaluate",
    "index",
    "recommend",
    "similar",
    "explain",
    "batch",
    "list",
    "promote",
    "rollback",
    "verify",
    "diff",
    "prune",
    "forget",
    "export",
    "show",
    "schema",
    "mcp",
    "doctor",
    "demo",
)


def document(called: Called) -> dict[str, Any]:
    assert called.code == 0, called.err
    return json.loads(called.out)  # type: ignore[no-any-return]


# --- help and usage
# -----------------------------------------------------------------------------------------------


def test_help_names_every_verb(call: Call) -> None:
    called = call("--help")
    assert called.code == 0
    assert all(verb in called.out for verb in VERBS)


@pytest.mark.parametrize("verb", [*VERBS, "data check", "data fetch", "data split"])
def test_every_verb_has_help(call: Call, verb: str) -> None:
    called = call(*verb.split(), "--help")
    assert called.code == 0 and "Usage" in called.out


def test_version(call: Call) -> None:
    assert call("--version").out.startswith("recsys 0.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], "bogus"),
        (["recommend"], "RUN"),
        (["recommend", "run", "-k", "0", "--user", "a"], "greater than"),
        (["run"], "nothing to run on"),
        (["run", "missing.toml"], "missing.toml"),
        (["run", "--log", "x.csv", "--set", "train.lrr=1"], "Did you mean 'lr'?"),
        (["run", "--log", "x.csv", "--set", "train"], "key=value"),
        (["run", "--log", "x.csv", "--set", "train.lr=fast"], "train.lr"),
        (["show", "nowhere"], "not a run folder"),
        (["evaluate", "--train", "a", "--test", "b"], "--model"),
        (
            ["evaluate", "--train", "a", "--test", "b", "--model", "popular"],
            "Did you mean 'popularity'",
        ),
        (["similar", "nowhere"], "--item"),
        (["recommend", "nowhere"], "--user"),
        (["recommend", "nowhere", "--history", "[1,"], "JSON list"),
        (["batch", "nowhere", "--out", "x", "--users-file", "none.txt"], "not a run folder"),
        (["run", "--set", "data.train='a'"], "data.test"),
        (
            ["run", "--log", "x.csv", "--set", "evaluate.baselines=['itemkn']"],
            "Did you mean 'itemknn'",
        ),
        (["batch", "nowhere", "--out", "lists.csv"], "Name the file *.parquet"),
    ],
)
def test_wrong_usage_is_exit_2_with_a_remedy(call: Call, arguments: list[str], words: str) -> None:
    called = call(*arguments)
    assert called.code == 2 and called.out == ""
    assert words in called.err


# --- exit codes
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (GateRefused("the audit found leaks", "Mend the split"), 4, "Mend the split"),
        (KeyboardInterrupt(), 130, "goes on from here"),
        (ZeroDivisionError("division by zero"), 3, "bug in recsys: ZeroDivisionError"),
    ],
)
def test_errors_become_exit_codes(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    called = call("show")
    assert (called.code, called.out) == (code, "")
    assert words in called.err and "Traceback" not in called.err


def test_a_bug_leaves_its_traceback_in_a_file_or_here_with_debug(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    called = call("show")
    [file] = tmp_path.glob("recsys-*.txt")
    assert str(file) in called.err and "ZeroDivisionError" in file.read_text(encoding="utf-8")
    monkeypatch.setenv("RECSYS_DEBUG", "1")
    assert "Traceback" in call("show").err


# --- questions to a run
# -------------------------------------------------------------------------------------------


def test_recommend_as_json_holds_only_the_document(call: Call, finished: RunFolder) -> None:
    found = document(call("recommend", finished.path, "--user", "u1", "-k", "5", "--json"))
    assert found["source"] == "model" and len(found["items"]) == 5
    assert all(
        isinstance(item["id"], str) and isinstance(item["score"], float) for item in found["items"]
    )
    scores = [item["score"] for item in found["items"]]
    assert scores == sorted(scores, reverse=True)


def test_recommend_leaves_out_what_was_seen(call: Call, finished: RunFolder, world: Path) -> None:
    seen = set(pl.read_parquet(world / "log.parquet").filter(pl.col("user_id") == "u1")["item_id"])
    shown = {
        one["id"]
        for one in document(call("recommend", finished.path, "--user", "u1", "-k", 48, "--json"))[
            "items"
        ]
    }
    assert not shown & seen and len(shown) == 48 - len(seen)
    again = document(
        call("recommend", finished.path, "--user", "u1", "-k", 48, "--no-exclude-seen", "--json")
    )
    assert len(again["items"]) == 48


def test_allow_and_deny_as_lists_and_files(call: Call, finished: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "deny.txt").write_text("i5\ni9\n", encoding="utf-8")
    arguments = [
        "--allow",
        "i5,i9,i13,i17",
        "--deny-file",
        tmp_path / "deny.txt",
        "--no-exclude-seen",
        "--json",
    ]
    found = document(call("recommend", finished.path, "--user", "u1", *arguments))
    assert {item["id"] for item in found["items"]} == {"i13", "i17"}


def test_a_filtered_and_bent_page(call: Call, finished: RunFolder, world: Path) -> None:
    items = pl.read_parquet(world / "items.parquet")
    genre = items["genres"].explode()[0]
    wanted = {
        item for item, genres in items.select("item_id", "genres").iter_rows() if genre in genres
    }
    asked = ("recommend", finished.path, "--user", "u1", "-k", 48, "--no-exclude-seen", "--json")
    found = document(call(*asked, "--filter", f"genres={genre}"))
    assert {item["id"] for item in found["items"]} == wanted
    bent = document(call(*asked, "--popularity", "0.2", "--diversity", "0.5"))["items"]
    assert bent != document(call(*asked))["items"]
    page = (
        "recommend",
        finished.path,
        "--user",
        "u1",
        "-k",
        3,
        "--offset",
        4,
        "--no-exclude-seen",
        "--json",
    )
    assert document(call(*page, "--popularity", "0.2", "--diversity", "0.5"))["items"] == bent[4:7]
    for wrong, words in (
        ("genres", "--filter"),
        ("genre=x", "Did you mean 'genres'"),
    ):
        refused = call(*asked, "--filter", wrong)
        assert refused.code == 2 and words in refused.err
    nothing = document(call(*asked, "--filter", "genres=x"))
    assert nothing["items"] == [] and "no item has genres = 'x'" in nothing["note"]


def test_a_visitor_with_attributes_on_the_command_line(
    call: Call, tmp_path: Path, finished: RunFolder
) -> None:
    bundle = write_world(tmp_path, make_contents())
    asked = ("--history", "i03", "--attribute", "country=fr", "--json")
    found = document(call("recommend", bundle, *asked))
    assert found["source"] == "fold_in" and found["attributes"] == {"country": ["fr"]}
    plain = document(call("recommend", bundle, "--history", "i03", "--json"))
    assert found["items"] != plain["items"]
    why = document(call("explain", bundle, "--item", "i04", *asked))
    assert [part["id"] for part in why["parts"] if part["relation"] == "country"] == ["fr"]
    for attribute, words in (
        ("country", "country=DE"),
        ("contry=fr", "Did you mean 'country'"),
        ("country=xx", "'de', 'fr', 'it'"),
    ):
        refused = call("recommend", bundle, "--attribute", attribute)
        assert refused.code == 2 and words in refused.err
    refused = call("recommend", finished.path, "--attribute", "country=fr")
    assert refused.code == 2 and "uses no attributes of users" in refused.err


def test_a_visitor_with_a_history(call: Call, finished: RunFolder) -> None:
    found = document(
        call("recommend", finished.path, "--history", "i1,i5,unheard-of", "-k", "3", "--json")
    )
    assert found["source"] == "fold_in" and found["unknown"] == ["unheard-of"]
    assert not {"i1", "i5"} & {item["id"] for item in found["items"]}
    listed = document(
        call(
            "recommend",
            finished.path,
            "--history",
            '["i1", "i5", "unheard-of"]',
            "-k",
            "3",
            "--json",
        )
    )
    assert listed["items"] == found["items"]


def test_an_unknown_user_is_refused_with_near_ids_or_gets_what_is_popular(
    call: Call, finished: RunFolder
) -> None:
    refused = call("recommend", finished.path, "--user", "u1x")
    assert refused.code == 2 and "u1" in refused.err
    found = document(call("recommend", finished.path, "--user", "u1x", "--fallback", "--json"))
    assert found["source"] == "fallback" and found["items"]


def test_more_than_the_catalogue_gives_all_and_says_so(call: Call, finished: RunFolder) -> None:
    found = document(
        call("recommend", finished.path, "--user", "u1", "-k", 1000, "--no-exclude-seen", "--json")
    )
    assert len(found["items"]) == 48 and "1000" in found["note"]


def test_similar_items_and_users(call: Call, finished: RunFolder) -> None:
    items = document(call("similar", finished.path, "--item", "i1", "-k", "4", "--json"))["items"]
    assert len(items) == 4 and "i1" not in {item["id"] for item in items}
    users = document(call("similar", finished.path, "--user", "u1", "-k", "4", "--json"))["users"]
    assert len(users) == 4 and all(user["id"].startswith("u") for user in users)


def test_the_parts_of_an_explanation_add_up(call: Call, finished: RunFolder) -> None:
    found = document(
        call("explain", finished.path, "--user", "u1", "--item", "i9", "--parts", "3", "--json")
    )
    assert len(found["parts"]) == 3
    shares = sum(part["share"] for part in found["parts"])
    total = shares + found["others"] + found.get("trend", 0.0) + found["rest"]
    assert total == pytest.approx(found["score"], abs=1e-5)


def test_batch_is_what_recommend_says(call: Call, finished: RunFolder, tmp_path: Path) -> None:
    found = document(
        call("batch", finished.path, "-k", "5", "--out", tmp_path / "all.parquet", "--json")
    )
    table = pl.read_parquet(tmp_path / "all.parquet")
    assert found["rows"] == len(table) == 80 * 5
    one = table.filter(pl.col("user_id") == "u7").sort("rank")["item_id"].to_list()
    asked = document(call("recommend", finished.path, "--user", "u7", "-k", "5", "--json"))
    assert one == [item["id"] for item in asked["items"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["recommend", "--user", "u1"],
        ["similar", "--item", "i1"],
        ["similar", "--user", "u1"],
        ["explain", "--user", "u1", "--item", "i1"],
        ["show"],
    ],
)
def test_people_get_tables(call: Call, finished: RunFolder, arguments: list[str]) -> None:
    verb, *rest = arguments
    called = call(verb, finished.path, *rest)
    assert called.code == 0 and "─" in called.out


def test_show_as_json(call: Call, finished: RunFolder) -> None:
    found = document(call("show", finished.path, "--json"))
    assert found["status"] == "done" and found["report"]["main"] == "model"
    assert next(iter(found["stages"])) == "ingest" and found["index_card"]["kind"] == "exact"


# --- whole chain by flags
# -----------------------------------------------------------------------------------------


def test_from_a_csv_with_other_names_to_recommendations_with_flags_only(
    call: Call, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = pl.read_parquet(world / "log.parquet")
    log.select(customer="user_id", article="item_id", at="timestamp").write_csv("shop.csv")
    small = [
        "model.width=8",
        "model.heads=2",
        "train.epochs=1",
        "evaluate.bootstrap=100",
        "evaluate.baselines=['popularity']",
    ]
    sets = [part for one in small for part in ("--set", one)]
    columns = ["--user-col", "customer", "--item-col", "article", "--time-col", "at"]
    called = call(
        "run",
        "--log",
        "shop.csv",
        *columns,
        "--out",
        "r",
        *sets,
        "--threads",
        1,
        "--json",
        "--log-json",
    )
    found = document(called)
    assert found["status"] == "done" and found["report"]["facts"]["split"] == "global_time"
    assert all(json.loads(line) for line in called.err.splitlines())
    assert document(call("recommend", "r", "--user", "u3", "-k", "2", "--json"))["items"]
    assert not (tmp_path / "runs").exists()


def test_index_needs_the_log_no_more(call: Call, finished: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder, symlinks=True)
    found = document(
        call("index", folder, "--set", "index.kind=hnsw", "--set", "index.k=5", "--json", "--quiet")
    )
    assert found["index_card"]["kind"] == "hnsw" and found["status"] == "done"
    assert "index-serve" in found["ran"] and "ingest" not in found["ran"]
    assert (
        len(document(call("recommend", folder, "--user", "u1", "-k", "5", "--json"))["items"]) == 5
    )


def test_evaluate_files_that_share_no_user(call: Call, world: Path, tmp_path: Path) -> None:
    log = pl.read_parquet(world / "log.parquet").head(20)
    log.write_parquet(tmp_path / "train.parquet")
    log.with_columns(pl.col("user_id") + "-other").write_parquet(tmp_path / "test.parquet")
    files = ["--train", tmp_path / "train.parquet", "--test", tmp_path / "test.parquet"]
    found = call("evaluate", *files, "--model", "popularity", "--k", "5", "--json")
    assert (found.code, found.out) == (1, "")
    assert "12 cold user" in found.err and "same ids" in found.err


def test_evaluate_a_file_against_itself(call: Call, world: Path) -> None:
    same = ("--train", world / "log.parquet", "--test", world / "log.parquet")
    found = call("evaluate", *same, "--model", "popularity", "--quiet")
    assert found.code == 1 and "the same file twice?" in found.err


def test_evaluate_a_baseline_and_lists_made_elsewhere(
    call: Call, world: Path, tmp_path: Path
) -> None:
    log = pl.read_parquet(world / "log.parquet").unique(["user_id", "item_id"], maintain_order=True)
    log.with_row_index().filter(pl.col("index") % 5 != 0).drop("index").write_parquet(
        tmp_path / "train.parquet"
    )
    log.gather_every(5).write_parquet(tmp_path / "test.parquet")
    files = ["--train", tmp_path / "train.parquet", "--test", tmp_path / "test.parquet"]
    found = document(call("evaluate", *files, "--model", "popularity", "--k", "10", "--json"))
    assert 0 < found["metrics"]["recall@10"] < 1 and "ndcg@10" in found["metrics"]
    knn = document(
        call(
            "evaluate",
            *files,
            "--model",
            "itemknn",
            "--param",
            "neighbours=20",
            "--k",
            "10",
            "--json",
        )
    )
    assert (
        knn["params"]["neighbours"] == 20
        and knn["metrics"]["ndcg@10"] > found["metrics"]["ndcg@10"]
    )
    perfect = pl.read_parquet(tmp_path / "test.parquet").select("user_id", "item_id", score=1.0)
    perfect.write_csv(tmp_path / "lists.csv")
    judged = document(
        call("evaluate", *files, "--ranked", tmp_path / "lists.csv", "--k", "20", "--json")
    )
    assert judged["metrics"]["recall@20"] == pytest.approx(1.0)
    assert (
        "recall@10" in call("evaluate", *files, "--model", "popularity", "--k", "10", "--quiet").out
    )
    small = ["model.width=8", "model.heads=2", "train.epochs=1"]
    sets = [part for one in small for part in ("--set", one)]
    graph = document(
        call(
            "evaluate",
            *files,
            "--model",
            "lightgcn",
            "--k",
            "10",
            "--threads",
            "1",
            *sets,
            "--json",
        )
    )
    assert graph["params"]["epochs"] == 1 and graph["metrics"]["ndcg@10"] > 0
    wrong = call("evaluate", *files, "--model", "gfcff")
    assert wrong.code == 2 and "gfcf" in wrong.err
    for wrong_param in ("neighbors=20", "neighbours=many", "neighbours"):
        assert call("evaluate", *files, "--model", "itemknn", "--param", wrong_param).code == 2


def test_ids_of_lists_in_text_stay_as_written(call: Call, tmp_path: Path) -> None:
    rows = [(f"{user:03}", f"{item:03}") for user in range(6) for item in range(user, user + 6)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    test = log.gather_every(7)
    test.write_csv(tmp_path / "test.csv")
    log.join(test, on=log.columns, how="anti").write_csv(tmp_path / "train.csv")
    test.with_columns(score=1).write_csv(tmp_path / "lists.csv")
    files = ["--train", tmp_path / "train.csv", "--test", tmp_path / "test.csv"]
    judged = document(call("evaluate", *files, "--ranked", tmp_path / "lists.csv", "--json"))
    assert (
        judged["metrics"]["recall@20"] == pytest.approx(1.0)
        and "unknown user" not in judged["lists"]
    )
    missing = call("evaluate", *files, "--ranked", tmp_path / "none.csv")
    assert missing.code == 1 and "there is no file" in missing.err


def test_data_check_and_split(call: Call, world: Path, tmp_path: Path) -> None:
    found = document(
        call("data", "check", world / "log.parquet", "--time-col", "timestamp", "--json")
    )
    assert found["rows_read"] == 1600 and found["users"] == 80
    assert (
        "What looks wrong" in (out := call("data", "check", world / "log.parquet").out)
        or "Nothing looks" in out
    )
    out = tmp_path / "parts"
    facts = document(
        call("data", "split", "--log", world / "log.parquet", "--out", out, "--quiet", "--json")
    )
    assert facts["rows"]["test"] == len(pl.read_parquet(out / "test.parquet"))
    assert set(pl.read_parquet(out / "train.parquet").columns) >= {"user_id", "item_id"}
    assert (
        "validation"
        in call("data", "split", "--log", world / "log.parquet", "--out", out, "--quiet").out
    )


def test_split_never_replaces_a_folder_with_other_files(
    call: Call, world: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    called = call("data", "split", "--log", world / "log.parquet", "--out", tmp_path, "--quiet")
    assert called.code == 2 and (tmp_path / "mine.txt").exists()


def test_an_unknown_source_names_those_there_are(call: Call) -> None:
    called = call("data", "fetch", "ml-100")
    assert called.code == 2 and "ml-100k" in called.err


@pytest.mark.parametrize("status", ["ok", "fail"])
def test_doctor_fails_when_something_required_does(
    call: Call, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setattr("pipelines.doctor._dgl", lambda: Check("import dgl", status, "found"))  # type: ignore[arg-type]
    called = call("doctor")
    assert called.code == (1 if status == "fail" else 0) and "import dgl" in called.out


def test_doctor_as_json(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.doctor._dgl", lambda: Check("import dgl", "ok", ""))
    found = document(call("doctor", "--json"))
    assert found["healthy"] is True and found["versions"]["python"]


# --- lightness
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["show"],
        ["recommend", "--user", "u1", "--json"],
        ["similar", "--item", "i1"],
        ["similar", "--user", "u1"],
        ["explain", "--user", "u1", "--item", "i1"],
    ],
)
def test_questions_load_nothing_heavy(finished: RunFolder, arguments: list[str]) -> None:
    verb, *rest = arguments
    arguments = [verb] if verb.startswith("-") else [verb, str(finished.path), *rest]
    code = (
        "import sys; from pipelines.cli import main\n"
        f"sys.argv = {['recsys', *arguments]!r}\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_is_as_light_as_its_flags() -> None:
    code = "import sys, pipelines.cli; print({'numpy', 'polars', 'psutil', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_old_configuration_key_is_told_in_one_line(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(aliases.ALIASES, "train.learning_rate", "train.lr")
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id\na,x\nb,y\n", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        called = call("data", "check", log, "--set", "train.learning_rate=0.5")
    assert called.code == 0
    told = "warning: the configuration key train.learning_rate is now called train.lr"
    assert called.err.count("\n") == 1 and called.err.startswith(told)


@pytest.mark.parametrize(
    "text",
    [
        "[data]\nlog = 'away/log.csv'",
        "[data]\nlog = 'log.csv'\nitems = 'away/log.csv'",
        "[data]\nlog = 'log.csv'\n[[graph.relations]]\nname = 'a'\nfile = 'away/log.csv'\nbetween = ['user', 'user']",
    ],
)
def test_a_file_that_is_in_neither_folder_is_told_with_both(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    folder, cwd = tmp_path / "settings", tmp_path / "here"
    folder.mkdir()
    cwd.mkdir()
    monkeypatch.chdir(cwd)
    (folder / "run.toml").write_text(text, encoding="utf-8")
    (folder / "log.csv").write_text("user_id,item_id\na,x\n", encoding="utf-8")
    called = call("run", folder / "run.toml", "--out", tmp_path / "run", "--quiet")
    assert called.code == 1
    assert "'away/log.csv'" in called.err and str(folder) in called.err and str(cwd) in called.err
    # The remedy: a path from the folder of the file.
    (folder / "away").mkdir()
    (folder / "away" / "log.csv").write_text("user_id,item_id\na,x\n", encoding="utf-8")
    assert "there is no file" not in call("run", folder / "run.toml", "--quiet").err
