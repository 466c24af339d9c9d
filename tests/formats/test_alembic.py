"""Alembic's environments, run through Alembic: one step for each revision."""

from __future__ import annotations

from pathlib import Path

import pytest

import dumping
import projects
from projects import Project, done
from reading import scripts, versions
from stepwell.errors import BadScript, DuplicateVersion

INI = "[alembic]\nscript_location = %(here)s/env\n"
ENV = """
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def revision(name: str, after: str, up: str, down: str = "pass") -> str:
    return (
        f'"""{name}"""\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision: str = "{name}"\n'
        f"down_revision = {after}\nbranch_labels = None\ndepends_on = None\n\n\n"
        f"def upgrade() -> None:\n    {up}\n\n\ndef downgrade() -> None:\n    {down}\n"
    )


FILES = {
    "alembic.ini": INI,
    "env/env.py": ENV,
    "env/versions/b_second.py": revision("aaa2", "'bbb1'", "op.add_column('a', sa.Column('y', sa.Integer))", "op.drop_column('a', 'y')"),
    "env/versions/z_first.py": revision("bbb1", "None", "op.create_table('a', sa.Column('x', sa.Integer))", "op.drop_table('a')"),
}  # fmt: skip


def project(folder: Path, url: str, files: dict[str, str]) -> Project:
    return projects.make(folder / "project", {"state": url}, {f"state/{name}": text for name, text in files.items()})


def test_revisions_come_behind_what_they_revise(tmp_path: Path) -> None:
    merge = revision("ddd", "('aaa2', 'ccc')", "pass")
    files = FILES | {"env/versions/a_branch.py": revision("ccc", "'bbb1'", "pass"), "env/versions/0_merge.py": merge}
    assert versions(scripts(tmp_path, files)) == ["bbb1", "ccc", "aaa2", "ddd"]


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"env/versions/x.py": "x = 1\n"}, "the file has no `revision`"),
        ({"env/versions/x.py": "def ("}, "not valid Python"),
        ({"env/versions/x.py": revision("x", "'none'", "pass")}, "it revises 'none', which is not there"),
        ({"env/versions/x.py": revision("x", "NAME", "pass")}, "`down_revision` is no plain value"),
        ({"env/versions/z_first.py": revision("bbb1", "'aaa2'", "pass")}, "in a circle"),
    ],
)
def test_revisions_that_can_t_be_ordered_are_an_error(tmp_path: Path, files: dict[str, str], what: str) -> None:
    with pytest.raises(BadScript) as caught:
        scripts(tmp_path, FILES | files)
    assert what in caught.value.what


def test_two_revisions_of_one_name_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(DuplicateVersion):
        scripts(tmp_path, FILES | {"env/versions/x.py": revision("aaa2", "None", "pass")})


def test_revisions_go_up_and_down_and_alembic_s_own_table_with_them(tmp_path: Path, relational_url: str) -> None:
    made = project(tmp_path, relational_url, FILES)
    assert "alembic bbb1" in done(made("plan"))
    assert done(made("up", "--count", "1")).splitlines()[-1] == "applied 1, skipped 0"
    assert dumping.query(relational_url, "SELECT version_num FROM alembic_version") == ["bbb1"]
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 1"
    assert dumping.query(relational_url, "SELECT count(y) FROM a") == ["0"]
    assert dumping.versions(relational_url) == ["aaa2", "bbb1"]
    assert done(made("up")).splitlines()[-1] == "applied 0, skipped 2"
    assert done(made("down")).splitlines()[-1] == "undone 1"
    assert dumping.query(relational_url, "SELECT version_num FROM alembic_version") == ["bbb1"]
    assert done(made("down")).splitlines()[-1] == "undone 1"
    assert done(made("up")).splitlines()[-1] == "applied 2, skipped 0"


def test_what_alembic_had_applied_by_itself_is_recorded_and_not_run_again(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url, FILES)
    done(made("up"))
    dumping.query(sqlite_url, "DELETE FROM schema_migrations")
    dumping.query(sqlite_url, "DELETE FROM schema_migrations_journal")
    assert done(made("up")).splitlines()[-1] == "applied 2, skipped 0"
    assert dumping.versions(sqlite_url) == ["aaa2", "bbb1"]


def test_a_revision_that_fails_leaves_nothing_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    bad = revision("bbb1", "None", "op.create_table('a', sa.Column('x', sa.Integer)); op.execute('nonsense')")
    made = project(tmp_path, postgres_url, FILES | {"env/versions/z_first.py": bad})
    ended = made("up")
    assert ended.code == 2, ended.text
    assert "z_first.py:12" in ended.stderr
    made.write({"state/env/versions/z_first.py": FILES["env/versions/z_first.py"]})
    assert done(made("up")).splitlines()[-1] == "applied 2, skipped 0"


def test_a_revision_that_fails_elsewhere_is_in_doubt_until_a_person_has_looked(tmp_path: Path, mysql_url: str) -> None:
    bad = revision("bbb1", "None", "op.create_table('a', sa.Column('x', sa.Integer)); op.execute('nonsense')")
    made = project(tmp_path, mysql_url, FILES | {"env/versions/z_first.py": bad})
    assert made("up").code == 2
    made.write({"state/env/versions/z_first.py": FILES["env/versions/z_first.py"]})
    assert made("up").code == 4
    done(made("resolve", "state/bbb1:1", "done"))
    assert done(made("up")).splitlines()[-1] == "applied 2, skipped 0"
    assert dumping.query(mysql_url, "SELECT version_num FROM alembic_version") == ["aaa2"]
