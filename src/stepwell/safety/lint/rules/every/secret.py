"""Passwords and keys in scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stepwell.safety.lint.phrase import STRING
from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import EVERY, Level, Remark, Rule

# Each ends at the string that is the secret.
_PLACES = (
    rf"\bPASSWORD (?:TO |= |\( )?{STRING}",
    rf"\bIDENTIFIED (?:WITH \S+ )?(?:BY|AS|USING) (?:PASSWORD )?{STRING}",
    rf"\b(?:SECRET|SECRET_ACCESS_KEY|AWS_SECRET_ACCESS_KEY|ACCESS_KEY|API_KEY|TOKEN|PASSWD) = {STRING}",
    rf"\b(?:MYSQL|POSTGRESQL) \( {STRING} , {STRING} , {STRING} , {STRING} , {STRING}",
    rf"\bREMOTESECURE \( {STRING} , {STRING} , {STRING} , {STRING}",
    rf"\b(?:S3|S3CLUSTER) \( (?:\S+ , )?{STRING} , {STRING} , {STRING}",
)
_CONTENT = re.compile(
    r"""[a-z][a-z0-9+]*://[^\s:/@'"]+:[^\s:/@'"]+@            # a URL with a password
    |\bpassword\s*=\s*[^\s;&'"]+                              # the connection string of a foreign server
    |\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bxox[bapr]-[0-9A-Za-z-]{10,}|\bsk_live_[0-9A-Za-z]{16,}
    |-----BEGIN\ (?:[A-Z]+\ )?PRIVATE\ KEY""",
    re.VERBOSE | re.IGNORECASE,
)


def find(reading: Reading) -> Iterator[Remark]:
    for change in (*reading.changes, *reading.way_back):
        for line in sorted({*_by_place(change), *_by_content(change)}):
            yield Remark(
                line,
                "A secret stands in the script: it is in the repository's history, and in the server's log, for good.",
                "Take it out, give it a new value, and write a variable: '${NAME}', from the environment.",
            )


def _by_place(change: Change) -> Iterator[int]:
    for pattern in _PLACES:
        for found in change.all(pattern):
            token = change.strings(found)[-1]
            if not _is_variable(change, token.text):
                yield change.line(token.offset)


def _by_content(change: Change) -> Iterator[int]:
    text = change.statement.text  # as written, for a variable is no secret
    for found in _CONTENT.finditer(text):
        if "${" not in found.group():
            yield change.statement.line + text.count("\n", 0, found.start())


def _is_variable(change: Change, text: str) -> bool:
    """Whether the string is empty, or was a variable's place."""
    return len(text) <= 2 or f"'${{{text[1:-1]}}}'" in change.statement.text


RULE = Rule(
    name="secret",
    level=Level.ERROR,
    engines=EVERY,
    about="""
A password, key or token in the text of a script: behind `PASSWORD` and `IDENTIFIED BY`, in the arguments of
ClickHouse's `mysql()`, `postgresql()`, `remoteSecure()` and `s3()`, in a URL, or one that its form gives away (AWS,
GitHub, Slack, Stripe, private keys). The finding shows the line, never the secret. The way back is looked at too.
""",
    bad="""
INSERT INTO customers (id, name) VALUES (1, 'https://reader:hunter2@files.example.com/');
""",
    good="""
INSERT INTO customers (id, name) VALUES (1, 'https://files.example.com/');
""",
    find=find,
)
