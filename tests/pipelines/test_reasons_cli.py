"""Reasons and friends on the command line."""

import json
from pathlib import Path

from chain import Call
from recsys.releases.publish import write_bundle
from worlds import make_contents_with_genres


def test_reasons_beside_the_items(call: Call, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, make_contents_with_genres())
    shown = call("recommend", bundle, "--history", "i03,i06", "-k", 3, "--reasons")
    assert shown.code == 0 and "why" in shown.out and "because of" in shown.out
    found = json.loads(
        call("recommend", bundle, "--history", "i03,i06", "-k", 3, "--reasons", "--json").out
    )
    reasons = [one for item in found["items"] for one in item["because"]]
    assert reasons and all(one["share"] > 0 for one in reasons)
    assert any("*Film 3*" in one["text"] or "*Film 6*" in one["text"] for one in reasons)


def test_explain_ends_in_words(call: Call, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, make_contents_with_genres())
    item = json.loads(call("recommend", bundle, "--user", "u04", "-k", 1, "--json").out)["items"][
        0
    ]["id"]
    document = json.loads(call("explain", bundle, "--user", "u04", "--item", item, "--json").out)
    shown = call("explain", bundle, "--user", "u04", "--item", item)
    assert document["because"] and document["because"][0]["text"].split("*")[0] in shown.out


def test_friends_without_a_relation_between_users_are_refused(call: Call, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, make_contents_with_genres())
    refused = call("recommend", bundle, "--friend", "u01")
    assert refused.code == 2 and "graph.relations" in refused.err
