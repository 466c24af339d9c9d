"""The command line: reads the words, calls the project, prints. No rule of its own lives here."""

from stepwell.cli.main import main

__all__ = ["main"]
