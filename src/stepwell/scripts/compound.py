"""Following the compound statements of MySQL and MariaDB, so that their bodies need no DELIMITER lines.

BEGIN, END, IF, CASE and the rest are keywords only where a statement begins; elsewhere IF is a function and END may
be a column. So what counts is whether a statement is about to begin. Open blocks lie in `frames`, innermost last.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from stepwell.databases.lexing import Token
from stepwell.scripts.watchers import Sight

OPENING = frozenset({"CREATE", "ALTER", "BEGIN", "IF", "CASE", "LOOP", "REPEAT", "WHILE", "FOR"})
_BLOCKS = OPENING - {"CREATE", "ALTER"}
# What a body of one statement may begin with, as far as such a statement can hold any of these keywords.
_SIMPLE = frozenset(
    {"RETURN", "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "SET", "CALL", "WITH", "DO", "EXECUTE"}
)


class Block(Enum):
    BEGIN = "ends with END"
    CONTROL = "IF, CASE, LOOP, or the inside of another loop: ends with END"
    LOOP_HEAD = "WHILE or FOR, before the DO or LOOP of it"
    UNTIL = "the last condition of REPEAT: its END needs no `;` before it"
    DECLARATIONS = "what stands before BEGIN in a package or an Oracle-style routine"
    EXPRESSION = "CASE as a value"


@dataclass(frozen=True, slots=True)
class Frame:
    block: Block
    offset: int


class State(Enum):
    ANONYMOUS = "BEGIN was read: does NOT ATOMIC follow?"
    CREATE = "which kind of thing is created?"
    DEFINER = "the same, behind the name of a user"
    PARAMETERS = "waiting for the parameters of a routine"
    TRAITS = "in what is said of a routine between its parameters and its body"
    ANY_WORD = "a word of the traits comes next that may look like a keyword"
    TABLE = "waiting for the ROW of FOR EACH ROW"
    PLACE = "is the trigger's place among others given?"
    OTHER = "the name of that other trigger comes next"
    SCHEDULE = "waiting for the DO of an event"
    PACKAGE = "waiting for the AS of a package, or of a routine in it"
    START = "a statement of the body comes next"
    LABEL = "one word of it was read: is it a label?"
    WITHIN = "in a statement of the body"
    DECLARE = "is a handler declared?"
    CONDITION = "a condition of the handler comes next"
    CONDITIONS = "a condition was read: does another follow?"
    ENDED = "an END was read"


_KINDS = {
    "PROCEDURE": State.PARAMETERS,
    "FUNCTION": State.PARAMETERS,
    "TRIGGER": State.TABLE,
    "EVENT": State.SCHEDULE,
    "PACKAGE": State.PACKAGE,
}


class Compound:
    """MySQL, MariaDB: the body of a routine, trigger, event or package, or one that stands by itself."""

    def __init__(self, first: Token) -> None:
        self.frames: list[Frame] = []
        self.depth = 0
        match first.text.upper():
            case "CREATE" | "ALTER":
                self.state = State.CREATE
            case "BEGIN":
                self.state = State.ANONYMOUS
            case word:
                self.start(word, first.offset)

    @property
    def opened(self) -> int | None:
        return self.frames[-1].offset if self.frames else None

    def see(self, word: str, token: Token) -> Sight:
        self.depth += (word == "(") - (word == ")")
        match self.state:
            case State.ANONYMOUS:
                if word != "NOT":
                    return Sight.PLAIN
                self.open(Block.BEGIN, token.offset, State.START)
            case State.CREATE | State.DEFINER:
                return self.kind(word)
            case State.START:
                self.start(word, token.offset)
            case State.LABEL if word == ":":
                self.state = State.START
            case State.LABEL | State.WITHIN:
                self.within(word, token.offset)
            case State.DECLARE | State.CONDITION | State.CONDITIONS:
                self.handler(word, token.offset)
            case State.ENDED:
                if word == ";":
                    self.state = State.START
            case _:
                self.header(word, token.offset)
        return Sight.UNCLEAR

    def kind(self, word: str) -> Sight:
        """Read what is created. Comments that the server runs may stand there; they come as ''."""
        if word in _KINDS:
            self.state = _KINDS[word]
        elif word == "DEFINER":
            self.state = State.DEFINER
        elif word in ("VIEW", "SQL") or (self.state is State.CREATE and word not in ("", "OR", "REPLACE", "AGGREGATE")):
            return Sight.PLAIN
        return Sight.UNCLEAR

    def header(self, word: str, offset: int) -> None:
        """Read a word between the kind of thing and its body."""
        match self.state:
            case State.PLACE if word in ("FOLLOWS", "PRECEDES"):
                self.state = State.OTHER
            case State.PLACE:
                self.start(word, offset)
            case State.OTHER:
                self.state = State.START
            case State.TABLE if word == "ROW":
                self.state = State.PLACE
            case State.SCHEDULE if word == "DO":
                self.state = State.START
            case State.PARAMETERS if word == ")" and self.depth == 0:
                self.state = State.TRAITS
            case State.PARAMETERS | State.TRAITS | State.PACKAGE if word in ("AS", "IS") and self.depth == 0:
                self.open(Block.DECLARATIONS, offset, State.START)
            case State.PACKAGE if word == ";":
                self.state = State.START
            case State.TRAITS if word in ("RETURNS", "CHARACTER"):
                self.state = State.ANY_WORD
            case State.TRAITS if word == ":":
                self.state = State.START
            case State.TRAITS if word in _BLOCKS or word in _SIMPLE:
                self.start(word, offset)
            case State.ANY_WORD:
                self.state = State.TRAITS

    def start(self, word: str, offset: int) -> None:
        """Read the first word of a statement."""
        inside = self.frames[-1].block if self.frames else None
        self.state = State.WITHIN
        match word:
            case "BEGIN" if inside is Block.DECLARATIONS:
                self.frames[-1] = Frame(Block.BEGIN, offset)
                self.state = State.START
            case "BEGIN":
                self.open(Block.BEGIN, offset, State.START)
            case "LOOP" | "REPEAT":
                self.open(Block.CONTROL, offset, State.START)
            case "IF" | "CASE":
                self.open(Block.CONTROL, offset, State.WITHIN)
            case "WHILE" | "FOR":
                self.open(Block.LOOP_HEAD, offset, State.WITHIN)
            case "END":
                self.close()
            case "UNTIL" if self.frames:
                self.frames[-1] = Frame(Block.UNTIL, self.frames[-1].offset)
            case "DECLARE":
                self.state = State.DECLARE
            case "PROCEDURE" | "FUNCTION" if inside is Block.DECLARATIONS:
                self.state = State.PACKAGE
            case ";" | "NOT" | "ATOMIC" | "ELSE" | "EXCEPTION":
                # BEGIN NOT ATOMIC, ELSE and the EXCEPTION of Oracle style end without `;`.
                self.state = State.START
            case _ if word not in _SIMPLE and word not in ("WHEN", "ELSEIF", "ELSIF"):
                self.state = State.LABEL

    def within(self, word: str, offset: int) -> None:
        """Read a later word of a statement."""
        inside = self.frames[-1].block if self.frames else None
        self.state = State.WITHIN
        match word:
            case ";":
                self.state = State.START
            case "CASE":
                self.open(Block.EXPRESSION, offset, State.WITHIN)
            case "END" if inside is Block.EXPRESSION:
                self.frames.pop()
            case "END" if inside is Block.UNTIL:
                self.close()
            case "THEN" | "ELSE" if inside is not Block.EXPRESSION:
                self.state = State.START
            case "DO" | "LOOP" if inside is Block.LOOP_HEAD:
                self.frames[-1] = Frame(Block.CONTROL, self.frames[-1].offset)
                self.state = State.START

    def handler(self, word: str, offset: int) -> None:
        """Read DECLARE … HANDLER FOR condition, …, behind which a statement begins."""
        match self.state:
            case State.DECLARE:
                self.state = State.CONDITION if word in ("CONTINUE", "EXIT", "UNDO") else State.WITHIN
            case State.CONDITION:
                if word not in ("HANDLER", "FOR", "SQLSTATE", "VALUE", "NOT"):
                    self.state = State.CONDITIONS
            case _ if word == ",":
                self.state = State.CONDITION
            case _:
                self.start(word, offset)

    def open(self, block: Block, offset: int, state: State) -> None:
        self.frames.append(Frame(block, offset))
        self.state = state

    def close(self) -> None:
        if self.frames:
            self.frames.pop()
        self.state = State.ENDED
