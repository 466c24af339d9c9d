"""What a script would do to a running system, told from its text: `stepwell lint`.

A script is read (`reading.py`) into statements whose text has one form (`phrase.py`), the rules (`rules/`, one a file)
look at them, and what a comment allows is taken out (`allowance.py`). `review.py` says when all this happens.

DDL is read from tokens: its grammar is words in a fixed order, and every engine has commands of its own that no general
parser knows. Queries are parsed by sqlglot, for whether a condition bounds a statement is a question about a tree. What
it can't parse is looked at as tokens, or not at all: a linter that guesses is switched off.
"""
