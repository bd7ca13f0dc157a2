"""Who had an item, and reasons of a bundle that is not the live one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import switch_link
from recsys.core.errors import UsageError
from servers import ask, running
from serving.page_policy import checked_origins, page_policy
from serving.settings import Settings
from worlds import make_contents_with_genres, write_world


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    live = write_world(run / "bundles", make_contents_with_genres())
    switch_link(run / "bundle", live)
    return run


@pytest.fixture(scope="module")
def address(run_path: Path) -> Iterator[str]:
    with running(Settings(run_path / "bundle", run=run_path)) as address:
        yield address


def had_by_loop(bundle: Bundle, item: str) -> list[str]:
    place = bundle.items.ids.to_list().index(item)
    users = []
    for row, user in enumerate(bundle.users.ids.to_list()):
        if any(matrix[row, place] for matrix in bundle.seen.values()):
            users.append(user)
    return users


def test_users_who_had_an_item_are_those_of_a_plain_loop(address: str, run_path: Path) -> None:
    bundle = Bundle.load((run_path / "bundle").resolve())
    for item in ("i00", "i05", "i39"):
        expected = had_by_loop(bundle, item)
        status, found = ask(f"{address}/v1/item-users/{item}?k=100")
        assert status == 200
        assert found["users"] == expected
        assert found["total"] == len(expected)
        assert ask(f"{address}/v1/item-users", {"item": item, "k": 100})[1] == found


def test_no_more_users_are_named_than_asked_for(address: str) -> None:
    _, found = ask(f"{address}/v1/item-users/i05?k=2")
    assert len(found["users"]) == 2 < found["total"]
    assert ask(f"{address}/v1/item-users/i05?k=1001")[0] == 422
    assert ask(f"{address}/v1/item-users/nothing")[0] == 404


def test_a_named_bundle_explains_as_the_live_one_does(address: str, run_path: Path) -> None:
    live = (run_path / "bundle").resolve().name
    question = {"user": "u04", "item": "i05", "parts": 3}
    _, by_live = ask(f"{address}/v1/explain", question)
    assert ask(f"{address}/v1/admin/explain", {**question, "bundle": live}) == (200, by_live)
    assert ask(f"{address}/v1/admin/explain", {**question, "bundle": "0" * 12})[0] == 404


def test_pictures_come_from_the_hosts_that_were_named_alone() -> None:
    assert "img-src 'self' data:;" in page_policy(())
    images = checked_origins(["https://Pictures.example:8443"])
    assert "img-src 'self' data: https://pictures.example:8443;" in page_policy(images)


@pytest.mark.parametrize(
    "origin",
    ["*", "pictures.example", "https://a b", "https://a;script-src *", "https://a/path", "data:"],
)
def test_what_would_open_the_policy_is_refused(origin: str) -> None:
    with pytest.raises(UsageError, match="no origin"):
        checked_origins([origin])
