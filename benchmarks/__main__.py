"""`python -m benchmarks [NAME ...]`: the tables of those named (startup, apply, copy, copying ...), or of all."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import apply, backfill, copy, copying, diff, lint, servers, startup, tools

NAMES = ("startup", "apply", "copy", "copying", "diff", "backfill", "lint")

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
chosen = parser.parse_args().names or NAMES
if unknown := set(chosen) - set(NAMES):
    parser.error(f"no benchmark {unknown.pop()!r}; there are {', '.join(NAMES)}")

with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as temporary:
    folder = Path(temporary)
    if "copy" in chosen:
        copy.main(folder)
    if "lint" in chosen:
        lint.main(folder)
    if "copying" in chosen:
        with servers.running(folder / "copying-servers") as databases:
            copying.main(folder, databases)
    if "backfill" in chosen:
        with servers.running(folder / "backfill-servers") as databases:
            backfill.main(folder, databases)
    if "diff" in chosen:
        with servers.running(folder / "diff-servers") as databases:
            diff.main(folder, databases)
    if {"startup", "apply"} & set(chosen):
        (folder / "peers").mkdir()
        peers = tools.install(folder / "peers")
        with servers.running(folder / "servers") as databases:
            for benchmark in (startup, apply):
                if benchmark.__name__.rpartition(".")[2] in chosen:
                    benchmark.main(folder, databases, peers)
