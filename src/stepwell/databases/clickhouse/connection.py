"""The ClickHouse adapter: run a statement and follow it to its end, look at what is there."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from stepwell.databases import lines
from stepwell.databases.clickhouse import catalog, inserts, opening, pressure, reading, tracking, versions
from stepwell.databases.clickhouse import evidence as evidences
from stepwell.databases.clickhouse.catalog import End
from stepwell.databases.clickhouse.folder import folder_lock
from stepwell.databases.clickhouse.lock import table_lock
from stepwell.databases.clickhouse.names import Name, literal, parse, quote, spell
from stepwell.databases.clickhouse.refusal import by_code, refused
from stepwell.databases.clickhouse.rewriting import on_cluster, settings, with_mark
from stepwell.databases.clickhouse.statement import Kind, read
from stepwell.databases.database import HISTORY, Activity, Command, Conduct, Database, Evidence, Finding, Outcome
from stepwell.databases.health import Health, Size
from stepwell.databases.keys import KeyFacts
from stepwell.databases.lexing import Reader
from stepwell.databases.placeholders import percent_style
from stepwell.databases.pressure import Signal
from stepwell.databases.stream import Stream
from stepwell.databases.url import Url
from stepwell.errors import CannotConnect, ConnectionLost, LockLost, Refused, StepwellError

UNREACHABLE = 60.0
"""Seconds a server may be unreachable while a statement on it is followed."""

UNREAD = 3.0
"""Seconds in which a server may still read and begin a statement whose connection was lost."""

CHDB_PATIENCE = 900.0
"""Seconds to wait for another Stepwell process to let go of a chDB folder."""

POLL = 0.5
"""Seconds between two looks at a statement that outlived its connection."""

LONG = {"max_query_size": str(1 << 30)}
"""A server reads 256 kB of a statement unless told otherwise, in bytes."""

READ = 1 << 20
"""Bytes of an answer that are taken from the driver at a time."""

SYNTAX_ERROR = "62"

_READS = ("SELECT", "WITH", "FROM", "(", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "KILL")


class ClickhouseDatabase:
    """A ClickHouse database, on a server or in a chDB folder. `cluster` names the cluster to run DDL on, if any."""

    engine = "clickhouse"
    transactional = False
    single_writer = False
    batch_seconds = 0.2  # nobody waits, and each batch makes parts that have to be merged
    clock = "toFloat64(now64(6))"
    for_update = ""
    for_share = ""

    def __init__(self, name: str, url: Url, root: Path, cluster: str = "", patience: float = CHDB_PATIENCE) -> None:
        self.name, self.url, self.cluster, self.patience = name, url, cluster, patience
        self.embedded = url.scheme == "chdb"
        # The lock on the folder, which a process needs to open it at all, keeps all others out.
        self.session_lock = self.embedded
        self.path = (root / url.path).resolve() if self.embedded else None
        self.database = url.database or "default"
        self._client: Any = None
        self._looker: Any = None
        self._streamer: Any = None
        self._settings: dict[str, str] = {}
        self._open = ExitStack()
        self._lock: Callable[[], None] | None = None
        self._unreadable = ""

    # --- connecting -------------------------------------------------------------------------------------------

    def connect(self) -> None:
        if self.path is None:
            self._client = opening.over_http(self.name, self.url, self.database)
            return

        def waiting(holder: str) -> None:
            logging.getLogger("stepwell").warning("waiting for the chDB folder %s, held by %s", self.path, holder)

        if self.path.is_file():
            raise CannotConnect(self.name, str(self.url), "it is a file", "Name a folder: chDB keeps many files in it.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # chDB itself names no cause when another process has the folder.
            self._open.enter_context(folder_lock(self.name, self.path, self.patience, waiting))
        except OSError as error:
            do = f"Let this user write in {self.path.parent}, or name another folder in the URL."
            raise CannotConnect(self.name, str(self.url), str(error), do) from None
        try:
            self._client = opening.in_process(self.name, self.url, self.path, self.database)
        except CannotConnect:
            self.close()
            raise

    def close(self) -> None:
        for client in (self._streamer, self._looker, self._client):
            if client is not None:
                client.close()
        self._client = self._looker = self._streamer = None
        self._open.close()

    def reset(self) -> None:
        self._settings.clear()

    # --- running ----------------------------------------------------------------------------------------------

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            if parameters:
                text, parameters = percent_style(text, self.engine), tuple(parameters)
            if Reader(text, self.engine).peek() in _READS:
                return list(self._client.query(text, parameters or None, settings=LONG).result_rows)
            self._client.command(text, parameters or None, settings=LONG | {"mutations_sync": "2"})
        except Exception as error:
            raise refused(error).asked(self.name, text) from None
        return []

    def select(self, text: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT as the script means it, with its own settings. Raises Refused."""
        try:
            return list(self._client.query(text, settings=LONG | self._settings).result_rows)
        except Exception as error:
            raise refused(error) from None

    def add(self, text: str, parameters: Sequence[Any]) -> None:
        self.query(text, parameters)

    def run(self, command: Command, evidence: Evidence | None = None) -> None:
        statement = read(command.text)
        if statement.kind is Kind.SETTING:
            self._settings.update(settings(command.text))
        elif statement.kind is Kind.SESSION:
            raise Refused(
                "this lasts as long as a session, and over HTTP each statement is one of its own: name the database "
                "before the table, make a plain table instead of a temporary one, give rights to Stepwell's own user"
            )
        elif statement.kind is Kind.INSERT and evidence:
            inserts.run(self, command, statement, evidence)
        elif statement.kind is Kind.INSERT and command.tag:
            self.send(command.text, command, inserts.ONE_OF_MANY)
        elif statement.kind is Kind.MUTATION and command.tag:
            self.send(with_mark(command.text, command.tag), command)
        else:
            self.send(command.text, command)

    def send(self, text: str, command: Command, more: Mapping[str, str] = {}) -> None:
        """Send one statement under the command's tag and limits, and follow it to its end on the server."""
        if self.cluster:
            text = on_cluster(text, read(text), self.cluster)
        sent = percent_style(text, self.engine) if command.parameters else text
        try:
            self._client.command(sent, command.parameters or None, settings={**self._settings_for(command), **more})
        except Exception as error:
            trouble = refused(error)
            if isinstance(trouble, ConnectionLost) and command.tag and not self.embedded:
                self._follow(command.tag, trouble)
                return
            if trouble.code == SYNTAX_ERROR:
                self._unreadable = command.tag
            raise _pointing_into(command.text, text, error) from None

    def _settings_for(self, command: Command) -> dict[str, str]:
        # Both sync settings at 2: the statement ends when every replica has done it, not when it is queued.
        chosen = LONG | {"alter_sync": "2", "mutations_sync": "2"}
        if self.cluster:
            chosen["distributed_ddl_task_timeout"] = "-1"  # it is followed to its end, not for three minutes
        if command.tag:
            # A server knows the statement by its query id; chDB has none and keeps the comment.
            chosen |= {"log_comment": command.tag} | ({} if self.embedded else {"query_id": command.tag})
        if command.timeout is not None:
            chosen["max_execution_time"] = str(command.timeout)
        chosen["lock_acquire_timeout"] = str(max(1, round(command.lock_timeout)))
        return chosen | self._settings

    def _follow(self, tag: str, lost: Refused) -> None:
        """A connection that ended is not a statement that failed: watch it on the server, and report how it ended."""
        lost_at = silent_since = time.monotonic()
        begun = False
        while time.monotonic() - silent_since < UNREACHABLE:
            try:
                running = self._look(tag)
            except Refused:
                time.sleep(POLL)
                continue
            silent_since = time.monotonic()
            begun = begun or running is not None
            if running is None:
                ending = catalog.ending(self, tag)
                if ending is None and (begun or silent_since - lost_at > UNREAD):
                    break
                if ending and ending.end is End.FINISHED:
                    return
                if ending:
                    raise by_code(ending.code, ending.said)
            time.sleep(POLL)
        raise lost

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        try:
            # Not the client's own insert(): it sends all rows a second time when the connection breaks (measured).
            lines = [json.dumps(dict(zip(columns, row, strict=True)), default=_json) for row in rows]
            names = ", ".join(quote(column) for column in columns)
            self._client.command(
                f"INSERT INTO {quote(*parse(table))} ({names}) FORMAT JSONEachRow",
                data="\n".join(lines),
                settings={"date_time_input_format": "best_effort"},
            )
        except Exception as error:
            raise refused(error) from None

    def put(self, table: str, values: Mapping[str, Any], where: str, parameters: Sequence[Any] = ()) -> None:
        versions.put(self, table, values, where, parameters)

    def unload(self, text: str, parameters: Sequence[Any] = ()) -> Generator[bytes, None, None]:
        if parameters:
            text, parameters = percent_style(text, self.engine), tuple(parameters)
        # The server keeps the answer until it is whole: an error in the middle would look like a row.
        settings = {} if self.embedded else {"wait_end_of_query": 1}
        try:
            with (
                self._for_a_stream() as client,
                client.raw_stream(text, parameters or None, settings, fmt="TabSeparated") as blocks,
            ):
                # Not by iterating: that takes chDB's answer apart byte by byte to find its lines (measured).
                yield from lines.chunks(iter(partial(blocks.read, READ), b""))
        except Exception as error:
            raise refused(error) from None

    @contextmanager
    def stream(self, text: str, timeout: float) -> Iterator[Stream]:
        # As for `unload`: an error in the middle would look like the end.
        chosen = LONG | {"max_execution_time": str(timeout)} | ({} if self.embedded else {"wait_end_of_query": "1"})
        try:
            with self._client.query_row_block_stream(text, settings=chosen, query_formats=reading.FORMATS) as blocks:
                # Without a row there is no block, and without a block the driver knows no column.
                described = [] if blocks.source.column_names else self._ask(f"DESCRIBE (\n{text}\n)")
                yield reading.stream(blocks, described)
        except StepwellError:
            raise
        except Exception as error:
            raise refused(error) from None

    @contextmanager
    def _for_a_stream(self) -> Iterator[Any]:
        """A client that reads a stream: a chDB client can't do anything else before its stream has ended.

        After the end it is kept for the next: opening one takes longer than reading a thousand rows.
        """
        if not self.embedded:
            yield self._client
            return
        client, self._streamer = self._streamer or self._second_client(), None
        ended = False
        try:
            yield client
            ended = True
        finally:
            if ended and self._streamer is None:
                self._streamer = client
            else:
                client.close()

    def load(self, table: str, columns: Sequence[str], rows: bytes) -> None:
        try:
            # A generator is sent once; bytes would be sent again when the connection breaks, and doubled (measured).
            self._client.raw_insert(table, column_names=columns, insert_block=iter([rows]), fmt="TabSeparated")
        except Exception as error:
            raise refused(error) from None

    def transaction(self, lasting: bool = True, snapshot: bool = False) -> AbstractContextManager[None]:
        raise Refused("ClickHouse has no transactions")

    # --- looking ----------------------------------------------------------------------------------------------

    def columns(self, table: str) -> list[str]:
        rows = self.query(
            "SELECT name FROM system.columns WHERE database = ? AND table = ? ORDER BY position",
            self.qualified(parse(table)),
        )
        return [str(row[0]) for row in rows]

    def key_facts(self, table: str, columns: Sequence[str]) -> KeyFacts:
        from stepwell.databases.clickhouse import keys

        return keys.read(self, table, columns)

    def conduct(self, command: Command) -> Conduct:
        statement = read(command.text)
        if statement.kind is Kind.INSERT:
            own = spell(self.qualified(statement.names[0])) in command.own
            return Conduct.VISIBLE if own or command.key or command.sole_writer else Conduct.OPAQUE
        return {
            Kind.SETTING: Conduct.SESSION,
            Kind.SESSION: Conduct.REPEATABLE,
            Kind.REPEATABLE: Conduct.REPEATABLE,
            Kind.OPAQUE: Conduct.OPAQUE,
        }.get(statement.kind, Conduct.VISIBLE)

    def creates(self, command: Command) -> str | None:
        statement = read(command.text)
        created = statement.kind in (Kind.CREATE, Kind.CREATE_FILLED) and statement.object == "TABLE"
        return spell(self.qualified(statement.names[0])) if created else None

    def renames(self, command: Command) -> list[str]:
        statement = read(command.text)
        if statement.kind is not Kind.RENAME:
            return []
        return [spell(self.qualified(name, statement.object)) for name in statement.names[::2]]

    def qualified(self, name: Name, word: str = "TABLE") -> Name:
        """The name of an object of the kind `word`, with its database, which a statement may leave out."""
        return ("", name[1]) if word in ("DATABASE", "FUNCTION") else (name[0] or self.database, name[1])

    def everywhere(self, table: str) -> str:
        """A system table: the server's, or that of all servers of the cluster."""
        return f"clusterAllReplicas({literal(self.cluster)}, system.{table})" if self.cluster else f"system.{table}"

    def evidence(self, command: Command) -> Evidence:
        return evidences.gather(self, command)

    def settle(self, command: Command, evidence: Evidence) -> Finding:
        tag = str(evidence.get("tag", ""))
        # Asked here too, since `activity` can't say that the server did not answer. In chDB nothing outlives a process.
        while tag and not self.embedded and self._look(tag):
            time.sleep(POLL)
        if tag and tag == self._unreadable:
            return Finding(Outcome.NOT_DONE, "the server could not read the statement, so it did nothing")
        return evidences.settle(self, command, evidence)

    def activity(self, tag: str) -> Activity | None:
        try:
            return self._look(tag) if tag else None
        except Refused:
            return None

    def _look(self, tag: str) -> Activity | None:
        """The statement of this tag at work on the server. Raises Refused where the server does not tell."""
        rows = self._ask(
            f"""
            SELECT elapsed, read_rows, total_rows_approx, written_rows
            FROM {self.everywhere("processes")}
            WHERE query_id = {literal(tag)} OR startsWith(Settings['log_comment'], {literal(tag)})
            """
        )
        if not rows:
            return None
        elapsed, read_rows, total, written = rows[0]
        share = min(1.0, read_rows / total) if total else None
        return Activity(float(elapsed), int(written or read_rows), int(total) or None, share)

    def _ask(self, text: str) -> Sequence[Sequence[Any]]:
        """The rows of a query that looks on while another statement is at work. Raises Refused."""
        try:
            if self._looker is None:
                self._looker = self._second_client()
            rows: Sequence[Sequence[Any]] = self._looker.query(text).result_rows
        except Exception as error:
            raise refused(error) from None
        return rows

    def _second_client(self) -> Any:
        """A client for looking on while the first is at work: a chDB client does one thing at a time."""
        return self._client if self.path is None else opening.beside(self.path, self.database)

    def holders(self) -> list[str]:
        return []

    def pressure(self) -> list[Signal]:
        if self._client is None:
            return []
        try:
            return pressure.read(self, self._ask)
        except Refused:
            return []

    def health(self) -> Health:
        from stepwell.databases.clickhouse import health

        return health.read(self)

    def size(self, table: str) -> Size | None:
        from stepwell.databases.clickhouse import health

        return health.size(self, table)

    def scratch(self, table: str) -> list[str]:
        from stepwell.databases.clickhouse import health

        return [text.format(table=table) for text in health.SCRATCH]

    def make_lasting(self) -> None:
        """Nothing to do: no write answers before it is as lasting as the server's settings make it."""

    # --- the lock and the tracking tables ---------------------------------------------------------------------

    def lock(
        self, patience: float, waiting: Callable[[str], None], under: Sequence[Database] = ()
    ) -> AbstractContextManager[None]:
        @contextmanager
        def held() -> Iterator[None]:
            if self.embedded:
                yield
                return
            if self.cluster and under:
                # Each server has a lock table of its own, and which of them is asked may be a balancer's choice.
                own: AbstractContextManager[Callable[[], None]] = nullcontext(lambda: None)
            else:
                names = [name for database in under if (name := database.lock_name())]
                own = table_lock(self, patience, waiting, names)
            with own as assert_held:
                self._lock = assert_held
                try:
                    yield
                finally:
                    self._lock = None

        return held()

    def lock_name(self) -> str:
        # chDB is locked by whoever has its folder; a server's lock outlives its holder.
        return ""

    def assert_locked(self) -> None:
        if self.embedded:
            return
        if self._lock is None:
            raise LockLost(self.name)
        self._lock()

    def home(self) -> str:
        return quote(self.database)

    def tracking_tables(self, table: str = HISTORY) -> list[str]:
        return tracking.tables(table, self.cluster)


def _json(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _pointing_into(text: str, sent: str, error: Exception) -> Refused:
    """The error about `sent`, which is `text` with something put in, with its position in `text`."""
    trouble = refused(error, sent)
    if trouble.position is not None:
        same = next(
            (at for at, (ours, theirs) in enumerate(zip(text, sent, strict=False)) if ours != theirs), len(text)
        )
        if trouble.position >= same:
            trouble.position = max(same, trouble.position - (len(sent) - len(text)))
    return trouble
