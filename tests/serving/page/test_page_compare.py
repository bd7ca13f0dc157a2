"""Two lists side by side: bundles, users, dials, with reasons in either."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pages import choose_user, listed, number
from servers import ask


def sides(page: Page) -> list[list[str]]:
    lists = page.locator(".side ol.items")
    expect(lists).to_have_count(2)
    ids = "all => all.map(one => one.dataset.item)"
    return [side.locator("[data-item]").evaluate_all(ids) for side in lists.all()]


def hold_against(page: Page, kind: str) -> None:
    page.get_by_label("Hold the list against").select_option(kind)


def test_two_bundles_are_compared_side_by_side(page: Page, address: str, shots: Path) -> None:
    choose_user(page)
    live = listed(address, {"user": "u04"})
    hold_against(page, "another bundle")
    page.get_by_label("The other bundle").select_option(index=1)
    both = sides(page)
    marks = dict(
        zip(both[1], page.locator(".side").nth(1).locator(".mark").all_inner_texts(), strict=True)
    )
    assert both[0] == live
    for place, item in enumerate(both[1]):
        moved = live.index(item) - place if item in live else None
        if moved is None:
            expected = "added"
        elif moved == 0:
            expected = "same place"
        else:
            expected = f"{'up' if moved > 0 else 'down'} {abs(moved)}"
        assert expected in marks[item]
    removed = page.locator(".side").nth(0).locator(".removed")
    gone = removed.evaluate_all("all => all.map(one => one.dataset.item)")
    assert set(gone) == set(live) - set(both[1])
    common = len(set(live) & set(both[1]))
    expect(page.locator("#status")).to_contain_text(f"{common} items in both lists")
    page.screenshot(path=shots / "compare.png", full_page=True)


def test_two_users_are_compared_with_what_each_had(page: Page, address: str) -> None:
    choose_user(page)
    hold_against(page, "another user")
    field = page.get_by_label("The other user")
    field.focus()
    page.keyboard.type("u07")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="For user u07")).to_be_visible()
    assert sides(page) == [listed(address, {"user": "u04"}), listed(address, {"user": "u07"})]
    for user in ("u04", "u07"):
        expect(page.get_by_role("region", name=f"User {user}", exact=True)).to_be_visible()


def test_two_dials_are_compared(page: Page, address: str) -> None:
    choose_user(page)
    hold_against(page, "other dials")
    page.get_by_label("Popularity of the second list").press("End")
    expect(page.get_by_role("heading", name="Popularity 1, diversity 0")).to_be_visible()
    assert sides(page)[1] == listed(address, {"user": "u04"}, popularity=1)
    hold_against(page, "nothing")
    expect(page.locator(".side")).to_have_count(0)


@pytest.mark.parametrize("kind", ["another bundle", "another user", "other dials"])
def test_reasons_are_given_on_either_side(page: Page, address: str, kind: str) -> None:
    choose_user(page)
    hold_against(page, kind)
    other: dict[str, object] = {"user": "u04", "parts": 8}
    path = "/v1/explain"
    if kind == "another bundle":
        page.get_by_label("The other bundle").select_option(index=1)
        other["bundle"] = page.get_by_label("The other bundle").input_value()
        path = "/v1/admin/explain"
    elif kind == "another user":
        page.get_by_label("The other user").fill("u07")
        page.keyboard.press("Enter")
        other["user"] = "u07"
    else:
        page.get_by_label("Popularity of the second list").press("Home")
        expect(page.get_by_role("heading", name="Popularity −1, diversity 0")).to_be_visible()
        other["popularity"] = -1
    ids = sides(page)
    for place, question in enumerate(({"user": "u04"}, other)):
        side = page.locator(".side").nth(place)
        side.get_by_role("button", name="Why").first.click()
        graph = side.locator(".graph")
        expect(graph).to_be_visible()
        asked = {**question, "item": ids[place][0]}
        _, why = ask(f"{address}{path if place else '/v1/explain'}", asked)
        expect(graph.locator(".target .number")).to_contain_text(f"{abs(why['score']):.3f}")
        shares = graph.get_by_role("listitem").locator(".number").all_inner_texts()
        total = sum(number(share) for share in shares)
        assert total == pytest.approx(why["score"], abs=0.0005 * (len(shares) + 1))


def test_a_comparison_is_in_the_address(page: Page, address: str) -> None:
    page.goto(f"{address}/#recommend?user=u04&against=user&other=u07")
    expect(page.get_by_role("heading", name="For user u07")).to_be_visible()
    assert sides(page)[1] == listed(address, {"user": "u07"})
    expect(page.get_by_label("The other user")).to_have_value("u07")
