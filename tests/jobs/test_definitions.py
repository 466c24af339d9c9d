"""Every wrong definition of a job fails before anything runs, with its file, its line and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobbing import make

GOOD = "UPDATE item SET n = 1 WHERE ${batch};\n"
BATCHES = "-- batches: keyset state.item by id\n"

SQL = {
    "an unknown key": (BATCHES + "-- wehre: n = 0\n" + GOOD, 2, "unknown key 'wehre' (did you mean 'where'?)"),
    "no batches": ("-- size: 10\n" + GOOD, 1, "`batches` is missing"),
    "an unreadable source": ("-- batches: everything in item\n" + GOOD, 1, "`batches` can't be"),
    "no mark": (BATCHES + "UPDATE item SET n = 1;\n", 1, "no statement says `${batch}`"),
    "an unknown database": (BATCHES.replace("state", "stat") + GOOD, 1, "no database 'stat' in this project (did you mean 'state'?)"),
    "a drain without where": (BATCHES.replace("keyset", "drain") + GOOD, 1, "a drain without `where`"),
    "a size of none": (BATCHES + "-- size: 0\n" + GOOD, 2, "`size` can't be '0'"),
    "a duration in words": (BATCHES + "-- where: n = 0\n-- target: soon\n" + GOOD, 3, "`target` can't be 'soon'"),
    "a negative duration": (BATCHES + "-- cycle: -5s\n" + GOOD, 2, "`cycle` can't be '-5s'"),
    "no target": (BATCHES + "-- target: 0s\n" + GOOD, 1, "target and workers must be above zero"),
    "no hour": (BATCHES + "-- window: 25:00-05:00\n" + GOOD, 2, "`window` can't be"),
    "no time zone": (BATCHES + "-- window: 22:00-05:00 Mars/Olympus\n" + GOOD, 2, "'Mars/Olympus' is no time zone"),
    "a window that never opens": (BATCHES + "-- window: 05:00-05:00\n" + GOOD, 2, "`window` can't be"),
    "a flag with spaces": (BATCHES + "-- flag: MY FLAG\n" + GOOD, 2, "`flag` can't be 'MY FLAG'"),
    "an open quote": (BATCHES + "UPDATE item SET n = 'a WHERE ${batch};\n", 2, ""),
}  # fmt: skip

CLASS = """\
from stepwell.jobs import Drain, Job, Keyset

class Bad(Job):
    batches = Keyset("state", "item", key="id")

    def migrate(self, batch):
        pass
"""
PYTHON = {
    "an unknown name": (CLASS.replace("    batches", "    requries = []\n    batches"), 3, "unknown name 'requries' (did you mean 'requires'?)"),
    "no batches": (CLASS.replace("    batches = Keyset(\"state\", \"item\", key=\"id\")", ""), 3, "`batches` is missing"),
    "no migrate": (CLASS[: CLASS.index("    def")], 3, "`migrate` is missing"),
    "no key": (CLASS.replace('key="id"', 'key=""'), 3, "its batches name no key"),
    "an unknown database": (CLASS.replace('"state"', '"stat"'), 3, "(did you mean 'state'?)"),
    "a drain without where": (CLASS.replace("= Keyset(", "= Drain(").replace('"id"', '"id", where=""'), 3, "a drain without `where`"),
    "no workers": (CLASS.replace("    batches", "    workers = 0\n    batches"), 3, "target and workers must be above zero"),
    "no class": ("x = 1\n", 0, "there is no class that derives from Job"),
    "no Python": (CLASS + "def (\n", 8, "not valid Python"),
    "an error while it is read": (CLASS + "1 / 0\n", 0, "ZeroDivisionError"),
}  # fmt: skip


def refused(folder: Path, name: str, text: str, line: int, reason: str) -> None:
    project = make(folder, {"state": f"sqlite:///{folder / 'main.db'}"}, {})
    (project.folder / "jobs" / name).write_text(text)
    for command in (("job", "list"), ("job", "run", "bad")):
        end = project(*command)
        assert end.code == 2, end.text
        assert reason in end.stderr
        assert f"jobs/{name}:{line}" in end.stderr if line else f"jobs/{name}" in end.stderr
        assert "Traceback" not in end.stderr


@pytest.mark.parametrize("case", SQL)
def test_a_wrong_sql_job_is_refused(tmp_path: Path, case: str) -> None:
    refused(tmp_path, "bad.sql", *SQL[case])


@pytest.mark.parametrize("case", PYTHON)
def test_a_wrong_python_job_is_refused(tmp_path: Path, case: str) -> None:
    refused(tmp_path, "bad.py", *PYTHON[case])


def test_two_jobs_of_one_name_are_refused(tmp_path: Path) -> None:
    project = make(tmp_path, {"state": f"sqlite:///{tmp_path / 'main.db'}"}, {"bad": BATCHES + GOOD, "bad.py": CLASS})
    end = project("job", "list")
    assert end.code == 2 and "bad is also in bad.py" in end.stderr


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("job/two", "job/one", "require each other in a circle"),
        ("job/three", "", "job/one requires 'job/three', which is not known"),
    ],
)
def test_requirements_in_a_circle_or_unknown_are_refused(tmp_path: Path, first: str, second: str, said: str) -> None:
    texts = {
        name: BATCHES + (f"-- requires: {other}\n" if other else "") + GOOD
        for name, other in (("one", first), ("two", second))
    }
    project = make(tmp_path, {"state": f"sqlite:///{tmp_path / 'main.db'}"}, texts)
    for command in (("job", "list"), ("job", "run", "one"), ("up",)):
        end = project(*command)
        assert end.code == 2 and said in end.stderr
