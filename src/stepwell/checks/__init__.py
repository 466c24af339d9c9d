"""Checks: statements that must hold, in one database or between any two, and snapshots to compare with later."""
