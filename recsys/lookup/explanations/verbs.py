"""Behaviours of a log as verbs in the past tense.

A behaviour is named by the log, in whatever way: "buy", "Purchase", "pv". Names that are words have
their verb here. No verb is made up for the others: they are quoted as they are.
"""

_PAST_TENSE = {
    "add_to_cart": "put into the cart",
    "add_to_wishlist": "put on the wish list",
    "book": "booked",
    "bookmark": "bookmarked",
    "borrow": "borrowed",
    "buy": "bought",
    "cart": "put into the cart",
    "click": "clicked",
    "download": "downloaded",
    "favorite": "marked as a favourite",
    "favourite": "marked as a favourite",
    "follow": "followed",
    "get": "got",
    "hear": "heard",
    "install": "installed",
    "interaction": "had",
    "like": "liked",
    "listen": "listened to",
    "love": "loved",
    "open": "opened",
    "order": "ordered",
    "play": "played",
    "purchase": "bought",
    "put": "put",
    "rate": "rated",
    "read": "read",
    "rent": "rented",
    "review": "reviewed",
    "save": "saved",
    "see": "saw",
    "share": "shared",
    "stream": "streamed",
    "use": "used",
    "view": "viewed",
    "visit": "visited",
    "watch": "watched",
    "wishlist": "put on the wish list",
}
_KNOWN_PASTS = frozenset(_PAST_TENSE.values())


def past_tense(behavior: str) -> str | None:
    """A behaviour as a verb: "buy" → "bought", "Page View" → None, where there is no word for it."""
    name = behavior.lower().replace(" ", "_").replace("-", "_")
    if name in _KNOWN_PASTS:
        return name
    return _PAST_TENSE.get(name) or _PAST_TENSE.get(name.removesuffix("s"))


def did_before(behavior: str) -> str:
    """Of the item itself: "you viewed it before"."""
    verb = past_tense(behavior)
    return f"your earlier {behavior!r} events with it" if verb is None else f"you {verb} it before"


def which_you_did(behavior: str) -> str:
    """After items of a history: ", which you viewed"."""
    verb = past_tense(behavior)
    return f", from your {behavior!r} events" if verb is None else f", which you {verb}"


def somebody_did(behavior: str) -> str:
    """After other users: "bought it"."""
    return f"{past_tense(behavior) or 'had'} it"


def recently_done(behavior: str) -> str:
    """Of a trending item: "often bought recently"."""
    verb = past_tense(behavior)
    return "trending" if verb is None else f"often {verb} recently"
