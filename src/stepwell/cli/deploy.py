"""`deploy`: the manifests are written once; what a person has made of them since stays."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from stepwell.cli.output import Output
from stepwell.deploy import facts
from stepwell.errors import BadRequest

FOLDERS = {
    "kubernetes": "deploy/kubernetes",
    "helm": "deploy/helm",
    "compose": "deploy/compose",
    "systemd": "deploy/systemd",
    "github-actions": ".github/workflows",
}


def deploy(options: argparse.Namespace, output: Output) -> int:
    found = facts.read(options.project, options.image)
    folder = options.folder or options.project / FOLDERS[options.way]
    manifests = import_module(f"stepwell.deploy.{options.way.replace('-', '_')}").files(found)
    for name, text in manifests.items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise BadRequest(f"{path} is there already, and says something else", "Name another folder, or remove it.")
    for name, text in manifests.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        output.line(f"made {path}")
    asked = ", ".join(found.variables)
    output.line(f"\nSecrets to set where it runs: {asked}" if asked else "\nNo secret is needed.")
    made = [str(Path(folder, name)) for name in manifests]
    output.result({"made": made, "secrets": list(found.variables)})
    return 0
