"""Reasons and friends on the command line."""

import json
from pathlib import Path

from chain import Call
from worlds import make_contents_with_genres, write_world


def test_reasons_beside_the_items(call: Call, tmp_path: Path) -> None:
    bundle = write_world(tmp_path, make_contents_with_genres())
    shown = call("recommend", bundle, "--history", "i03,i06", "-k", 3, "--explain")
    assert shown.code == 0 and "why" in shown.out and "because of" in shown.out
    found = json.loads(
        call("recommend", bundle, "--history", "i03,i06", "-k", 3, "--explain", "--json").out
    )
    reasons = [one for item in found["items"] for one in item["reasons"]]
    assert reasons and all(one["share"] > 0 for one in reasons)
    assert any("*Film 3*" in one["text"] or "*Film 6*" in one["text"] for one in reasons)


def test_explain_ends_in_words(call: Call, tmp_path: Path) -> None:
    bundle = write_world(tmp_path, make_contents_with_genres())
    item = json.loads(call("recommend", bundle, "--user", "u04", "-k", 1, "--json").out)["items"][
        0
    ]["id"]
    document = json.loads(call("explain", bundle, "--user", "u04", "--item", item, "--json").out)
    shown = call("explain", bundle, "--user", "u04", "--item", item)
    assert document["reasons"] and document["reasons"][0]["text"].split("*")[0] in shown.out


def test_friends_without_a_relation_between_users_are_refused(call: Call, tmp_path: Path) -> None:
    bundle = write_world(tmp_path, make_contents_with_genres())
    refused = call("recommend", bundle, "--friend", "u01")
    assert refused.code == 2 and "graph.relations" in refused.err


def test_blanks_around_ids_are_none_of_them(call: Call, tmp_path: Path) -> None:
    """In every flag and file that lists ids, and in pairs of column and value."""
    bundle = write_world(tmp_path, make_contents_with_genres())
    (tmp_path / "ids.txt").write_bytes("\ufeff i08\r\n\r\ni09 \n".encode())

    def answer(*arguments: object) -> dict:
        return json.loads(call("recommend", bundle, *arguments, "--json").out)

    plain = answer("--history", "i03,i06", "--deny", "i01,i02", "--filter", "genres=drama")
    blank = answer("--history", " i03, i06 ,", "--deny", "i01, i02", "--filter", " genres = drama")
    assert blank == plain and blank["unknown"] == []
    friends = call("recommend", bundle, "--user", "u01", "--friend", "u02, u03")
    assert "graph.relations" in friends.err
    listed = answer("--user", "u04", "--no-exclude-seen", "--allow-file", tmp_path / "ids.txt")
    assert {item["id"] for item in listed["items"]} == {"i08", "i09"}
    kept = answer("--history", '["i03", " i06"]')  # in JSON every blank counts
    assert kept["unknown"] == [" i06"]


def test_old_flags_are_understood_and_warned_about(call: Call, tmp_path: Path) -> None:
    bundle = write_world(tmp_path, make_contents_with_genres())
    arguments = ("recommend", bundle, "--user", "u04", "-k", 40, "--json")
    for old, new in (("--include-seen", "--no-exclude-seen"), ("--reasons", "--explain")):
        before, now = call(*arguments, old), call(*arguments, new)
        assert before.out == now.out and before.out != call(*arguments).out
        assert f"{old} is called {new} now" in before.err and not now.err
        assert old not in call("recommend", "--help").out
    assert call(*arguments, "--exclude-seen").out == call(*arguments).out


def test_one_unknown_user_does_not_end_a_batch(call: Call, tmp_path: Path) -> None:
    bundle = write_world(tmp_path, make_contents_with_genres())
    (tmp_path / "users.txt").write_text("u03\nnobody\nu04\n", encoding="utf-8")
    arguments = ("batch", bundle, "--users-file", tmp_path / "users.txt", "-k", 3, "--out")
    written = call(*arguments, tmp_path / "lists.parquet", "--json")
    document = json.loads(written.out)
    assert (document["rows"], document["users"], document["unknown"]) == (6, 2, ["nobody"])
    assert "1 unknown users have no rows" in call(*arguments, tmp_path / "again.parquet").out
    (tmp_path / "users.txt").write_text("nobody\nnobody2\n", encoding="utf-8")
    refused = call(*arguments, tmp_path / "none.parquet")
    assert refused.code == 2 and "unknown user 'nobody'" in refused.err
