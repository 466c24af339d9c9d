"""A campaign of kill -9: run, kill at a point, run again, and compare with a run that nobody disturbed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import copying
import dumping
from dumping import Dump
from projects import Project

Dumps = Mapping[str, Dump]


def prepared(request: pytest.FixtureRequest, folder: Path, project: Project) -> Callable[[], Project]:
    """A maker of projects like this one, each on its own copy of the databases as they are now."""

    def fresh() -> Project:
        urls = {}
        for name, source in project.urls.items():
            engine = {"postgresql": "postgres"}.get(dumping.scheme(source), dumping.scheme(source))
            urls[name] = copying.empty(request, engine, folder)
            copying.copy(source, urls[name])
        return project.with_urls(urls)

    return fresh


def undisturbed(fresh: Callable[[], Project], *arguments: str) -> tuple[int, Dumps]:
    """How many points the run has, and what it leaves."""
    project = fresh()
    ended = project.killed("before", "0", *arguments)
    assert ended.code == 0, ended.text
    return int(ended.stderr.split()[-1]), project.dump()


def spread(points: int, sample: int | None) -> list[int]:
    """All points, or so many of them at even distances; the last is always there."""
    if sample is None or sample >= points:
        return list(range(1, points + 1))
    return sorted({points - number * points // sample for number in range(sample)})


def sweep(
    fresh: Callable[[], Project],
    *arguments: str,
    sample: int | None,
    again: tuple[str, ...] = ("up",),
    left: Dumps | None = None,
) -> None:
    """Kill a run of `arguments` at its points, run `again`, which must do without any help and leave `left`."""
    points, expected = undisturbed(fresh, *arguments)
    if left is not None:
        expected = left
    wrong = []
    for point in spread(points, sample):
        project = fresh()
        killed = project.killed("before", str(point), *arguments)
        assert killed.code == -9, f"point {point} of {points}: {killed.text}"
        if trouble := recover(project, expected, again):
            wrong.append(f"killed before {point} of {points}: {trouble}\n{killed.text}")
    assert not wrong, "\n\n".join(wrong)


def recover(project: Project, expected: Dumps, again: tuple[str, ...] = ("up",)) -> str:
    """What is wrong after the run that follows a kill; '' when nothing is."""
    ended = project(*again)
    if ended.code != 0:
        return f"`{' '.join(again)}` ended with {ended.code}: {ended.text}"
    if trouble := difference(expected, project.dump()):
        return f"{trouble}\n`{' '.join(again)}` said:\n{ended.text}"
    if again[0] == "up":
        last = project("up")
        if not last.stdout.startswith("applied 0, skipped") or last.code != 0:
            return f"one more `up` said {last.text}"
    return ""


def difference(expected: Dumps, found: Dumps) -> str:
    """Where two dumps differ, shortly; '' when they are the same."""
    lines = []
    for name in expected:
        for what in sorted(expected[name].keys() | found[name].keys()):
            before, after = expected[name].get(what), found[name].get(what)
            if before != after:
                lines.append(f"{name}: {what} differs\n  expected {_shown(before)}\n  found    {_shown(after)}")
    return "\n".join(lines)


def _shown(text: str | None) -> str:
    if text is None:
        return "nothing"
    return f"{len(text.splitlines())} lines: {text[:600]!r}"
