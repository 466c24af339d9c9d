"""`stepwell`, each call in a process of its own, forked from one that has imported already what a command needs.

The tests run thousands of commands, and of most of them the imports are the greater part. What is not run so:
`python -m stepwell` itself, by `Project.start` and by the tests of the command line. chDB is not imported before the
fork, for it starts threads.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NoReturn

SOURCE = Path(__file__).parent.parent / "src"
LARGEST = 1 << 18
"""Bytes of a call: arguments, folder and environment."""
DRIVERS = ("psycopg", "pymysql", "clickhouse_connect", "sqlite3")


# --- in the tests ---------------------------------------------------------------------------------------------


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float, program: str = ""
) -> tuple[int, str, str]:
    """Run `stepwell ARGUMENTS` to its end, or a program around it: exit code, standard output, error output.

    After `timeout` seconds it is killed: raises subprocess.TimeoutExpired.
    """
    words = [program or "stepwell", *arguments]
    call = json.dumps({"arguments": words, "folder": str(folder), "environment": dict(environment)}).encode()
    assert len(call) < LARGEST
    answer, answering = os.pipe()
    with TemporaryFile() as output, TemporaryFile() as errors, os.fdopen(answer, "rb", buffering=0) as answers:
        try:
            socket.send_fds(_imported(), [call], [output.fileno(), errors.fileno(), answering])
        finally:
            os.close(answering)
        process = _number(answers)
        waiting = select.poll()  # which takes descriptors of any number
        waiting.register(answers, select.POLLIN)
        late = not waiting.poll(timeout * 1000)
        if late:
            os.kill(process, signal.SIGKILL)
        code = _number(answers)
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode())
    if late:
        raise subprocess.TimeoutExpired(words, timeout, *said)
    return code, said[0], said[1]


def _number(answers: IO[bytes]) -> int:
    [number] = struct.unpack("i", answers.read(4))
    return int(number)


@cache
def _imported() -> socket.socket:
    """The socket of this worker's process that has imported everything; that ends when the socket closes."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        subprocess.Popen(
            [sys.executable, __file__, str(its.fileno())],
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )
    return ours


# --- in the process that has imported everything --------------------------------------------------------------


def serve(calls: socket.socket) -> None:
    """Fork for each call; returns in the fork, which is the command from there on."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait for commands leave no zombies
    while True:
        message, (*files, answering), _, _ = _received(calls)
        if os.fork() == 0:
            break
        for file in (*files, answering):
            os.close(file)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    calls.close()
    if process := os.fork():
        os.write(answering, struct.pack("i", process))
        _, status = os.waitpid(process, 0)
        os.write(answering, struct.pack("i", os.waitstatus_to_exitcode(status)))
        os._exit(0)
    os.close(answering)
    for standard, file in enumerate(files, start=1):
        os.dup2(file, standard)
        os.close(file)
    call = json.loads(message)
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    time.tzset()
    random.seed()
    sys.path[0] = call["folder"]
    sys.argv = call["arguments"]


def _received(calls: socket.socket) -> tuple[bytes, list[int], int, object]:
    received = socket.recv_fds(calls, LARGEST, 3)
    if not received[0]:
        os._exit(0)  # nobody is left to call
    return received


def _import_all() -> None:
    for module in pkgutil.walk_packages([str(SOURCE / "stepwell")], "stepwell."):
        if ".bundles." not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in DRIVERS:
        importlib.import_module(name)


def _end(code: int) -> NoReturn:
    """Without taking all modules to pieces, which takes longer than most commands."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter's end does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _import_all()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
    from stepwell.cli import main

    try:
        if sys.argv[0] != "stepwell":
            runpy.run_path(sys.argv[0], run_name="__main__")
        _end(main())
    except SystemExit as end:
        _end(end.code if isinstance(end.code, int) else 1)
