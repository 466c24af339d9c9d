"""The ClickHouse adapter: connect, run a statement and follow it to its end, look at what is there."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stepwell.databases.clickhouse import evidence as evidences
from stepwell.databases.clickhouse import inserts
from stepwell.databases.clickhouse.folder import folder_lock
from stepwell.databases.clickhouse.lock import table_lock
from stepwell.databases.clickhouse.statement import Kind, on_cluster, quote, read, settings, with_mark
from stepwell.databases.database import Activity, Command, Conduct, Evidence, Finding
from stepwell.databases.placeholders import percent_style
from stepwell.databases.url import Url
from stepwell.errors import (
    CannotConnect,
    ConnectionLost,
    Denied,
    DiskFull,
    LockLost,
    LockTimeout,
    MemoryLimit,
    Refused,
    StatementTimeout,
)

PATIENCE = 300
"""Seconds without an answer after which the client stops listening and looks for the statement on the server."""

UNREACHABLE = 60.0
"""Seconds a server may be unreachable while a statement on it is followed."""

CHDB_PATIENCE = 900.0
"""Seconds to wait for another Stepwell process to let go of a chDB folder."""

POLL = 0.5
"""Seconds between two looks at a statement that outlived its connection."""

_KINDS = {
    159: StatementTimeout,
    241: MemoryLimit,
    243: DiskFull,
    473: LockTimeout,
    497: Denied,
}
_POSITION = re.compile(r"failed at position (\d+)")
_HIDDEN = re.compile(r"\(version [^)]*\)\)?\s*$")
_READS = re.compile(r"\s*(SELECT|WITH|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN)\b", re.IGNORECASE)


class ClickhouseDatabase:
    """A ClickHouse database, on a server or in a chDB folder. `cluster` names the cluster to run DDL on, if any."""

    engine = "clickhouse"

    def __init__(self, name: str, url: Url, root: Path, cluster: str = "") -> None:
        self.name, self.url, self.cluster = name, url, cluster
        self.embedded = url.scheme == "chdb"
        # The lock on the folder, which a process needs to open it at all, keeps all others out.
        self.session_lock = self.embedded
        self.path = (root / url.path).resolve() if self.embedded else None
        self.database = url.database or "default"
        self._client: Any = None
        self._looker: Any = None
        self._settings: dict[str, str] = {}
        self._open = ExitStack()
        self._lock: Callable[[], None] | None = None

    # --- connecting -------------------------------------------------------------------------------------------

    def connect(self) -> None:
        try:
            import clickhouse_connect
        except ImportError:
            raise self._cannot_connect(
                "the driver clickhouse-connect is not installed", 'pip install "stepwell[clickhouse]"'
            ) from None
        if self.embedded:
            self._connect_embedded(clickhouse_connect)
        else:
            self._connect_server(clickhouse_connect)

    def _connect_embedded(self, driver: Any) -> None:
        assert self.path is not None
        try:
            import chdb  # noqa: F401  # only to tell a missing package from a failing engine
        except ImportError:
            raise self._cannot_connect("chDB is not installed", 'pip install "stepwell[embedded]"') from None
        self.path.parent.mkdir(parents=True, exist_ok=True)

        def waiting(holder: str) -> None:
            logging.getLogger("stepwell").warning("waiting for the chDB folder %s, held by %s", self.path, holder)

        # chDB itself names no cause when another process has the folder.
        self._open.enter_context(folder_lock(self.name, self.path, CHDB_PATIENCE, waiting))
        try:
            self._client = driver.get_client(interface="chdb", path=str(self.path))
            if self.database != "default":
                self._client.command(f"CREATE DATABASE IF NOT EXISTS {quote(self.database)} ENGINE = Atomic")
            self._client.database = self.database
        except Exception as error:
            self.close()
            raise self._cannot_connect(
                f"{_said(error)}\nchDB allows one process a folder",
                f"See which process has {self.path} open (lsof +D {self.path}), end it, and try again.",
            ) from None

    def _connect_server(self, driver: Any) -> None:
        options = dict(self.url.options)
        secure = self.url.scheme == "clickhouses"
        try:
            self._client = driver.get_client(
                host=self.url.host,
                port=self.url.port or (8443 if secure else 8123),
                username=self.url.user or "default",
                password=self.url.password,
                database=self.database,
                secure=secure,
                verify=options.get("verify", "true") != "false",
                ca_cert=options.get("ca_cert"),
                connect_timeout=10,
                send_receive_timeout=int(options.get("read_timeout", PATIENCE)),
                autogenerate_session_id=False,
                client_name="stepwell",
            )
            # Repeating by itself is never right for a client whose statements change things.
            self._client.http_retries = 0
            found = self._client.query(
                f"SELECT count() FROM system.databases WHERE name = '{_text(self.database)}'"
            )
        except Exception as error:
            raise self._explained(error) from None
        if not found.result_rows[0][0]:
            raise self._cannot_connect(
                f"there is no database {self.database!r} on the server",
                f"CREATE DATABASE {quote(self.database)}",
            )

    def _explained(self, error: Exception) -> CannotConnect:
        code = getattr(error, "code", None)
        if code in (516, 192, 193, 194):
            return self._cannot_connect(
                f"the server refused user {self.url.user or 'default'!r} or its password",
                "Check user and password in the URL's variable.",
            )
        if code == 81:
            return self._cannot_connect(_said(error), f"CREATE DATABASE {quote(self.database)}")
        if code is None:
            cause = error.__cause__ or error
            return self._cannot_connect(
                f"no answer: {type(cause).__name__}",
                f"Is ClickHouse listening for HTTP on {self.url.host}:{self.url.port or 8123}? "
                "(8123, or 8443 with TLS; not the native port 9000)",
            )
        return self._cannot_connect(_said(error), "Correct the URL, or the server's settings.")

    def _cannot_connect(self, said: str, do: str) -> CannotConnect:
        return CannotConnect(self.name, str(self.url), said, do)

    def close(self) -> None:
        for client in (self._looker, self._client):
            if client is not None:
                client.close()
        self._client = self._looker = None
        self._open.close()

    def reset(self) -> None:
        self._settings.clear()

    # --- running ----------------------------------------------------------------------------------------------

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            if parameters:
                text, parameters = percent_style(text, self.engine), tuple(parameters)
            if _READS.match(text):
                return list(self._client.query(text, parameters or None).result_rows)
            self._client.command(text, parameters or None, settings={"mutations_sync": "2"})
        except Exception as error:
            raise _refused(error) from None
        return []

    def run(self, command: Command, evidence: Evidence | None = None) -> None:
        statement = read(command.text)
        if statement.kind is Kind.SETTING:
            self._settings.update(settings(command.text))
        elif statement.kind is Kind.INSERT and evidence:
            inserts.run(self, command, statement, evidence)
        else:
            text = (
                with_mark(command.text, command.tag)
                if statement.kind is Kind.MUTATION and command.tag
                else command.text
            )
            self.send(text, command)

    def send(self, text: str, command: Command) -> None:
        """Send one statement under the command's tag and limits, and follow it to its end on the server."""
        if self.cluster:
            text = on_cluster(text, read(text), self.cluster)
        if command.parameters:
            text = percent_style(text, self.engine)
        try:
            self._client.command(text, command.parameters or None, settings=self._settings_for(command))
        except Exception as error:
            refused = _refused(error)
            if not isinstance(refused, ConnectionLost) or not command.tag or self.embedded:
                raise refused from None
            self._follow(command.tag, refused)

    def _settings_for(self, command: Command) -> dict[str, str]:
        # Both sync settings at 2: the statement ends when every replica has done it, not when it is queued.
        chosen = {"alter_sync": "2", "mutations_sync": "2", "max_query_size": str(1 << 30)}
        if command.tag:
            # A server knows the statement by its query id; chDB has none and keeps the comment.
            chosen |= {"log_comment": command.tag} | ({} if self.embedded else {"query_id": command.tag})
        if command.timeout is not None:
            chosen["max_execution_time"] = str(command.timeout)
        chosen["lock_acquire_timeout"] = str(max(1, round(command.lock_timeout)))
        return chosen | self._settings

    def _follow(self, tag: str, lost: Refused) -> None:
        """A connection that ended is not a statement that failed: watch it on the server, and report how it ended."""
        silent_since = time.monotonic()
        while time.monotonic() - silent_since < UNREACHABLE:
            try:
                running = self._activity(tag)
            except Exception:
                time.sleep(POLL)
                continue
            silent_since = time.monotonic()
            if running is None:
                ending = evidences.ending(self, tag)
                if ending is None:
                    break
                if ending.finished:
                    return
                raise _by_code(ending.code, ending.said)
            time.sleep(POLL)
        raise lost

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        try:
            # Not the client's own insert(): it sends all rows a second time when the connection breaks (measured).
            lines = (json.dumps(dict(zip(columns, row, strict=True)), default=str) for row in rows)
            names = ", ".join(quote(column) for column in columns)
            self._client.command(
                f"INSERT INTO {quote(*table.split('.'))} ({names}) FORMAT JSONEachRow",
                data="\n".join(lines),
                settings={"date_time_input_format": "best_effort"},
            )
        except Exception as error:
            raise _refused(error) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        raise Refused("ClickHouse has no transactions")
        yield

    # --- looking ----------------------------------------------------------------------------------------------

    def columns(self, table: str) -> list[str]:
        database, _, name = table.rpartition(".")
        rows = self.query(
            "SELECT name FROM system.columns WHERE database = ? AND table = ? ORDER BY position",
            (database or self.database, name),
        )
        return [str(row[0]) for row in rows]

    def conduct(self, command: Command) -> Conduct:
        statement = read(command.text)
        if statement.kind is Kind.INSERT:
            known = command.key or command.sole_writer or self.qualified(statement.names[0]) in command.own
            return Conduct.VISIBLE if known else Conduct.OPAQUE
        return {
            Kind.SETTING: Conduct.SESSION,
            Kind.REPEATABLE: Conduct.REPEATABLE,
            Kind.OPAQUE: Conduct.OPAQUE,
        }.get(statement.kind, Conduct.VISIBLE)

    def creates(self, command: Command) -> str | None:
        statement = read(command.text)
        created = statement.kind in (Kind.CREATE, Kind.CREATE_FILLED) and statement.object == "TABLE"
        return self.qualified(statement.names[0]) if created else None

    def renames(self, command: Command) -> list[str]:
        statement = read(command.text)
        if statement.kind is not Kind.RENAME:
            return []
        return [self.qualified(name) for name in statement.names[::2]]

    def qualified(self, name: tuple[str, str]) -> str:
        """database.table of a name that a statement gives, the database filled in."""
        return f"{name[0] or self.database}.{name[1]}"

    def evidence(self, command: Command) -> Evidence:
        return evidences.gather(self, command)

    def settle(self, command: Command, evidence: Evidence) -> Finding:
        return evidences.settle(self, command, evidence)

    def activity(self, tag: str) -> Activity | None:
        try:
            return self._activity(tag)
        except Exception:
            return None

    def _activity(self, tag: str) -> Activity | None:
        processes = (
            f"clusterAllReplicas('{_text(self.cluster)}', system.processes)"
            if self.cluster
            else "system.processes"
        )
        if self._looker is None:
            self._looker = self._second_client()
        rows = self._looker.query(
            f"""
            SELECT elapsed, read_rows, total_rows_approx, written_rows
            FROM {processes}
            WHERE query_id = '{_text(tag)}' OR Settings['log_comment'] = '{_text(tag)}'
            """
        ).result_rows
        if not rows or not tag:
            return None
        elapsed, read_rows, total, written = rows[0]
        share = min(1.0, read_rows / total) if total else None
        return Activity(float(elapsed), int(written or read_rows), int(total) or None, share)

    def _second_client(self) -> Any:
        """A client for looking on while the first is at work: a chDB client does one thing at a time."""
        if not self.embedded:
            return self._client
        import clickhouse_connect

        return clickhouse_connect.get_client(interface="chdb", path=str(self.path))

    def holders(self) -> list[str]:
        return []

    # --- the lock and the tracking tables ---------------------------------------------------------------------

    def lock(self, patience: float, waiting: Callable[[str], None]) -> AbstractContextManager[None]:
        @contextmanager
        def held() -> Iterator[None]:
            if self.embedded:
                yield
                return
            with table_lock(self, patience, waiting) as assert_held:
                self._lock = assert_held
                try:
                    yield
                finally:
                    self._lock = None

        return held()

    def assert_locked(self) -> None:
        if self.embedded:
            return
        if self._lock is None:
            raise LockLost(self.name)
        self._lock()

    def home(self) -> str:
        return quote(self.database)

    def tracking_tables(self) -> list[str]:
        cluster = f" ON CLUSTER '{_text(self.cluster)}'" if self.cluster else ""

        def engine(kind: str, table: str) -> str:
            if not self.cluster:
                return f"{kind}MergeTree"
            # One path for all shards: every server of the cluster keeps the whole history.
            return f"Replicated{kind}MergeTree('/stepwell/{{database}}/{table}', '{{shard}}-{{replica}}')"

        return [
            f"""
            CREATE TABLE IF NOT EXISTS schema_migrations{cluster} (
              version String,
              checksum String DEFAULT '',
              applied_at DateTime64(6, 'UTC') DEFAULT now64(6),
              applied_by String DEFAULT '',
              duration Float64 DEFAULT 0 COMMENT 'seconds',
              statements UInt32 DEFAULT 0,
              tool String DEFAULT '',
              layout UInt16 DEFAULT 1
            )
            ENGINE = {engine("Replacing", "schema_migrations")}
            ORDER BY version
            """,
            f"""
            CREATE TABLE IF NOT EXISTS schema_migrations_journal{cluster} (
              seq UInt64,
              at DateTime64(6, 'UTC') DEFAULT now64(6),
              run String DEFAULT '',
              who String DEFAULT '',
              version String DEFAULT '',
              direction String DEFAULT '',
              position UInt32 DEFAULT 0,
              event String DEFAULT '',
              checksum String DEFAULT '',
              tag String DEFAULT '',
              evidence String DEFAULT '',
              note String DEFAULT ''
            )
            ENGINE = {engine("", "schema_migrations_journal")}
            ORDER BY seq
            """,
        ]


def _text(value: str) -> str:
    """A value for between single quotes."""
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _said(error: BaseException) -> str:
    text = _HIDDEN.sub("", str(error)).strip()
    return text.splitlines()[0][:600] if text else type(error).__name__


def _refused(error: Exception) -> Refused:
    """An error of the driver as one of ours. Without the server's code it is the connection that failed."""
    if isinstance(error, Refused):
        return error
    code = getattr(error, "code", None)
    text = str(error)
    if code is None and (found := re.search(r"Code: (\d+)", text)):
        code = int(found.group(1))
    if code is None and type(error).__name__ not in ("ProgrammingError", "DataError"):
        cause = error.__cause__
        return ConnectionLost(f"{_said(error)}{f' ({type(cause).__name__})' if cause else ''}")
    return _by_code(code or 0, text)


def _by_code(code: int, said: str) -> Refused:
    kind = _KINDS.get(code, Refused)
    place = _POSITION.search(said)
    position = int(place.group(1)) - 1 if place else None
    return kind(_HIDDEN.sub("", said).strip().split("\n")[0][:1000], code=str(code), position=position)
