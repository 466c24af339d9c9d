"""Any bytes at all as a script of any format, led by what they reach: read, or refused, and never a crash or a hang.

    make fuzz                                       ten minutes
    python tests/formats/fuzz_readers.py -max_total_time=60 FOLDER

FOLDER keeps what was found interesting. A crash is left in a file that the same command takes as an argument. What is
read is converted too, where its statements must be the same: that is how a lost one would show.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["stepwell"]):
    from importlib import import_module

    from stepwell.errors import StepwellError
    from stepwell.scripts import formats
    from stepwell.scripts.convert import convert
    from stepwell.scripts.origin import Origin

    for name in formats.FORMATS[1:]:  # the reader of Stepwell's own is there already
        import_module(f"stepwell.scripts.formats.{name.replace('-', '_')}")

ENGINES = ("clickhouse", "mysql", "postgres", "sqlite")
FILES = {
    "native": "0001_a.sql",
    "plain": "1_a.sql",
    "flyway": "V1__a.sql",
    "golang-migrate": "1_a.up.sql",
    "dbmate": "1_a.sql",
    "goose": "1_a.sql",
    "prisma": "1_a/migration.sql",
    "liquibase": "a.sql",
    "liquibase xml": "changelog.xml",
    "liquibase yaml": "changelog.yaml",
}
HEADS = {
    "liquibase": b"--liquibase formatted sql\n--changeset a:1\n",
    "goose": b"-- +goose Up\n",
    "dbmate": b"-- migrate:up\n",
}


def read(data: bytes) -> None:
    """The first two bytes choose the format and the engine; the rest is the file."""
    if len(data) < 2:
        return
    form = list(FILES)[data[0] % len(FILES)]
    engine = ENGINES[data[1] % len(ENGINES)]
    with TemporaryDirectory(
        prefix="stepwell-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as temporary:
        folder = Path(temporary) / "in"
        path = folder / FILES[form]
        path.parent.mkdir(parents=True)
        path.write_bytes(HEADS.get(form, b"") + data[2:])
        origin = Origin(folder, "state", engine, form.partition(" ")[0])
        try:
            scripts = formats.load(origin)
            for script in scripts:
                for direction in ("up", "down"):
                    assert all(one.text for one in script.statements(direction, {"a": "1"}))
        except StepwellError:
            return
        if scripts and form != "native":  # what can be read can be converted
            convert(origin, Path(temporary) / "out", {"a": "1"}, lambda text: True)


if __name__ == "__main__":
    atheris.Setup([*sys.argv, "-timeout=10"], read)
    atheris.Fuzz()
