"""Columns that are compared with each other, and as what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepwell.databases.checksums import Family, Form, Spelled, Typed
from stepwell.errors import BadRequest, NotComparable, did_you_mean

MOST_DECIMALS = 30
"""Digits behind the point that every engine can write; columns with more are written with as few as they take."""

ELEMENTS = (Family.INTEGER, Family.BOOLEAN, Family.TEXT, Family.UUID, Family.DATE)
"""What the elements of arrays may be."""

CHARACTERS = (Family.TEXT, Family.PADDED)
NUMBERS = (Family.INTEGER, Family.DECIMAL)

FORMS: dict[frozenset[Family], Form] = {
    frozenset({Family.INTEGER}): Form.INTEGER,
    frozenset({Family.BOOLEAN}): Form.INTEGER,
    frozenset({Family.INTEGER, Family.BOOLEAN}): Form.INTEGER,
    frozenset({Family.DECIMAL}): Form.DECIMAL,
    frozenset({Family.DECIMAL, Family.INTEGER}): Form.DECIMAL,
    frozenset({Family.FLOAT}): Form.FLOAT,
    frozenset({Family.DATE}): Form.DATE,
    frozenset({Family.MOMENT}): Form.MOMENT,
    frozenset({Family.MOMENT, Family.DATE}): Form.MOMENT,
    frozenset({Family.TIME}): Form.TIME,
    frozenset({Family.UUID}): Form.UUID,
    frozenset({Family.UUID, Family.TEXT}): Form.UUID,
    frozenset({Family.UUID, Family.PADDED}): Form.UUID,
    frozenset({Family.UUID, Family.BYTES}): Form.UUID,
    frozenset({Family.TEXT}): Form.TEXT,
    frozenset({Family.PADDED}): Form.PADDED,
    frozenset({Family.TEXT, Family.PADDED}): Form.PADDED,
    frozenset({Family.BYTES}): Form.BYTES,
    frozenset({Family.BYTES, Family.TEXT}): Form.BYTES,
    frozenset({Family.BYTES, Family.PADDED}): Form.BYTES,
    frozenset({Family.JSON}): Form.JSON,
    frozenset({Family.JSON, Family.TEXT}): Form.JSON,
    frozenset({Family.ARRAY}): Form.ARRAY,
    frozenset({Family.ANY}): Form.ANY,
}
"""What columns of one or two families are compared as. Any other two can't be compared."""

AGAINST_ANY = {
    Family.BOOLEAN: Form.INTEGER,
    Family.DECIMAL: Form.DECIMAL,
    Family.PADDED: Form.PADDED,
    **{family: Form[family.name] for family in Family if family.name in Form.__members__},
}
"""What a value of SQLite is read as, by the family on the other side."""

KEYS = frozenset(
    {Form.INTEGER, Form.DECIMAL, Form.MOMENT, Form.DATE, Form.UUID, Form.TEXT, Form.PADDED, Form.BYTES, Form.ANY}
)
"""Forms whose texts are the same wherever the values are: rows are paired by them."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of the one table, the column of the other that it is compared with, and the form of both."""

    left: Typed
    right: Typed
    form: Form
    scale: int | None = 0

    @property
    def name(self) -> str:
        return self.left.name

    @property
    def sides(self) -> tuple[Spelled, Spelled]:
        return Spelled(self.left, self.form, self.scale), Spelled(self.right, self.form, self.scale)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The key's columns and the others. `alone` names, for each side, the columns that only it has."""

    key: tuple[Pair, ...]
    rest: tuple[Pair, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def all(self) -> tuple[Pair, ...]:
        return (*self.key, *self.rest)


def paired(
    tables: tuple[str, str],
    columns: tuple[Sequence[Typed], Sequence[Typed]],
    key: Mapping[str, str],
    chosen: Mapping[str, str],
) -> Pairs:
    """Pair the columns of two tables: those chosen, or all that share a name. Names go from the first to the second.

    Raises BadRequest for names that are not there, NotComparable for columns that can't be compared exactly.
    """
    left, right = ({column.name: column for column in side} for side in columns)
    if not key:
        raise BadRequest("a comparison needs a key, by which rows of both tables are paired", "Name it: --key id")
    rest = chosen or {name: name for name in left if name in right}
    alone: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    if not chosen:
        used = {*rest.values(), *key.values()}
        alone = (
            tuple(name for name in left if name not in rest and name not in key),
            tuple(name for name in right if name not in used),
        )

    def pair(name: str, other: str) -> Pair:
        return _pair(tables, _known(left, name, tables[0]), _known(right, other, tables[1]))

    keys = tuple(pair(*names) for names in key.items())
    for one in keys:
        if one.form not in KEYS:
            raise NotComparable(
                *_names(tables, one.left, one.right),
                f"rows can't be paired by {one.form.name}: equal values may be written in several ways",
                "Choose another key: numbers, texts, times, bytes and uuids will do.",
            )
    return Pairs(keys, tuple(pair(*names) for names in rest.items() if names[0] not in key), alone)


def _known(columns: Mapping[str, Typed], name: str, table: str) -> Typed:
    if name not in columns:
        raise BadRequest(
            f"{table} has no column {name!r}{did_you_mean(name, columns)}", f"It has {', '.join(columns)}."
        )
    return columns[name]


def _pair(tables: tuple[str, str], left: Typed, right: Typed) -> Pair:
    families = frozenset({left.family, right.family})
    if Family.ANY in families and len(families) == 2:
        other = left if right.family is Family.ANY else right
        form = AGAINST_ANY.get(other.family)
        if form is Form.ARRAY:
            form = None
        if form:
            return Pair(left, right, form, _scale(other.scale) if form is Form.DECIMAL else 0)
    elif (form := FORMS.get(families)) and (form is not Form.ARRAY or _elements_alike(left, right)):
        return Pair(left, right, form, _common_scale(left, right))
    why, do = _reason(left, right)
    raise NotComparable(*_names(tables, left, right), why, do)


def _elements_alike(left: Typed, right: Typed) -> bool:
    return left.element is right.element and left.element in ELEMENTS


def _common_scale(left: Typed, right: Typed) -> int | None:
    """Digits behind the point that both write; None where they have different ones.

    A decimal that is given more of them may lose digits before the point: MySQL has 65 in all. An integer does not.
    """
    scales = {column.scale for column in (left, right) if column.family is not Family.INTEGER}
    return _scale(scales.pop()) if len(scales) == 1 else None if scales else 0


def _scale(scale: int | None) -> int | None:
    return None if scale is None or scale > MOST_DECIMALS else scale


def _names(tables: tuple[str, str], left: Typed, right: Typed) -> tuple[str, str, str]:
    return f"{tables[0]}.{left.name}", f"{tables[1]}.{right.name}", f"{left.type} and {right.type}"


def _reason(left: Typed, right: Typed) -> tuple[str, str]:
    families = {left.family, right.family}
    if Family.FLOAT in families:
        return (
            "a float holds no exact decimal or integer: whether 0.1 and 0.1e0 are the same is a matter of rounding",
            "Leave the column out with --columns, and write a check with a tolerance for it.",
        )
    if families & {*CHARACTERS} and families & {*NUMBERS, Family.BOOLEAN, Family.DATE, Family.MOMENT, Family.TIME}:
        return (
            "one value has many texts ('7', '07', '7.0'), so equal texts and equal values are not the same question",
            "Compare a view that casts one of the two, or leave the column out with --columns.",
        )
    if Family.ARRAY in families:
        return (
            "arrays are compared if their elements are integers, booleans, texts, uuids or dates, on both sides alike",
            "Leave the column out with --columns.",
        )
    return (
        "there is no text that both engines would write for the same value",
        "Compare a view that casts them to text, or leave the column out with --columns.",
    )
