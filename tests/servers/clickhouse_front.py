"""A ClickHouse server for tests: HTTP in front of chDB, which is the same engine in one process.

Run as a program it serves one folder and prints its port; `start` does that from Python and gives a
`ClickhouseFront`, which can also kill it, and make it lose or hold back an answer. It is good enough for
clickhouse-connect's HTTP client. Beyond its reach: users and grants, ON CLUSTER, replication, SET that
outlives its request, a query log that outlives the process, progress headers, and query ids of the client's
choice (chDB makes its own, so they are kept as `log_comment`).
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from email import message_from_bytes
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import lz4.frame
import zstandard

_CONFIG = """<clickhouse>
  <query_log>
    <database>system</database><table>query_log</table>
    <flush_interval_milliseconds>200</flush_interval_milliseconds>
  </query_log>
  <part_log>
    <database>system</database><table>part_log</table>
    <flush_interval_milliseconds>200</flush_interval_milliseconds>
  </part_log>
</clickhouse>
"""

# What a server takes from a URL for itself. `param_…` are query parameters, the rest are settings.
_TRANSPORT = re.compile(
    "query|database|query_id|session_(id|timeout|check)|quota_key|role|user|password|(de)?compress|buffer_size"
    "|wait_end_of_query|default_format|client_protocol_version|enable_http_compression"
    "|send_progress_in_http_headers|http_headers_progress_interval_ms"
)
_NOT_FOUND = {46, 47, 60, 81, 115}  # unknown function, identifier, table, database, setting
_SYNTAX_ERROR = 62

# An INSERT whose rows follow it: INSERT INTO name (columns), then VALUES or FORMAT word and a line end.
_INSERT = re.compile(
    rb"(?P<head>\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?:`[^`]*`|[^\s`(])+\s*(?:\((?:`[^`]*`|[^`)])*\)\s*)?)"
    rb"(?:VALUES\b|FORMAT\s+(?P<format>\w+)[ ]*(?:\n|$))",
    re.IGNORECASE,
)
_WITH_ROWS = re.compile(rb"[\s(]*(SELECT|WITH|SHOW|DESC|EXISTS|EXPLAIN|CHECK|KILL)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the answer of the next query that contains `text`; the query itself runs to its end.

    `lose`: the connection is dropped this many seconds after the query arrived, which begins `late` seconds after
    that. `hold`: the answer is kept back for this many seconds after the query ended.
    """

    text: str
    lose: float | None = None
    late: float = 0.0
    hold: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes that a query returned, and what a server sums up in a header."""

    body: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0

    @property
    def summary(self) -> str:
        return json.dumps({key: str(value) for key, value in asdict(self).items() if key != "body"})


class ServerError(Exception):
    """What a server answers when it can't do a query: 'Code: 60. DB::Exception: …'."""

    def __init__(self, message: str) -> None:
        found = re.search(r"Code: (\d+)", message)
        self.code = int(found[1]) if found else 1001
        super().__init__(message[found.start() :] if found else f"Code: 1001. DB::Exception: {message}")

    @property
    def status(self) -> int:
        return 400 if self.code == _SYNTAX_ERROR else 404 if self.code in _NOT_FOUND else 500


@dataclass(slots=True)
class Engine:
    """chDB on one folder, with what must be shared between the threads that serve clients."""

    connect: Callable[[], Any]
    version: str
    faults: list[Fault] = field(default_factory=list)
    busy_sessions: set[str] = field(default_factory=set)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def run(self, query: bytes, request: dict[str, str]) -> Answer:
        """Run one query as its URL asks, on a connection of its own, so that its settings end with it.

        Raises ServerError.
        """
        parameters = {key[6:]: value for key, value in request.items() if key.startswith("param_")}
        settings = {"log_comment": request.get("query_id", "")} | {
            key: value
            for key, value in request.items()
            if not key.startswith("param_") and not _TRANSPORT.fullmatch(key)
        }
        changes = [f"{_quoted(key, '`')} = {_quoted(value)}" for key, value in settings.items()]
        output = request.get("default_format", "TabSeparated")
        insert = _INSERT.match(query)
        try:
            with contextlib.closing(self.connect()) as connection:
                if request.get("database"):
                    connection.query(f"USE {_quoted(request['database'], '`')}")
                connection.query(f"SET {', '.join(changes)}")
                if insert and insert["format"]:
                    # Sent with the statement, binary rows would end at their first empty line.
                    rows = connection.send_insert(insert["head"].decode(), insert["format"].decode())
                    rows.append(query[insert.end() :])
                    done = rows.finish()
                    return Answer(written_rows=done.rows_written, written_bytes=done.bytes_written)
                if b";" in query and not insert:
                    _refuse_more_than_one(connection, query)
                result = connection.query(query, output, params=parameters)
                return Answer(
                    result.bytes() or b"",
                    result.rows_read(),
                    result.bytes_read(),
                    result.rows_written(),
                    result.bytes_written(),
                )
        except RuntimeError as error:
            version = f" (version {self.version})"
            raise ServerError(f"{str(error).removesuffix(version)}{version}") from None

    @contextlib.contextmanager
    def session(self, name: str) -> Iterator[None]:
        """Hold a session for one query; '' is none. Raises ServerError when another query holds it."""
        with self.guard:
            if name in self.busy_sessions:
                raise ServerError(
                    f"Code: 373. DB::Exception: Session {name} is locked by a concurrent client. "
                    f"(SESSION_IS_LOCKED) (version {self.version})"
                )
            if name:
                self.busy_sessions.add(name)
        try:
            yield
        finally:
            with self.guard:
                self.busy_sessions.discard(name)

    def fault(self, query: bytes) -> Fault:
        """Take the fault that waits for this query, if there is one."""
        with self.guard:
            for fault in self.faults:
                if fault.text.encode() in query:
                    self.faults.remove(fault)
                    return fault
        return Fault("")


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def _refuse_more_than_one(connection: Any, query: bytes) -> None:
    """Refuse several statements as a server does; chDB would run them all."""
    # The engine reads a parameter as TabSeparated text.
    text = query.decode().translate({ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n"})
    try:
        connection.query("SELECT formatQuery({text:String})", "Null", params={"text": text})
    except RuntimeError as error:
        raise RuntimeError(f"{str(error).split('. : In scope')[0]}. (SYNTAX_ERROR)") from None


class Handler(BaseHTTPRequestHandler):
    """Serves one client's connection. A client that goes away leaves its query running, as on a server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    engine: Engine

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._reply(200, b"Ok.\n")
        else:
            self._serve({"readonly": "2"})

    def do_POST(self) -> None:
        if self.path == "/fault":
            self.engine.faults.append(Fault(**json.loads(self._body())))
            self._reply(200, b"")
        else:
            self._serve({})

    def _serve(self, request: dict[str, str]) -> None:
        request |= parse_qsl(urlsplit(self.path).query, keep_blank_values=True)
        query = self._body()
        if self.headers.get_content_type() == "multipart/form-data":
            request |= _form(self.headers, query)
            query = b""
        if request.get("query"):
            query = request["query"].encode() + b"\n" + query
        fault = self.engine.fault(query)
        with self._losing(fault.lose):
            time.sleep(fault.late)
            status, body, headers = self._answer(query, request, fault.hold)
        self._reply(status, body, headers)

    def _answer(self, query: bytes, request: dict[str, str], hold: float) -> tuple[int, bytes, dict[str, str]]:
        headers = {"X-ClickHouse-Query-Id": request.get("query_id") or str(uuid.uuid4())}
        try:
            with self.engine.session(request.get("session_id", "")):
                try:
                    answer = self.engine.run(query, request)
                finally:
                    time.sleep(hold)
        except ServerError as error:
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            return error.status, f"{error}\n".encode(), headers
        headers["X-ClickHouse-Summary"] = answer.summary
        if answer.body or _WITH_ROWS.match(query):
            headers["X-ClickHouse-Format"] = _output_format(query, request)
        return 200, answer.body, headers

    @contextlib.contextmanager
    def _losing(self, after: float | None) -> Iterator[None]:
        """Drop the client's connection `after` seconds from now, and not leave the block before."""
        if after is None:
            yield
            return
        drop = threading.Timer(after, self.connection.shutdown, [socket.SHUT_RDWR])
        drop.start()
        yield
        drop.join()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b"".join(iter(self._chunk, b""))
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return _decoded(data, self.headers.get("Content-Encoding", ""))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # nobody reads any more

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the query log has it."""


def _decoded(data: bytes, encoding: str) -> bytes:
    """Undo a content encoding. Clients compress every block of an insert into a frame of its own."""
    match encoding:
        case "lz4":
            return bytes(lz4.frame.open(io.BytesIO(data)).read())
        case "zstd":
            return bytes(zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read())
        case "gzip":
            return gzip.decompress(data)
    return data


def _form(headers: Message, body: bytes) -> dict[str, str]:
    """The fields of a form, which clients send when parameters are too long for a URL."""
    message = message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body)
    fields: list[Any] = [part for part in message.walk() if not part.is_multipart()]
    return {
        field.get_param("name", header="Content-Disposition"): field.get_payload(decode=True).decode()
        for field in fields
    }


def _output_format(query: bytes, request: dict[str, str]) -> str:
    found = re.search(rb"\bFORMAT\s+(\w+)[\s;]*$", query, re.IGNORECASE)
    return found[1].decode() if found else request.get("default_format", "TabSeparated")


def serve(folder: Path, port: int) -> None:
    """Serve `folder` until a signal comes; prints the port once it answers."""
    import chdb  # here, so that the tests, which only start this as a program, don't load the engine

    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.xml"
    config.write_text(_CONFIG)
    address = f"{folder / 'data'}?{urlencode({'config-file': config}, safe='/')}"
    connect = partial(chdb.connect, address)
    # The engine ends with its last connection, so one stays open.
    with contextlib.closing(connect()) as first:
        first.query("SYSTEM FLUSH LOGS query_log, part_log")  # creates them
        version = first.query("SELECT version()", "TSVRaw").bytes().decode().strip()
        Handler.engine = Engine(connect, version)
        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
            print(server.server_port, flush=True)
            server.serve_forever()


@dataclass(slots=True)
class ClickhouseFront:
    """A front in a process of its own."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def restart(self) -> None:
        """Start it on its folder and its port."""
        self.stop()
        command = [sys.executable, __file__, "--path", str(self.folder), "--port", str(self.port)]
        self.process = subprocess.Popen([*command, "--parent", str(os.getpid())], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the ClickHouse front ended at once with code {self.process.wait()}")
        self.port = int(line)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.communicate()
            self.process = None

    def query(self, text: str, database: str = "default") -> str:
        """Run a query and return its rows as text. Raises HTTPError."""
        return self._post(f"/?{urlencode({'database': database})}", text)

    def url(self, database: str) -> str:
        """The URL of a database; it is made, Atomic, if absent."""
        self.query(f"CREATE DATABASE IF NOT EXISTS {_quoted(database, '`')} ENGINE = Atomic")
        return f"clickhouse://127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        return self.url(f"test_{uuid.uuid4().hex}")

    def forget(self, url: str) -> None:
        """Drop a database, which costs the server work as long as it is there; nothing where the server is gone."""
        with contextlib.suppress(OSError):
            self.query(f"DROP DATABASE IF EXISTS {_quoted(urlsplit(url).path[1:], '`')}")

    def lose_answer(self, text: str, after: float = 0.2, late: float = 0.0) -> None:
        """Drop the connection of the next query that contains `text`, `after` seconds from its arrival.

        The query begins `late` seconds from its arrival.
        """
        self._post("/fault", json.dumps(asdict(Fault(text, lose=after, late=late))))

    def hold_answer(self, text: str, seconds: float) -> None:
        """Keep back the answer to the next query that contains `text` for some seconds."""
        self._post("/fault", json.dumps(asdict(Fault(text, hold=seconds))))

    def _post(self, path: str, body: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body.encode()) as response:
            return str(response.read().decode())


def start(folder: Path) -> ClickhouseFront:
    """Start a front on `folder`, on a free port."""
    front = ClickhouseFront(folder)
    front.restart()
    return front


def _end_with(parent: int) -> None:
    """End this process when `parent` is not its parent any more."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="folder that holds the data")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--parent", type=int, help="end when the process of this id has ended")
    options = parser.parse_args()
    # What the engine acknowledged is on disk, so it needs no farewell.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if options.parent:
        threading.Thread(target=_end_with, args=[options.parent], daemon=True).start()
    serve(options.path.resolve(), options.port)


if __name__ == "__main__":
    main()
