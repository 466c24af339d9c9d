"""Data migrations in batches, in the background, beside live traffic.

What a job's author writes is in `definition.py`; `folder.py` reads it, `preflight.py` looks whether the table is
as it needs. `sources.py` cuts batches, `work.py` does one, `runner.py` coordinates a job from its first batch to its
proven end. `pressure.py` holds it back while a database is hard at work;
`changes.py` records what it changes, and `undo.py` takes that back. `copying.py` brings rows into another database.
"""

from stepwell.jobs.definition import Drain, Exclude, Flag, Groups, Job, Keyset, Missing, Says
from stepwell.window import Window

__all__ = ["Drain", "Exclude", "Flag", "Groups", "Job", "Keyset", "Missing", "Says", "Window"]
