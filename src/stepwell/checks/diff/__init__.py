"""What differs between two tables, row by row, on any two engines.

    pairs.py      which columns are compared, and as what; which can't be
    side.py       one of the two tables: its connection, and what is asked of it
    ranges.py     the way with an indexed integer key: checksums of ranges, divided where they differ
    hashes.py     the way with any other key: checksums of buckets by the key's hash
    rows.py       rows of both sides beside each other: the last word on what differs
    progress.py   the file that an interrupted comparison goes on from
    run.py        all of it together

The checksums themselves are SQL of each engine: `databases/checksums.py`.
"""
