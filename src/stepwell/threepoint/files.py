"""The files of a change: scripts, a job, a check, as a person would have written them."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.databases.lexing import unquote
from stepwell.threepoint.change import Change, stem_of


@dataclass(frozen=True, slots=True)
class Files:
    """Texts of the files; scripts by the name behind their number, in order, job and check under `stem`."""

    stem: str
    scripts: tuple[tuple[str, str], ...]
    job: str = ""
    check: str = ""
    notes: tuple[str, ...] = ()


def compose(change: Change, database: str, versions: list[str]) -> Files:
    """The files of a change. `versions` are the numbers that the database's next scripts have."""
    sentence, written, stem = change.sentence, change.written, change.stem
    table, old = change.table, sentence.column
    news = " and ".join(column for column in change.shown if column not in (*change.key, old)) or old
    step = stem.replace("_", "-")
    numbers = iter(versions)
    scripts: list[tuple[str, str]] = []
    before = ""
    if written.expand:
        title = {
            "add": f"Adds {table}.{old}, which old servers leave out.",
            "drop": f"New servers leave {table}.{old} out; old ones go on.",
        }.get(sentence.verb, f"Adds {news} beside {table}.{old}; old and new servers live side by side.")
        limits = "-- Until the contract new servers must write no value that the old column can't hold.\n"
        limits = limits if sentence.verb == "change" else ""
        text = f"-- {title}\n{limits}-- phase: expand\n\n{written.expand}\n\n-- down\n{written.down}\n"
        before = f"{next(numbers)}_{stem}"
        scripts.append((before, text))
    if written.settle:
        text = (
            f"-- Writes {news} into the rows that were there before: so far it is computed at every read.\n"
            "-- phase: expand\n"
            "-- lint: allow heavy-mutation because each part is written once, in the background\n\n"
            f"{written.settle}\n\n"
            "-- down\n-- Nothing: the values say what they said before.\nSELECT 1;\n"
        )
        scripts.append((f"{next(numbers)}_{stem}_written", text))
    job = _job(change, database, news, before) if written.fill else ""
    check = _check(change, database, step if job else "", news) if written.different else ""
    if written.contract:
        unused = stem_of(table, old).replace("_", "-")
        needs = [*([f"job/{step}"] if job else []), f"check/{step}", f"signoff/{unused}-unused"]
        last = "old server"
        if written.turn:
            text = (
                f"-- From here on {table}.{old} follows {news}, and new servers may leave it out.\n"
                f"-- No old server can run, and the sign-off says that none does.\n"
                f"-- phase: contract\n-- requires: {', '.join(needs)}\n\n{written.turn}\n"
            )
            turned = f"{next(numbers)}_{stem}_turned"
            scripts.append((turned, text))
            needs = [f"{database}/{turned}", f"check/{step}", f"signoff/{unused}-unwritten"]
            last = "server that writes it"
        done_with = " and ".join(f"{folder}/{stem}.sql" for folder in (["jobs"] if job else []) + ["checks"])
        text = (
            f"-- Takes {table}.{old} away: from here on no {last} can run. The sign-off says that none does.\n"
            f"-- Where it is applied, {done_with} {'are' if job else 'is'} done with: remove the file.\n"
            f"-- phase: contract\n-- requires: {', '.join(needs)}\n"
            f"{'' if written.transaction else '-- transaction: false' + chr(10)}\n{written.contract}\n"
        )
        scripts.append((f"{next(numbers)}_{stem_of(table, 'without', old)}", text))
    return Files(stem, tuple(scripts), job, check, change.notes)


def _job(change: Change, database: str, news: str, before: str) -> str:
    written = change.written
    return (
        f"-- Fills {news} in the rows of {change.table} that no server has written since {before}.\n"
        f"-- batches: keyset {database}.{change.table} by {', '.join(change.key)}\n"
        f"-- where: {' '.join(written.unfilled.split())}\n"
        f"-- requires: {database}/{before}\n"
        f"UPDATE {change.table}\nSET {written.fill}\nWHERE ${{batch}};\n"
    )


def _check(change: Change, database: str, job: str, news: str) -> str:
    sentence, written = change.sentence, change.written
    requires = f"-- requires: job/{job}\n" if job else ""
    if sentence.verb == "drop":
        about = f"Nothing in the database uses {change.table}.{unquote(sentence.column)} any more."
        select = written.different
    else:
        about = f"In every row of {change.table}, {sentence.column} and {news} say the same."
        select = (
            f"SELECT {', '.join(change.shown)}\nFROM {change.table}\nWHERE {written.different}\nLIMIT 100"
        )  # fmt: skip
    return f"-- {about}\n-- expect: no rows\n{requires}\n-- database: {database}\n{select};\n"
