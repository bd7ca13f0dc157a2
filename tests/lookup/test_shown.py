"""A list with reasons, as notebooks and terminals show it."""

from io import StringIO

from rich.console import Console

from recsys.lookup.explanations.words import plain_text
from recsys.lookup.shown import ShownList

REASON = {"text": r"bought *Tea \*green\** before", "share": 0.5, "code": "history"}
ITEMS = [
    {"id": "7", "score": 1.23456, "rank": 1, "title": "Pot <b>", "reasons": [REASON]},
    {"id": "8", "score": 0.5, "rank": 2},
]
SHOWN = ShownList("ann & bob", {"items": ITEMS, "source": "model", "unknown": []})


def test_reasons_lose_their_signs_and_names_keep_theirs() -> None:
    assert plain_text(REASON["text"]) == "bought Tea *green* before"


def test_text_and_table() -> None:
    assert str(SHOWN).splitlines()[0] == "For ann & bob"
    assert "Pot <b>  1.235  bought Tea *green* before" in str(SHOWN) and repr(SHOWN) == str(SHOWN)
    out = StringIO()
    Console(file=out, width=100).print(SHOWN)
    assert "because" in out.getvalue() and "0.500" in out.getvalue()


def test_html_holds_no_markup_of_a_title() -> None:
    html = SHOWN._repr_html_()
    assert "For ann &amp; bob" in html and "Pot &lt;b&gt;" in html and "<b>" not in html
    assert html.count("<tr>") == 3


def test_a_list_of_a_bundle(lookup) -> None:
    [answer] = lookup.recommend(["u03"], 4, explain=True)
    rows = ShownList("u03", answer).rows
    assert [row[1] for row in rows] == [item.get("title") or item["id"] for item in answer["items"]]
    assert all(row[3] for row in rows)


def test_why_a_list_is_short_is_told() -> None:
    short = ShownList("x", {"items": [], "source": "refused", "unknown": [], "note": "no items"})
    assert short.title == "For x (no items)"
