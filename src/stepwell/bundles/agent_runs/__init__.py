"""A product that records what AI agents do: PostgreSQL beside ClickHouse, as a Stepwell project."""

from stepwell.bundles.agent_runs.data import generate

__all__ = ["generate"]
