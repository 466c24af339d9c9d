"""Taking over what another tool has applied: read from its own table, which is never written to.

A module for each tool knows its table, what its rows mean, and which script each is about. `takeover` shows it and
records it.
"""
