"""`python -m benchmarks [NAME ...]`: the tables of those named (startup, apply, copy, copying ...), or of all."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import apply, backfill, checks, copy, copying, diff, formats, groups, lint, servers, startup, tools

NAMES = ("startup", "apply", "copy", "groups", "copying", "backfill", "checks", "diff", "lint", "formats")

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
chosen = parser.parse_args().names or NAMES
if unknown := set(chosen) - set(NAMES):
    parser.error(f"no benchmark {unknown.pop()!r}; there are {', '.join(NAMES)}")

with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as temporary:
    folder = Path(temporary)
    if "copy" in chosen:
        copy.main(folder)
    if "groups" in chosen:
        groups.main(folder)
    if "lint" in chosen:
        lint.main(folder)
    for beside_servers in (copying, backfill, checks, diff, formats):
        name = beside_servers.__name__.rpartition(".")[2]
        if name in chosen:
            with servers.running(folder / f"{name}-servers") as databases:
                beside_servers.main(folder, databases)
    if {"startup", "apply"} & set(chosen):
        (folder / "peers").mkdir()
        peers = tools.install(folder / "peers")
        with servers.running(folder / "servers") as databases:
            for benchmark in (startup, apply):
                if benchmark.__name__.rpartition(".")[2] in chosen:
                    benchmark.main(folder, databases, peers)
