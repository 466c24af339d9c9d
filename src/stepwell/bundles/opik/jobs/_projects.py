"""Which project a row belongs to: the rule that several jobs share, and the Default Project."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from stepwell.databases.database import Database
from stepwell.jobs.batch import Batch

# The project with the most references, then the one used last, then the one with the smallest id.
FIRST = """
SELECT workspace_id, subject, toString(project_id), votes, sum(votes) OVER (PARTITION BY workspace_id, subject)
FROM ({votes})
ORDER BY votes DESC, activity DESC, project_id
LIMIT 1 BY workspace_id, subject
"""

# MySQL shows a transaction the rows of its first look, unless it locks what it reads.
NEWEST = {"mysql": "FOR UPDATE", "sqlite": ""}
OR_LEAVE = {"mysql": "ON DUPLICATE KEY UPDATE id = id", "sqlite": "ON CONFLICT DO NOTHING"}


@dataclass(frozen=True, slots=True)
class Home:
    """The project that is asked for first, and what speaks for it: '12 of 15 traces'."""

    project: str
    evidence: str


Homes = Mapping[tuple[str, str], Home]
"""By workspace and id; a row without one goes to the Default Project."""


def dominant(batch: Batch, votes: str, parameters: tuple[object, ...], voters: str) -> Homes:
    """The dominant project of every subject of `votes`: workspace_id, subject, project_id, votes, activity."""
    rows = batch.query(FIRST.format(votes=votes), parameters, on="analytics")
    return {
        (workspace, subject): Home(project, f"{votes} of {total} {voters}")
        for workspace, subject, project, votes, total in rows
    }


def assign(batch: Batch, rows: Iterable[tuple[str, str]], homes: Homes, silence: str) -> None:
    """Put rows, by workspace and id, into their projects, or into the Default Project with the reason why."""
    state, audit, rows = batch.on("state"), by_system(), list(rows)
    alive = existing(state, {home.project for row in rows if (home := homes.get(row))})
    defaults: dict[str, str] = {}
    chosen: dict[tuple[str], dict[str, str]] = {}
    for workspace, row in rows:
        home = homes.get((workspace, row))
        if home and (workspace, home.project) in alive:
            project, reason = home.project, f"project {home.project}: {home.evidence}"
        else:
            if workspace not in defaults:
                defaults[workspace] = default_project(state, workspace)
            project = defaults[workspace]
            reason = f"default: project {home.project} was deleted ({home.evidence})" if home else f"default: {silence}"
        batch.reason((row,), reason)
        chosen[row,] = {"project_id": project, **audit}
    batch.put(chosen)


def existing(state: Database, projects: Collection[str]) -> set[tuple[str, str]]:
    """Those of these projects that were not deleted, with their workspaces before them."""
    if not projects:
        return set()
    marks = ", ".join("?" * len(projects))
    rows = state.query(f"SELECT workspace_id, id FROM projects WHERE id IN ({marks})", tuple(projects))
    return {(str(workspace), str(project)) for workspace, project in rows}


def default_project(state: Database, workspace: str) -> str:
    """The id of the workspace's Default Project, which is made if it is missing: once, however many want it."""
    find = "SELECT id FROM projects WHERE workspace_id = ? AND name = 'Default Project'"
    if found := state.query(find, (workspace,)):
        return str(found[0][0])
    state.query(
        f"""
        INSERT INTO projects (id, workspace_id, name, created_by, last_updated_by)
        VALUES (?, ?, 'Default Project', 'system', 'system')
        {OR_LEAVE[state.engine]}
        """,
        (new_id(), workspace),
    )
    [(project,)] = state.query(f"{find} {NEWEST[state.engine]}", (workspace,))
    return str(project)


def by_system() -> dict[str, str]:
    """The audit columns of a row that a job writes."""
    return {"last_updated_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"), "last_updated_by": "system"}


def new_id() -> str:
    """A UUIDv7 (RFC 9562, 5.7)."""
    number = int(time.time() * 1000) << 80 | 7 << 76 | secrets.randbits(76)
    return str(UUID(int=number & ~(3 << 62) | 2 << 62))
