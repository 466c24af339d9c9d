"""Opik 1.x to 1.9.92, dataset versioning, as a Stepwell project; with data to try it on and the proof of it."""

from stepwell.bundles.opik.data import Summary, generate
from stepwell.bundles.opik.proof import Fact, proof

__all__ = ["Fact", "Summary", "generate", "proof"]
