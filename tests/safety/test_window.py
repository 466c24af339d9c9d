"""Low hours: outside the window steps wait and say until when, and who works outside it all the same is recorded."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dumping
import projects
import stepwell
from projects import Project, done
from stepwell.schema import upgrade
from stepwell.schema.plan import Options
from stepwell.window import Window, parse

ITEM = "CREATE TABLE item (id INT PRIMARY KEY, n INT);\nINSERT INTO item (id) VALUES (1), (2), (3);\n"
JOB = "-- batches: keyset state.item by id\n-- where: n IS NULL\n-- requires: state/0001\nUPDATE item SET n = id WHERE ${batch}\n"


def hours(opens: int, closes: int) -> str:
    """A window in UTC, from and to these hours from now, rounded down to the hour."""
    now = datetime.now(UTC)
    ends = (f"{now + timedelta(hours=span):%H}:00" for span in (opens, closes))
    return f'[window]\nhours = "{"-".join(ends)}"\n'


def with_window(project: Project, section: str) -> Project:
    config = project.folder / "stepwell.toml"
    config.write_text(config.read_text().partition("[window]")[0] + section)
    return project


@pytest.fixture
def project(tmp_path: Path, sqlite_url: str) -> Project:
    scripts = {"state/0001_item": ITEM, "state/0002_more": "CREATE TABLE more (id INT);"}
    return projects.make(tmp_path / "project", {"state": sqlite_url}, scripts)


def test_outside_the_window_nothing_is_begun_and_it_is_said_when_it_opens(project: Project) -> None:
    with_window(project, hours(3, 5))
    end = project("up")
    assert end.code == 0
    first, second, last = end.stdout.splitlines()
    opens = (datetime.now(UTC) + timedelta(hours=3)).strftime("%H:00")
    assert first.startswith(f"state/0001_item waits for the window {opens}–")
    assert " UTC, opens in 2 h " in first or first.endswith("opens in 3 h 00 min")
    assert second == "state/0002_more waits for state/0001_item"
    assert last == "applied 0, skipped 0"
    assert f"waits for the window {opens}–" in project("status").stdout
    assert "would apply 0" in project("plan").stdout


def test_inside_the_window_it_is_as_without_one(project: Project) -> None:
    with_window(project, hours(-1, 2))
    assert done(project("up")).endswith("applied 2, skipped 0\n")
    assert "overridden" not in project("history").stdout


def test_who_works_outside_the_window_stands_in_the_history(project: Project) -> None:
    with_window(project, hours(3, 5))
    assert done(project("up", "--outside-window")).endswith("applied 2, skipped 0\n")
    history = done(project("history"))
    assert "overridden" in history
    assert "begun outside the window" in history


def test_a_job_without_a_window_of_its_own_has_the_projects(project: Project) -> None:
    (project.folder / "jobs").mkdir()
    (project.folder / "jobs/fill.sql").write_text(JOB)
    (project.folder / "jobs/own.sql").write_text(f"-- window: 00:00-23:59\n{JOB}")
    done(project("up"))
    with_window(project, hours(3, 5))
    listed = done(project("job", "list"))
    assert "fill: waits for the window" in listed
    assert "own: waits" not in listed
    assert "outside its hours, 0 rows migrated" in project("job", "run", "fill").stdout
    done(project("up", "--wait", "--outside-window"))
    assert "overridden" in done(project("history", "--step", "job/fill"))


def test_what_is_at_work_when_the_window_closes_ends_and_the_next_script_waits(
    project: Project, sqlite_url: str
) -> None:
    class Closing(Window):
        """Open until the first script is applied."""

        def waits(self, moment: datetime | None = None) -> str:
            return "the window, opens later" if "rows of item" in dumping.dump(sqlite_url) else ""

    loaded = stepwell.Project.load(project.folder, {"STATE_DB_URL": sqlite_url})
    with loaded.targets() as targets:
        result = upgrade.up(targets, Options(window=Closing(time(0), time(1))), print, lambda *_: [], lambda *_: None)
    assert result.applied == ["state/0001_item"]
    assert result.waiting == {"state/0002_more": ["the window, opens later"]}
    assert dumping.versions(sqlite_url) == ["0001_item"]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('hours = "05:00-05:00"', "[window] hours = '05:00-05:00': A window that opens must close"),
        ('hours = "25:00-05:00"', "Hours go from 00:00 to 23:59"),
        ('hours = "late"', "Write it as 22:00-05:00"),
        ('hours = "22:00-05:00"\nzone = "Mars/Olympus"', "'Mars/Olympus' is no time zone"),
        ('zone = "Europe/Berlin"', "[window] zone = 'Europe/Berlin'"),
        ('hours = "22:00-05:00"\nzones = "UTC"', "unknown key 'zones' in [window] (did you mean 'zone'?)"),
        ("", "[window] has no hours"),
    ],
)
def test_a_window_that_means_nothing_is_refused_with_file_and_key(project: Project, section: str, said: str) -> None:
    end = with_window(project, f"[window]\n{section}\n")("up")
    assert end.code == 2
    assert said in end.stderr
    assert "stepwell.toml" in end.stderr
    assert "nothing was changed" in end.stderr


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@settings(max_examples=40)
@given(TIMES, TIMES, st.sampled_from(ZONES), MOMENTS)
def test_it_opens_at_the_first_minute_that_a_clock_on_the_wall_says_so(
    opens: time, closes: time, zone: str, moment: datetime
) -> None:
    if opens == closes:
        return
    window = Window(opens, closes, ZoneInfo(zone))
    assert parse(f"{opens:%H:%M}-{closes:%H:%M} {zone}") == window

    def shows(at: datetime) -> bool:
        wall = at.astimezone(ZoneInfo(zone))
        minutes = [(span.hour * 60 + span.minute) for span in (opens, wall.time(), closes)]
        since, length = (minutes[1] - minutes[0]) % 1440, (minutes[2] - minutes[0]) % 1440
        return since < length

    opening = window.opening(moment)
    assert shows(opening)
    assert opening >= moment
    assert opening == moment or opening - moment <= timedelta(hours=50)
    assert not any(shows(moment + (opening - moment) * n / 20) for n in range(20) if opening > moment)
    assert bool(window.waits(moment)) is not shows(moment)
