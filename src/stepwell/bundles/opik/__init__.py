"""The upgrade of a self-hosted Opik, state in MySQL or SQLite, analytics in ClickHouse, with data to try it on."""

from stepwell.bundles.opik.data import Summary, generate
from stepwell.bundles.opik.proof import Fact, proof

__all__ = ["Fact", "Summary", "generate", "proof"]
