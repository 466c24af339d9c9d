"""The tables that the benchmarks print."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80


def show(title: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: what each row is on the left, the numbers right-aligned in even columns."""
    first = max(len(row[0]) for row in [heading, *rows])
    each = (WIDTH - first) // (len(heading) - 1)
    print(f"\n{title}\n{'-' * WIDTH}")
    for row in [heading, *rows]:
        print(row[0].ljust(first) + "".join(cell.rjust(each) for cell in row[1:]))
    print(flush=True)


def ratio(value: float | None) -> str:
    """1.25x; a dash for what could not be measured."""
    return "-" if value is None else f"{value:.2f}x"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
