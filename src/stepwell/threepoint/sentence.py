"""The sentences that say what is to change."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stepwell.errors import BadSentence

FORMS = (
    "add users.age integer default 0",
    "rename users.name to users.full_name",
    "change users.amount to numeric(20,4)",
    "change users.code to integer as code_number by 'code::integer' back 'code_number::text'",
    "split users.name into users.first_name, users.last_name by ' '",
    "drop users.legacy",
)
VERBS = ("add", "rename", "change", "split", "drop")

_PART = r"[\w$]+|\"[^\"]+\"|`[^`]+`"
_COLUMN = rf"(?P<table>(?:(?:{_PART})\.)*(?:{_PART}))\.(?P<column>{_PART})"
_NEW = rf"(?:(?P<other>(?:(?:{_PART})\.)*(?:{_PART}))\.)?(?P<new>{_PART})"
_TEXT = r"'(?:[^']|'')*'"
_SHAPES = {
    "add": rf"{_COLUMN}\s+(?P<definition>.+)",
    "rename": rf"{_COLUMN}\s+to\s+{_NEW}",
    "change": rf"{_COLUMN}\s+to\s+(?P<type>.+?)(?:\s+as\s+{_NEW})?"
    rf"(?:\s+by\s+(?P<by>{_TEXT})(?:\s+back\s+(?P<back>{_TEXT}))?)?",
    "split": rf"{_COLUMN}\s+into\s+(?P<news>.+?)\s+by\s+(?P<by>{_TEXT})(?:\s+back\s+(?P<back>{_TEXT}))?",
    "drop": rf"{_COLUMN}(?:\s+default\s+(?P<default>.+))?",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is to change: `verb` is one of VERBS, `new` are the new columns' names.

    `definition` is the type of an added or changed column, with what stands behind it, or the default that a dropped
    one shall have meanwhile. `by` and `back` are expressions, or the mark at which a value is cut.
    """

    verb: str
    table: str
    column: str
    new: tuple[str, ...] = ()
    definition: str = ""
    by: str = ""
    back: str = ""


def read(text: str) -> Sentence:
    """What a sentence says. Raises BadSentence."""
    verb, _, rest = " ".join(text.split()).partition(" ")
    if verb.lower() not in VERBS:
        raise BadSentence(text, f"it begins with {verb!r}", verb, VERBS, FORMS)
    found = re.fullmatch(_SHAPES[verb.lower()], rest.strip(), re.IGNORECASE)
    if found is None:
        like = [form for form in FORMS if form.startswith(verb.lower())]
        raise BadSentence(text, f"what follows `{verb}` is not as expected", "", (), like)
    said = {name: value or "" for name, value in found.groupdict().items()}
    new = [said["new"]] if said.get("new") else []
    for part in said["news"].split(",") if "news" in said else ():
        one = re.fullmatch(_NEW, part.strip())
        if one is None:
            raise BadSentence(text, f"{part.strip()!r} is no name of a column", "", (), FORMS[4:5])
        _same_table(text, said["table"], one["other"] or "")
        new.append(one["new"])
    _same_table(text, said["table"], said.get("other", ""))
    if verb.lower() == "split" and len(new) < 2:
        raise BadSentence(text, "one column is not split into one", "", (), FORMS[4:5])
    if len({name.lower() for name in (said["column"], *new)}) <= len(new):
        raise BadSentence(text, "two columns can't have one name", "", (), FORMS)
    return Sentence(
        verb=verb.lower(),
        table=said["table"],
        column=said["column"],
        new=tuple(new),
        definition=(said.get("definition") or said.get("type") or said.get("default") or "").strip(),
        by=_unquoted(said.get("by", "")),
        back=_unquoted(said.get("back", "")),
    )


def _same_table(text: str, table: str, other: str) -> None:
    if other and other.lower() != table.lower():
        raise BadSentence(text, f"{table} and {other} are two tables; a column stays in its own", "", (), FORMS[1:2])


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")
