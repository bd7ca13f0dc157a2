"""Which column is what: taken where name and values agree, else asked about, never guessed silently."""

import polars as pl
import pytest

from recsys.core.errors import DataError
from recsys.core.tables import ITEM_ID, USER_ID
from recsys.logs.column_roles import choose_columns, words_of

ROWS = 60
USERS = [f"u{row % 7}" for row in range(ROWS)]
ITEMS = [row % 11 for row in range(ROWS)]
SECONDS = [1_600_000_000 + 5000 * row for row in range(ROWS)]


def chosen(columns: dict[str, list], **named: str) -> dict[str, tuple[object, bool]]:
    """By key the proposed value, and whether it is sure."""
    choices = choose_columns(pl.DataFrame(columns), named)
    return {choice.key.removeprefix("data."): (choice.value, choice.is_sure) for choice in choices}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CustomerID", ["customer", "id"]),
        ("customer_id", ["customer", "id"]),
        ("userid", ["user", "id"]),
        ("movieId", ["movie", "id"]),
        ("unixReviewTime", ["unix", "review", "time"]),
        ("paid", ["paid"]),
    ],
)
def test_words_of_a_name(name, words):
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("user_id", "item_id", "timestamp"),
        ("userId", "movieId", "timestamp"),
        ("customer", "sku", "ordered_at"),
        ("CustomerID", "StockCode", "InvoiceDate"),
        ("visitorid", "itemid", "ts"),
        ("reviewerID", "asin", "unixReviewTime"),
        ("member", "listing_id", "created"),
    ],
)
def test_usual_names_are_taken(user, item, time):
    found = chosen({time: SECONDS, item: ITEMS, user: USERS})
    assert found == {"user_col": (user, True), "item_col": (item, True), "time_col": (time, True)}


def test_an_id_goes_before_a_name_of_the_same_thing():
    found = chosen({"item_name": USERS, "item_id": ITEMS, "user_name": USERS, "user_id": ITEMS})
    assert found["item_col"] == ("item_id", True) and found["user_col"] == ("user_id", True)


def test_two_columns_that_fit_alike_are_asked_about():
    found = choose_columns(pl.DataFrame({"user": USERS, "track_id": ITEMS, "artist_id": ITEMS}), {})
    [item] = [choice for choice in found if choice.key == "data.item_col"]
    assert set(item.options) == {"track_id", "artist_id"} and "track_id" in item.question


def test_names_that_say_nothing_are_asked_about():
    found = chosen({"a": USERS, "b": ITEMS})
    assert found == {"user_col": ("a", False), "item_col": ("b", False)}


def test_what_is_named_is_not_asked_about():
    found = chosen({"a": USERS, "b": ITEMS}, **{USER_ID: "b", ITEM_ID: "a"})
    assert found == {"user_col": ("b", True), "item_col": ("a", True)}


def test_times_are_found_by_their_values_and_asked_about():
    assert chosen({"user": USERS, "item": ITEMS, "x": SECONDS})["time_col"] == ("x", False)
    days = ["2024-01-31"] * (ROWS - 1) + ["2024-02-01"]
    assert chosen({"user": USERS, "item": ITEMS, "x": days})["time_col"] == ("x", True)


@pytest.mark.parametrize(
    "values", [[101, 530, 1231] * 20, ["31.12.2024"] * ROWS], ids=["mmdd", "dots"]
)
def test_times_that_cannot_be_read_are_left_out_and_asked_about(values):
    assert chosen({"user": USERS, "item": ITEMS, "date": values})["time_col"] == ("", False)


def test_the_number_of_an_order_is_no_time():
    found = chosen({"user": USERS, "item": ITEMS, "order_id": [row // 3 for row in range(ROWS)]})
    assert "time_col" not in found


@pytest.mark.parametrize("name", ["position", "seq"])
def test_an_order_is_taken_as_one(name):
    assert chosen({"user": USERS, "item": ITEMS, name: list(range(ROWS))})["time_col"] == (
        name,
        True,
    )


def test_ratings_and_behaviours():
    stars = [1 + row % 5 for row in range(ROWS)]
    with_comma = ["4", "4,5"] * 30
    assert chosen({"user": USERS, "item": ITEMS, "stars": stars})["rating_col"] == ("stars", True)
    assert chosen({"user": USERS, "item": ITEMS, "rating": with_comma})["rating_col"][1]
    assert "rating_col" not in chosen({"user": USERS, "item": ITEMS, "rate": USERS})
    kinds = ["view", "addToCart", "buy"] * 20
    assert chosen({"user": USERS, "item": ITEMS, "what": kinds})["behavior_col"] == ("what", True)
    colours = ["red", "blue", "green"] * 20
    assert chosen({"user": USERS, "item": ITEMS, "type": colours})["behavior_col"] == (
        "type",
        False,
    )


def test_quantities_are_left_out_and_asked_about():
    found = chosen({"user": USERS, "item": ITEMS, "quantity": ITEMS, "price": [0.5, 1.25] * 30})
    assert found["weight_col"] == (None, False)
    assert set(found) == {"user_col", "item_col", "weight_col"}


def test_a_table_of_items_is_no_log():
    with pytest.raises(DataError, match="table of items"):
        choose_columns(pl.DataFrame({"item_id": list(range(ROWS)), "title": USERS}), {})


def test_a_single_column_of_ids_is_no_log():
    with pytest.raises(DataError, match="users and one of items"):
        choose_columns(pl.DataFrame({"user": USERS, "price": [0.5, 1.25] * 30}), {})
