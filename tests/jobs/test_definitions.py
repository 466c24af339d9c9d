"""Every wrong definition of a job fails before anything runs, with its file, its line and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobbing import make
from stepwell.errors import BadJob
from stepwell.jobs.definition import Definition, Flag, Groups, Keyset
from stepwell.project import Project as StepwellProject

GOOD = "UPDATE item SET n = 1 WHERE ${batch};\n"
BATCHES = "-- batches: keyset state.item by id\n"


def after(*lines: str) -> str:
    """A good SQL job with these lines from its second on."""
    return BATCHES + "".join(f"{line}\n" for line in lines) + GOOD


SQL = {
    "an unknown key": (after("-- wehre: n = 0"), 2, "unknown key 'wehre' (did you mean 'where'?)"),
    "a key said twice": (after("-- size: 5", "-- size: 6"), 3, "`size` is said a second time; the first is on line 2"),
    "no batches": ("-- size: 10\n" + GOOD, 1, "`batches` is missing"),
    "nothing at all": ("", 1, "`batches` is missing"),
    "no statement": (BATCHES, 1, "has no statement"),
    "an unreadable source": ("-- batches: everything in item\n" + GOOD, 1, "`batches` can't be"),
    "no key": ("-- batches: keyset state.item by ,\n" + GOOD, 1, "its batches name no table, or no key"),
    "a key of one column twice": ("-- batches: keyset state.item by id, id\n" + GOOD, 1, "name a column twice: id, id"),
    "an unknown database": ("-- About it\n" + BATCHES.replace("state", "stat") + GOOD, 2, "no database 'stat' in this project (did you mean 'state'?)"),
    "a drain without where": ("-- size: 5\n" + BATCHES.replace("keyset", "drain") + GOOD, 2, "a drain without `where`"),
    "groups whose rows can't be recorded": ("-- records: n\n" + BATCHES.replace("keyset", "groups") + GOOD, 1, "nothing tells them apart"),
    "a size of none": (after("-- size: 0"), 2, "`size` can't be '0'"),
    "a size in words": (after("-- size: many"), 2, "`size` can't be 'many'"),
    "no workers": (after("-- workers: 0"), 2, "`workers` can't be '0'"),
    "a duration in words": (after("-- where: n = 0", "-- target: soon"), 3, "`target` can't be 'soon'"),
    "a negative duration": (after("-- cycle: -5s"), 2, "`cycle` can't be '-5s'"),
    "no target": (after("-- where: n = 0", "-- target: 0s"), 3, "`target` can't be 0.0"),
    "a requirement that is no reference": (after("-- requires: state/0001, go live"), 2, "`requires` can't be ['state/0001', 'go live']"),
    "a requirement that is missing": (after("-- requires: state/0001,"), 2, "`requires` can't be"),
    "a column that is missing": (after("-- records: n,,"), 2, "`records` can't be"),
    "a row key without a column": (after("-- row-key:"), 2, "`row_key` can't be"),
    "no hour": (after("-- window: 25:00-05:00"), 2, "Hours go from 00:00 to 23:59"),
    "no time zone": (after("-- window: 22:00-05:00 Mars/Olympus"), 2, "'Mars/Olympus' is no time zone"),
    "a path as time zone": (after("-- window: 22:00-05:00 ../UTC"), 2, "'../UTC' is no time zone"),
    "a folder as time zone": (after("-- window: 22:00-05:00 Europe"), 2, "'Europe' is no time zone"),
    "a window that never opens": (after("-- size: 5", "-- window: 05:00-05:00"), 3, "it closes at another time than it opens"),
    "a flag with spaces": (after("-- flag: MY FLAG"), 2, "`flag` can't be 'MY FLAG'"),
    "a flag that begins with a digit": (after("-- flag: 1ST"), 2, "`flag` can't be '1ST'"),
    "an exclusion without a variable": (after("-- exclude: workspace_id in 1, 2"), 2, "`exclude` can't be"),
    "an exclusion by no variable's name": (after("-- exclude: workspace_id in ${A B}"), 2, "`exclude` can't be"),
    "something to accept": (after("-- unindexed: yes"), 2, "`unindexed` can't be 'yes'"),
    "no mark": (BATCHES + "UPDATE item SET n = 1;\n", 2, "no statement says `${batch}`"),
    "a mark in a comment": (BATCHES + "UPDATE item SET n = 1 -- ${batch}\nWHERE id = 1;\n", 2, "`${batch}` in a comment or a string"),
    "a mark in a string": (after("", "SELECT '${batch}';"), 3, "`${batch}` in a comment or a string"),
    "a mistyped mark": (BATCHES + "UPDATE item SET n = 1 WHERE ${bacth};\n", 2, "no variable ${bacth} in a job (did you mean 'batch'?)"),
    "missing in another engine": ("-- batches: groups state.item by id\n-- where: missing from copies by id\n" + GOOD, 1, "only groups in ClickHouse"),
    "an open quote": (BATCHES + "UPDATE item SET n = 'a WHERE ${batch};\n", 2, "is never closed"),
    "a transaction of its own": (BATCHES + "BEGIN;\n" + GOOD, 2, "`BEGIN` in a script: Stepwell begins and ends"),
    "an empty undo": (BATCHES + GOOD + "-- undo\n-- Nothing yet\n", 3, "nothing stands below `-- undo`"),
    "two of undo": (BATCHES + GOOD + "-- undo\nDELETE FROM item;\n-- undo\nDELETE FROM item;\n", 5, "a second `-- undo`; the first is on line 3"),
    "an undo of a batch": (BATCHES + GOOD + "-- undo\nDELETE FROM item WHERE ${batch};\n", 4, "`${batch}` below `-- undo`"),
}  # fmt: skip

CLASS = """\
from stepwell.jobs import Drain, Exclude, Flag, Groups, Job, Keyset, Missing, Window
from datetime import time

class Bad(Job):
    # a comment
    batches = Keyset("state", "item", key="id")

    def migrate(self, batch):
        pass
"""
SOURCE = 'Keyset("state", "item", key="id")'
MIGRATE = "    def migrate(self, batch):\n        pass\n"


def saying(line: str) -> str:
    """The good Python job with a line more, its seventh."""
    return CLASS.replace(SOURCE + "\n", f"{SOURCE}\n    {line}\n")


def from_source(source: str) -> str:
    return CLASS.replace(SOURCE, source)


PYTHON = {
    "an unknown name": (saying("requries = []"), 7, "unknown name 'requries' (did you mean 'requires'?)"),
    "a name said twice": (saying("batches = None"), 7, "`batches` is said a second time; the first is on line 6"),
    "migrate said twice": (CLASS + MIGRATE, 10, "`migrate` is said a second time; the first is on line 8"),
    "two classes of one name": (CLASS + CLASS[CLASS.index("class"):], 10, "Bad is also on line 4"),
    "no batches": (CLASS.replace("    batches = " + SOURCE, ""), 4, "`batches` is missing"),
    "no source": (from_source('"state.item"'), 6, "`batches` can't be 'state.item'"),
    "a source with too little": (from_source('Keyset("state")'), 6, "can't be loaded: TypeError"),
    "no key": (from_source('Keyset("state", "item", key="")'), 6, "its batches name no table, or no key"),
    "a list of keys": (from_source('Keyset("state", "item", key=["a", "b"])'), 6, "its batches' key can't be ['a', 'b']"),
    "no size": (from_source('Keyset("state", "item", "id", size=0)'), 6, "its batches can't have 0 rows"),
    "a size in words": (from_source('Groups("state", "item", "id", rows="many")'), 6, "its batches can't have 'many' rows"),
    "an unknown database": (from_source('Keyset("stat", "item", "id")'), 6, "(did you mean 'state'?)"),
    "a drain without where": (from_source('Drain("state", "item", "id", where="")'), 6, "a drain without `where`"),
    "missing elsewhere than in groups": (from_source('Keyset("state", "item", "id", where=Missing("copies", "id"))'), 6, "only groups in ClickHouse can be `missing from`"),
    "missing in another engine": (from_source('Groups("state", "item", "id", where=Missing("copies", "id"))'), 6, "only groups in ClickHouse can be `missing from`"),
    "missing by a number": (from_source('Groups("state", "item", "id", where=Missing("copies", 1))'), 6, "its batches' missing key can't be 1"),
    "no migrate": (CLASS.replace(MIGRATE, ""), 4, "`migrate` is missing"),
    "migrate without a batch": (CLASS.replace("self, batch", "self"), 8, "`migrate` can't be called with one argument"),
    "migrate that is awaited": (CLASS.replace("def", "async def"), 8, "`migrate` is `async`"),
    "migrate that yields": (CLASS.replace("pass", "yield"), 8, "`migrate` has a `yield`"),
    "undo that is no method": (saying('undo = "DELETE FROM item"'), 7, "`undo` is not a method"),
    "undo without connections": (saying("def undo(self): pass"), 7, "`undo` can't be called with one argument"),
    "a class that needs arguments": (saying("def __init__(self, x): pass"), 7, "can't be made: TypeError"),
    "requires as one text": (saying('requires = "state/0001"'), 7, "`requires` can't be 'state/0001'"),
    "requires without a database": (saying('requires = ["0001"]'), 7, "`requires` can't be ['0001']"),
    "records as one text": (saying('records = "n"'), 7, "`records` can't be 'n'"),
    "a row key of numbers": (saying("row_key = [1]"), 7, "`row_key` can't be [1]"),
    "a flag as a text": (saying('enabled = "FLAG"'), 7, "`enabled` can't be 'FLAG'"),
    "a flag that can't be a variable": (saying('enabled = Flag("MY-FLAG")'), 7, "`enabled` can't be Flag(name='MY-FLAG'"),
    "an exclusion as a text": (saying('exclude = "workspace_id"'), 7, "`exclude` can't be 'workspace_id'"),
    "an exclusion without a column": (saying('exclude = Exclude("", "IDS")'), 7, "`exclude` can't be"),
    "a target of none": (saying("target = 0"), 7, "`target` can't be 0"),
    "a target without end": (saying('target = float("inf")'), 7, "`target` can't be inf"),
    "a cycle that goes back": (saying("cycle = -5"), 7, "`cycle` can't be -5"),
    "a start in the past": (saying("startup_delay = -1"), 7, "`startup_delay` can't be -1"),
    "a timeout in words": (saying('timeout = "1h"'), 7, "`timeout` can't be '1h'"),
    "a window as a text": (saying('window = "22:00-05:00"'), 7, "`window` can't be '22:00-05:00'"),
    "a window that never opens": (saying("window = Window(time(5), time(5))"), 7, "it closes at another time than it opens"),
    "no workers": (saying("workers = 0"), 7, "`workers` can't be 0"),
    "workers by halves": (saying("workers = 1.5"), 7, "`workers` can't be 1.5"),
    "a batch's most rows in words": (saying('largest = "many"'), 7, "`largest` can't be 'many'"),
    "a variable that can't be one": (saying('variables = {"size": "MY SIZE"}'), 7, "`variables` can't be {'size': 'MY SIZE'}"),
    "lines for the log as a text": (saying('says = "Starting"'), 7, "`says` can't be 'Starting'"),
    "something to accept": (saying("unindexed = True"), 7, "`unindexed` can't be True"),
    "no class": ("x = 1\n", 0, "there is no class that derives from Job"),
    "no Python": (CLASS + "def (\n", 10, "not valid Python"),
    "a return that returns from nothing": (CLASS + "return\n", 10, "not valid Python: 'return' outside function"),
    "an error while it is read": (CLASS + "\n1 / 0\n", 11, "ZeroDivisionError"),
    "an exit while it is read": ("import sys\nsys.exit(0)\n", 2, "SystemExit"),
}  # fmt: skip


def jobs(folder: Path, files: dict[str, str | bytes], **environment: str) -> list[Definition]:
    """What a project's jobs are read as."""
    url = f"sqlite:///{folder / 'main.db'}"
    project = make(folder, {"state": url}, {})
    for name, text in files.items():
        (project.folder / "jobs" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return StepwellProject.load(project.folder, {"STATE_DB_URL": url, **environment}).jobs()


def refused(folder: Path, name: str, text: str | bytes, line: int, reason: str) -> None:
    with pytest.raises(BadJob) as caught:
        jobs(folder, {name: text})
    assert reason in str(caught.value)
    assert caught.value.where.endswith(f"jobs/{name}:{line}" if line else f"jobs/{name}")
    assert caught.value.do


@pytest.mark.parametrize("case", SQL)
def test_a_wrong_sql_job_is_refused(tmp_path: Path, case: str) -> None:
    refused(tmp_path, "bad.sql", *SQL[case])


@pytest.mark.parametrize("case", PYTHON)
def test_a_wrong_python_job_is_refused(tmp_path: Path, case: str) -> None:
    refused(tmp_path, "bad.py", *PYTHON[case])


@pytest.mark.parametrize("name", ["bad.sql", "bad.py"])
def test_a_file_that_is_not_utf8_is_refused_with_the_line_of_the_first_wrong_byte(tmp_path: Path, name: str) -> None:
    text = f"{'#' if name == 'bad.py' else '--'} One\n# caf\xe9\n".encode("latin-1")
    refused(
        tmp_path, name, text, 2, "byte 12 of the file is 0xe9" if name == "bad.sql" else "byte 11 of the file is 0xe9"
    )


@pytest.mark.parametrize("name", ["two words.sql", "Straße.sql", "-x.sql", "x" * 151 + ".sql"])
def test_a_name_that_no_reference_could_spell_is_refused(tmp_path: Path, name: str) -> None:
    refused(tmp_path, name, BATCHES + GOOD, 1, "can't be a job's name")


@pytest.mark.parametrize("name", ["bad.sql", "Bad.sql"])
def test_two_jobs_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadJob, match=rf"[Bb]ad is also in (bad.py:4|{name}:1)"):
        jobs(tmp_path, {name: BATCHES + GOOD, "bad.py": CLASS})


def test_the_command_line_shows_the_place_and_what_to_do_and_no_traceback(tmp_path: Path) -> None:
    project = make(
        tmp_path, {"state": f"sqlite:///{tmp_path / 'main.db'}"}, {"bad": BATCHES + "-- wehre: n = 0\n" + GOOD}
    )
    for command in (("job", "list"), ("job", "run", "bad"), ("up",), ("work",)):
        end = project(*command)
        assert end.code == 2, end.text
        assert "unknown key 'wehre'" in end.stderr and "jobs/bad.sql:2" in end.stderr and "do   Known are" in end.stderr
        assert "Traceback" not in end.stderr


# --- what is right ----------------------------------------------------------------------------------------


def test_an_sql_job_says_all_that_a_python_job_does(tmp_path: Path) -> None:
    text = """\
-- Add them up.
-- batches: keyset state.item by tenant, id
-- where: n = 0
-- exclude: tenant in ${LEFT_OUT}
-- size: 50
-- target: 250ms
-- requires: state/0001, check/sums
-- requires: signoff/go-live
-- flag: ADD = false
-- cycle: 2min
-- startup-delay: 0s
-- timeout: 1h
-- workers: 3
-- records: n
-- row-key: id
-- unindexed: accept
UPDATE item SET n = 1 WHERE ${batch};
-- undo
UPDATE item SET n = 0;
DELETE FROM other;
"""
    [job] = jobs(tmp_path, {"add_up.sql": text}, LEFT_OUT=" 7, ,x'; --,7 ")
    assert isinstance(job.source, Keyset) and job.source.excluded
    assert (job.name, job.about, job.source.keys, job.source.where, job.source.size) == (
        "add-up",
        "Add them up.",
        ("tenant", "id"),
        "n = 0",
        50,
    )
    assert (job.source.excluded.column, job.source.excluded.values) == ("tenant", ("7", "x'; --"))
    assert job.requires == ("state/0001", "check/sums", "signoff/go-live")
    assert (job.flag, job.target, job.cycle, job.startup_delay, job.timeout) == (Flag("ADD", False), 0.25, 120, 0, 3600)
    assert (job.workers, job.records, job.row_key, job.unindexed) == (3, ("n",), ("id",), "accept")
    assert job.undo == ("UPDATE item SET n = 0", "DELETE FROM other")


def test_a_python_job_reads_the_values_it_leaves_out_from_the_environment(tmp_path: Path) -> None:
    text = CLASS.replace(SOURCE, 'Groups("state", "item", "tenant")\n    exclude = Exclude("tenant", "LEFT_OUT")')
    [job] = jobs(tmp_path, {"bad.py": text}, LEFT_OUT="7,8")
    assert isinstance(job.source, Groups) and job.source.excluded and job.source.excluded.values == ("7", "8")
    [job] = jobs(tmp_path, {"bad.py": text})
    assert job.source.excluded and job.source.excluded.values == ()


def test_a_job_may_require_checks_and_sign_offs_and_waits_for_them_by_name(tmp_path: Path) -> None:
    text = BATCHES + "-- requires: check/sums\n" + GOOD
    project = make(tmp_path, {"state": f"sqlite:///{tmp_path / 'main.db'}"}, {"add": text})
    end = project("job", "run", "add")
    assert end.code == 2 and "requires 'check/sums', which is not known" in end.stderr
    assert "jobs/add.sql:1" in end.stderr


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
    for command in (("job", "run", "one"), ("up",)):
        end = project(*command)
        assert end.code == 2 and said in end.stderr
