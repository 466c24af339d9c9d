"""Keeping a running system from harm: what to look at before a release is applied."""
