"""Applying scripts: what is planned, what is applied, what is in doubt, and the way back.

Read `apply.py` for the algorithm; `history.py` for what a database remembers; `settle.py` for what happens after
a crash; `plan.py` for what comes next and what must not.
"""
