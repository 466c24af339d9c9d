"""The command line: reads the words, calls the project, prints. No rule of its own lives here."""

try:
    from stepwell.cli.main import main
except KeyboardInterrupt:  # pressed before anything has begun
    raise SystemExit(130) from None

__all__ = ["main"]
