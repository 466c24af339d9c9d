"""Files for a change in three points, from a sentence: expand, move the data beside live traffic, contract.

`sentence.py` reads it, `change.py` makes of it what the column's definition allows, `files.py` writes.
"""
