"""Whether every value of a type can be held by another: then no server's write can fail while both columns live."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log10

_TYPE = re.compile(
    r"(?:Nullable\()?([A-Za-z_][A-Za-z_ ]*?[0-9]*)\s*(?:\(([^)]*)\))?(\s+unsigned)?(?:\s.*)?\)?", re.IGNORECASE
)
_INTEGERS = {
    "tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64,
    "int2": 16, "int4": 32, "int8": 64,
}  # fmt: skip
_CLICKHOUSE_INTEGER = re.compile(r"(U?)Int(8|16|32|64|128|256)")
_TEXTS = ("text", "longtext", "mediumtext", "varchar", "character varying", "char", "character", "string", "bpchar")


@dataclass(frozen=True, slots=True)
class _Range:
    """What a type can hold: a kind, and how much: digits before and behind the point, bits of a float, characters.

    A binary integer holds no whole number of digits: 32 bits are 9.3, with the sign.
    """

    kind: str
    size: float = 0
    scale: float = 0
    negative: bool = True


def holds_all(old: str, new: str, engine: str) -> bool:
    """Whether each value of type `old` has its equal in type `new`. False where that is not certain."""
    before, after = _range(old, engine), _range(new, engine)
    if before is None or after is None:
        return False
    if after.kind == "text":
        return after.size >= (before.size if before.kind == "text" else before.size + before.scale + 3)
    if before.kind == "float":
        return after.kind == "float" and after.size >= before.size
    if after.kind == "float":
        return before.kind == "number" and before.scale == 0 and before.size <= (15 if after.size == 64 else 6)
    if before.kind == after.kind == "number":
        return after.size >= before.size and after.scale >= before.scale and after.negative >= before.negative
    return before.kind == after.kind == "date"


def _range(text: str, engine: str) -> _Range | None:
    found = _TYPE.fullmatch(text.strip())
    if found is None:
        return None
    written, arguments = found[1].strip(), found[2]
    name = re.sub(r"\s+unsigned$", "", written.lower())
    numbers = [int(number) for number in re.findall(r"\d+", arguments or "")]
    if engine == "clickhouse" and (integer := _CLICKHOUSE_INTEGER.fullmatch(written)):
        return _integer(int(integer[2]), bool(integer[1]))
    if engine == "sqlite" and name in ("integer", "int", "bigint", "smallint"):
        return _integer(64, False)
    if name in _INTEGERS and engine != "clickhouse":
        return _integer(_INTEGERS[name], bool(found[3]) or "unsigned" in text.lower())
    if name in ("numeric", "decimal", "dec"):
        if engine == "sqlite" or (engine == "postgres" and not numbers):
            return _Range("number", float("inf"), float("inf"))
        if not numbers:
            return _Range("number", 10)
        scale = numbers[1] if len(numbers) > 1 else 0
        return _Range("number", numbers[0] - scale, scale)
    if name in ("real", "float4", "float", "float32"):
        return _Range("float", 64 if engine == "sqlite" else 32)
    if name in ("double precision", "double", "float8", "float64"):
        return _Range("float", 64)
    if name in _TEXTS:
        # TEXT of MySQL has 65,535 bytes, which are 16,383 characters at least.
        unbounded = {"longtext": float("inf"), "mediumtext": 4_000_000, "text": 16_383} if engine == "mysql" else {}
        return _Range(
            "text", numbers[0] if numbers else 1 if name in ("char", "character") else unbounded.get(name, float("inf"))
        )
    return _Range("date") if name in ("date", "date32") and engine != "clickhouse" else None


def _integer(bits: int, unsigned: bool) -> _Range:
    return _Range("number", log10(2 ** (bits if unsigned else bits - 1)), negative=not unsigned)
