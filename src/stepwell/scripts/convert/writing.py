"""Writing a script in Stepwell's own format, as SQL or as Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from stepwell.scripts.convert.told import Parts, Said, Told
from stepwell.scripts.variables import escape

_MISTAKEN = re.compile(
    r"^([ \t]*--)(?=[ \t]*(?:down\b|migrate[ \t]*:|\+goose|changeset\b))", re.IGNORECASE | re.MULTILINE
)
"""Comments that Stepwell's own format would take for a mark of its own, or of another tool."""

_MARKS = re.compile(r"\A(?:--|#|//|/\*)[ \t]*|[ \t]*\*/\Z")


def sql(told: Told) -> str:
    """The script as SQL, without the line `was`. What SQL can't say comes out as something else; read it back."""
    engine = told.script.engine
    text = "".join(f"-- {line}\n" for line in _front(told)) + "\n"
    if told.head:
        text += "\n".join(_comments(told.head, engine)) + "\n\n"
    text += _statements(told.up, engine)
    if told.down:
        text += f"\n-- down\n{_statements(told.down, engine)}"
    elif told.down is not None:
        text += "\n-- down: nothing\n"
    return text


def python(told: Told, commits: Callable[[str], bool]) -> str:
    """The script as Python, without the line `was`.

    A Python script is one transaction wherever the engine has them for DDL, so one with a statement that can't be part
    of one says so.
    """
    every = [*told.up, *(told.down or ())]
    alone = told.transaction is None and not all(commits(_plain(said.parts)) for said in every)
    front = [*_front(told), *(["transaction: false"] if alone else [])]
    lines = [f"# {line}" for line in front] + [""]
    if told.head:
        lines += [*_remarks(told.head), ""]
    for name, statements in (("up", told.up), ("down", told.down)):
        if statements is not None:
            lines += ["", f"def {name}(db):", *(f"    {line}" if line else "" for line in _calls(statements)), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _front(told: Told) -> Iterator[str]:
    """The lines of the front matter, without the mark of a comment."""
    front = told.script.front
    if told.transaction is not None:
        yield f"transaction: {str(told.transaction).lower()}"
    if front.repeat:
        yield f"repeat: {front.repeat}"
    if front.may_fail:
        yield "may-fail: true"
    for parts, guard in told.guards:
        yield f"guard: {_quoted(guard.expected)} = {_named(parts, told.script.engine)}"
    if told.guards:
        yield f"guard-fails: {told.guards[0][1].otherwise}"
        yield f"guard-errors: {told.guards[0][1].on_error}"


def _quoted(expected: str) -> str:
    if re.fullmatch(r"[^\s='\"]+", expected):
        return expected
    mark = "'" if '"' in expected else '"'
    return f"{mark}{expected}{mark}"


def _plain(parts: Parts) -> str:
    return "".join(part.text for part in parts)


# --- SQL ----------------------------------------------------------------------------------------------------------


def _statements(statements: Iterable[Said], engine: str) -> str:
    text, apart = "", False
    for said in statements:
        above, below = (_comments(comments, engine) for comments in (said.above, said.below))
        chunk = "\n".join((*above, f"{_named(said.parts, engine)};", *below))
        # The rows of a seed stay together; what has several lines, or a comment, stands apart.
        before, apart = apart, "\n" in chunk
        text += ("\n" if text and (before or apart) else "") + chunk + "\n"
    return text


def _named(parts: Parts, engine: str) -> str:
    """A text with its variables as `${NAME}`, and what only looks like one as `$${NAME}`."""
    if not any(part.variable for part in parts):
        return escape(_plain(parts), engine)
    # Escaped as a whole, for where a comment or a string begins is told by all that is before it.
    marked = "".join(f"\ue006{part.text}\ue007" if part.variable else part.text for part in parts)
    return re.sub("\ue006([^\ue007]*)\ue007", r"${\1}", escape(marked, engine))


def _comments(comments: Iterable[str], engine: str) -> list[str]:
    """Comments as they are, but for those that would be taken for a mark."""
    found = []
    for comment in comments:
        if comment.startswith("#") and engine != "mysql":
            comment = f"--{comment[1:]}"
        found.append(_MISTAKEN.sub(r"\1 |", comment))
    return found


# --- Python -------------------------------------------------------------------------------------------------------


def _calls(statements: Iterable[Said]) -> Iterator[str]:
    some = False
    for said in statements:
        some = True
        yield from _remarks(said.above)
        yield f"db.execute({' + '.join(_expression(part.text, part.variable) for part in said.parts)})"
        yield from _remarks(said.below)
    if not some:
        yield "pass  # there is nothing to do"


def _remarks(comments: Iterable[str]) -> Iterator[str]:
    for comment in comments:
        for line in _MARKS.sub("", comment).splitlines():
            yield f"# {line.strip()}".rstrip()


def _expression(text: str, variable: bool) -> str:
    if variable:
        return f"db.variables[{text!r}]"
    # Only what Python would give back unchanged may stand in lines of its own.
    plain = "\n" in text and not text.endswith('"') and not re.search(r'\\|"""|[^\n -~\xa1-\uffff]', text)
    return f'"""{text}"""' if plain else repr(text)
