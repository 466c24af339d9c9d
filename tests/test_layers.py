"""Dependencies point one way: cli → bundles → project → schema → scripts, graph, config → databases → errors."""

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_dependencies_point_one_way() -> None:
    root = Path(__file__).parent.parent
    assert lint_imports(config_filename=str(root / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS
