"""Runbooks: the phases of a careful release, each item ticked by evidence, or signed by a person.

A runbook is a TOML file. `folder` reads it, `facts` asks the databases once, `evidence` holds every item against what
they said, `export` writes all of it down, `rollback` goes the way back.
"""
