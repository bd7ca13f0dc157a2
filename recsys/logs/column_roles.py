"""Which column of a table is the user, the item, the time: told from names and values, or asked about.

Nothing is guessed silently. A column is taken where its name says so, its values agree and no other
column fits as well; everything else is a question with the columns that could be meant.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recsys.core.errors import DataError
from recsys.core.tables import BEHAVIOR, ITEM_ID, RATING, TIME, USER_ID, WEIGHT, require_columns
from recsys.logs.numbers import NOTHING, has_decimal_commas
from recsys.logs.times import NUMERIC_NAMES, Unit, decide_unit

ROLES = (USER_ID, ITEM_ID, TIME, BEHAVIOR, RATING, WEIGHT)
"""What a column can be, in the order in which columns are given away."""


def word_set(text: str) -> frozenset[str]:
    """The words of a text, each once."""
    return frozenset(text.split())


_USER_WORDS = word_set(
    "user customer client member visitor buyer shopper person account reviewer rater viewer "
    "listener reader subscriber player patient student guest session household uid u"
)
_ITEM_WORDS = word_set(
    "item product sku movie film track song artist album book article asin isbn stock listing "
    "business venue poi location content video game recipe job offer ad news good goods course "
    "hotel restaurant show podcast episode photo post page app merchandise itm iid pid mid i"
)
_TIME_WORDS = word_set(
    "timestamp time date datetime ts when created ordered day unix epoch at on moment utc"
)
_ORDER_WORDS = word_set("position order seq sequence step rank index")
_BEHAVIOR_WORDS = word_set("behavior behaviour event action interaction activity")
_WEAK_BEHAVIOR_WORDS = word_set("type kind status op operation verb")
_RATING_WORDS = word_set("rating stars star rate score grade overall")
_WEIGHT_WORDS = word_set("weight count plays playcount listens quantity qty amount")
_ID_WORDS = word_set("id ids key code no num number nr col hash uuid")

BEHAVIORS = word_set(
    "view click impression pv cart addtocart add fav favorite favourite like dislike wishlist buy "
    "purchase order sale transaction checkout play listen watch read rate rating share bookmark "
    "save skip cancel return refund search detail follow download install subscribe"
)
"""Words that logs have for what users do."""

_MOST_BEHAVIORS = 50
_MOST_RATINGS = 101
_LONGEST_ID = 64  # letters on average; longer values are texts
_SECONDS_OF_TODAY = (5e8, 4e9)  # 1985 to 2096


@dataclass(frozen=True)
class Choice:
    """One key of a configuration that is proposed.

    key: "data.user_col", say.
    value: of it; None leaves the key out.
    reason: why, a sentence.
    question: what is not sure, a sentence; empty when nothing is.
    options: values that could be meant instead, the proposed one among them.
    """

    key: str
    value: object
    reason: str
    question: str = ""
    options: tuple[object, ...] = ()

    @property
    def is_sure(self) -> bool:
        """Whether nobody needs to be asked."""
        return not self.question


@dataclass(frozen=True)
class _Candidate:
    """A column that could have a role. strength: 3, the name says just that; 2, the name says it
    among other words; 1, only the values do; 0, it merely could be.
    """

    name: str
    strength: int
    why: str


def words_of(name: str) -> list[str]:
    """The words of a column's name in small letters: "CustomerID", "customer_id" → customer, id."""
    # userName → user Name, then HTTPStatus → HTTP Status.
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    parted = re.sub(r"([A-Z])([A-Z][a-z])", r"\1 \2", parted)
    words: list[str] = []
    for word in re.split(r"[^a-zA-Z0-9]+", parted.lower()):
        if word:
            # "userid" has no sign between its words.
            words += _without_id(word)
    return words


def choose_columns(sample: pl.DataFrame, named: Mapping[str, str | None]) -> list[Choice]:
    """A choice for each role that some column has.

    Args:
        sample: Some rows of the log, columns as read.
        named: By role, the column that somebody named; "" for none. What is named is not asked about.

    Returns:
        Choices of keys `data.*_col`, users and items always among them.

    Raises:
        DataError: Fewer than two columns can be ids, it is a table of items or users, or a named
            column is not there.
    """
    require_columns(sample.columns, _by_name(named), "the log")
    usable = [name for name in sample.columns if not _is_empty(sample[name])]
    if named.get(USER_ID) is None or named.get(ITEM_ID) is None:
        _require_ids(sample, usable)
    free = [name for name in usable if name not in named.values()]
    choices = []
    # Role after role: a column that one has taken is not offered to those after it.
    for role in ROLES:
        if named.get(role) is not None:
            choices.append(Choice(_key(role), named[role], "as you named it"))
            continue
        choice = _choose(role, sample, free)
        if choice is not None:
            choices.append(choice)
            free = [name for name in free if name != choice.value]
    return choices


def _by_name(named: Mapping[str, str | None]) -> dict[str, str | None]:
    """By column of the source the setting that names it."""
    settings: dict[str, str | None] = {}
    for role, name in named.items():
        if name:
            settings[name] = _key(role).removeprefix("data.")
    return settings


def time_unit(values: pl.Series) -> tuple[Unit | None, str]:
    """How a column of times would be read, and what is wrong where it would not."""
    try:
        return decide_unit(values, "auto"), ""
    except DataError as error:
        return None, str(error)


def _without_id(word: str) -> list[str]:
    stem = word.removesuffix("id")
    if stem != word and (stem in _USER_WORDS or stem in _ITEM_WORDS) and len(stem) > 1:
        return [stem, "id"]
    return [word]


def _is_empty(values: pl.Series) -> bool:
    return values.null_count() == len(values)


def _require_ids(sample: pl.DataFrame, usable: Sequence[str]) -> None:
    able = [name for name in usable if _can_be_id(sample[name])]
    _refuse_side_table(sample, able)
    if len(able) < 2:
        raise DataError(
            f"a log needs a column of users and one of items; of {sample.columns} only {able} can hold ids",
            "Give a table with a row for each interaction",
        )


def _refuse_side_table(sample: pl.DataFrame, able: Sequence[str]) -> None:
    """Raises DataError for a table of items or users: one is named and stands once, the other is not."""
    sides = (("item", _ITEM_WORDS, _USER_WORDS), ("user", _USER_WORDS, _ITEM_WORDS))
    for side, own_words, other_words in sides:
        own = [name for name in able if _named(words_of(name), own_words) == 3]
        opposite = [name for name in able if _named(words_of(name), other_words)]
        is_once = [name for name in own if sample[name].n_unique() == len(sample)]
        if is_once and not opposite and len(sample) > 1:
            raise DataError(
                f"this looks like a table of {side}s: each {is_once[0]!r} stands once, and no column is "
                f"named like the {'user' if side == 'item' else 'item'}",
                "Give the log, a table with a row for each interaction; tables beside it are found",
            )


def _choose(role: str, sample: pl.DataFrame, free: Sequence[str]) -> Choice | None:
    """The choice for one role among the columns that have none yet."""
    candidates = []
    for name in free:
        candidate = _candidate(role, sample[name])
        if candidate is not None:
            candidates.append(candidate)
    if not candidates:
        return None
    best = max(candidate.strength for candidate in candidates)
    if role not in (USER_ID, ITEM_ID) and best == 0:
        return None
    strongest = [candidate for candidate in candidates if candidate.strength == best]
    first = strongest[0]
    names = [candidate.name for candidate in candidates if candidate.strength > 0]
    if best == 0:
        names = [candidate.name for candidate in candidates]
    question = ""
    if len(strongest) > 1:
        question = f"several columns could be the {_in_words(role)}: {', '.join(names)}"
    elif best < 2:
        question = f"no column is named like the {_in_words(role)}; {first.name!r} {first.why}"
    if role == TIME:
        return _time_choice(sample, first, question, names)
    if role == WEIGHT and first.name != WEIGHT:
        question = (
            f"does an event count as much as {first.name!r} says? Without an answer, all count 1"
        )
        return Choice(_key(role), None, "every event counts 1", question, (None, *names))
    reason = f"{first.name!r} {first.why}"
    return Choice(_key(role), first.name, reason, question, tuple(names))


def _time_choice(
    sample: pl.DataFrame, chosen: _Candidate, question: str, names: Sequence[str]
) -> Choice:
    """The column of times; what cannot be read as one is left out and asked about."""
    unit, wrong = time_unit(sample[chosen.name])
    if wrong:
        return Choice(
            "data.time_col", "", "its times cannot be read as they stand", wrong, ("", *names)
        )
    if unit == "order" and not _ORDER_WORDS & set(words_of(chosen.name)):
        question = question or (
            f"{chosen.name!r} holds small whole numbers: they are read as an order, and as no times"
        )
    reason = f"{chosen.name!r} {chosen.why}, and is read as {_unit_in_words(unit)}"
    return Choice("data.time_col", chosen.name, reason, question, tuple(names))


def _candidate(role: str, values: pl.Series) -> _Candidate | None:
    """How well a column fits a role; None when its values rule it out."""
    words = words_of(values.name)
    if role == USER_ID:
        return _id_candidate("user", values, _named(words, _USER_WORDS), _named(words, _ITEM_WORDS))
    if role == ITEM_ID:
        return _id_candidate("item", values, _named(words, _ITEM_WORDS), _named(words, _USER_WORDS))
    if role == TIME:
        return _time_candidate(values, words)
    if role == BEHAVIOR:
        return _behavior_candidate(values, words)
    if role == RATING:
        return _number_candidate(values, _named(words, _RATING_WORDS), _MOST_RATINGS)
    return _number_candidate(values, _named(words, _WEIGHT_WORDS), None)


def _named(words: Sequence[str], wanted: frozenset[str]) -> int:
    """3 when a name says just this, with or without "id"; 2 among other words; 0 when not."""
    telling = [word for word in words if word not in _ID_WORDS]
    if not wanted & set(telling):
        return 0
    others = [word for word in telling if word not in wanted]
    return 2 if others else 3


def _id_candidate(what: str, values: pl.Series, named: int, named_other: int) -> _Candidate | None:
    """How well a column fits as ids.

    Args:
        what: "user" or "item".
        values: Of the column.
        named: How well its name says so, as `_named` tells.
        named_other: How well its name says the other one.
    """
    if not _can_be_id(values):
        return None
    if named:
        has_id_word = bool(_ID_WORDS & set(words_of(values.name)))
        strength = 3 if named == 3 or has_id_word else 1
        return _Candidate(values.name, strength, f"is named like one of {what}s, and can hold ids")
    if named_other or _says_another_role(values):
        return None
    return _Candidate(values.name, 0, "holds values that can be ids")


def _says_another_role(values: pl.Series) -> bool:
    """Whether name or values are those of a time, a rating, a behaviour or a weight."""
    words = words_of(values.name)
    others = (_TIME_WORDS, _ORDER_WORDS, _RATING_WORDS, _WEIGHT_WORDS, _BEHAVIOR_WORDS)
    if any(_named(words, role_words) for role_words in others):
        return True
    return _looks_like_seconds(values) or _holds_behaviors(values)


def _can_be_id(values: pl.Series) -> bool:
    kind = values.dtype
    if kind.is_nested() or kind.is_temporal() or kind in (pl.Boolean, pl.Decimal, pl.Object):
        return False
    known = values.drop_nulls()
    if known.n_unique() < min(2, len(values)):
        return False
    if kind == pl.String or kind in (pl.Categorical, pl.Enum):
        # Fractions are measures and long texts are prose: neither names anybody.
        text = known.cast(pl.String)
        is_fraction = text.str.contains(r"^-?\d+[.,]\d*[1-9]\d*$").all()
        mean_length = float(text.str.len_chars().mean() or 0)  # type: ignore[arg-type]
        return not is_fraction and mean_length <= _LONGEST_ID
    if kind.is_float():
        numbers = known.drop_nans()
        return bool((numbers == numbers.floor()).all())
    return kind.is_integer()


def _time_candidate(values: pl.Series, words: Sequence[str]) -> _Candidate | None:
    if values.dtype.is_nested() or values.dtype == pl.Boolean:
        return None
    if values.dtype in (pl.Date, pl.Datetime):
        return _Candidate(values.name, _named(words, _TIME_WORDS) or 2, "holds moments")
    named = _named(words, _TIME_WORDS)
    if not _ID_WORDS & set(words):  # the id of an order counts nothing
        named = max(named, _named(words, _ORDER_WORDS))
    unit, wrong = time_unit(values)
    if named:
        # One that can be read comes first.
        return _Candidate(values.name, 1 if wrong else named, "is named like a time")
    if unit == "iso":
        return _Candidate(values.name, 2, "holds moments in ISO form")
    if _looks_like_seconds(values):
        return _Candidate(values.name, 1, "holds numbers that can be unix seconds")
    return None


def _looks_like_seconds(values: pl.Series) -> bool:
    """Whether all are whole numbers of the order of unix seconds of the last decades."""
    numbers = values.cast(pl.Float64, strict=False) if are_numbers(values) else None
    if numbers is None or numbers.drop_nulls().n_unique() < 2:
        return False
    return bool(numbers.drop_nulls().is_between(*_SECONDS_OF_TODAY).all())


def are_numbers(values: pl.Series) -> bool:
    """Whether all values are numbers, as such or as text."""
    if values.dtype.is_numeric():
        return True
    if values.dtype != pl.String:
        return False
    known = values.drop_nulls()
    return not known.str.strip_chars().cast(pl.Float64, strict=False).has_nulls()


def _behavior_candidate(values: pl.Series, words: Sequence[str]) -> _Candidate | None:
    distinct = values.drop_nulls().n_unique()
    if values.dtype.is_nested() or values.dtype.is_float() or distinct > _MOST_BEHAVIORS:
        return None
    if values.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return None
    known = _holds_behaviors(values)
    named = _named(words, _BEHAVIOR_WORDS)
    if named or (known and _named(words, _WEAK_BEHAVIOR_WORDS)):
        return _Candidate(
            values.name, named or 2, f"is named like a behaviour, and has {distinct} values"
        )
    if known:
        return _Candidate(values.name, 2, "holds words for what users do")
    if _named(words, _WEAK_BEHAVIOR_WORDS):
        return _Candidate(values.name, 1, f"has {distinct} values")
    return None


def _holds_behaviors(values: pl.Series) -> bool:
    """Whether most values are words for what users do."""
    if values.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return False
    distinct = values.drop_nulls().cast(pl.String).unique()
    if not 0 < len(distinct) <= _MOST_BEHAVIORS:
        return False
    known = [value for value in distinct if BEHAVIORS & set(words_of(value))]
    return len(known) > len(distinct) / 2


def _number_candidate(values: pl.Series, named: int, most: int | None) -> _Candidate | None:
    """A column of numbers, named so. most: how many different ones it may have."""
    if not named or values.dtype.is_nested() or values.dtype.is_temporal():
        return None
    known = values.drop_nulls()
    if values.dtype == pl.String:
        known = known.filter(~known.str.strip_chars().str.to_lowercase().is_in(list(NOTHING)))
        if not _has_numbers(known):
            return None
    elif not values.dtype.is_numeric():
        return None
    if most is not None and known.n_unique() > most:
        return None
    return _Candidate(values.name, named, f"holds {known.n_unique():,} different numbers")


def _has_numbers(text: pl.Series) -> bool:
    """Whether text holds numbers, with a decimal point or a decimal comma."""
    try:
        commas = has_decimal_commas(text, "number")
    except DataError:
        return False
    with_points = text.str.replace(",", ".", literal=True) if commas else text
    numbers = with_points.str.strip_chars().cast(pl.Float64, strict=False)
    return bool(len(numbers)) and numbers.is_not_null().any()


def _key(role: str) -> str:
    names = {
        USER_ID: "user_col",
        ITEM_ID: "item_col",
        TIME: "time_col",
        BEHAVIOR: "behavior_col",
        RATING: "rating_col",
        WEIGHT: "weight_col",
    }
    return f"data.{names[role]}"


def _unit_in_words(unit: Unit | None) -> str:
    others = {"iso": "ISO text", "native": "dates and times of the file"}
    return others.get(str(unit)) or NUMERIC_NAMES.get(unit, str(unit))


def _in_words(role: str) -> str:
    names = {USER_ID: "user", ITEM_ID: "item", BEHAVIOR: "behaviour"}
    return names.get(role, role)
