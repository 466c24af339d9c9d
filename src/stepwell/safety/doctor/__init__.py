"""The look before a release: can it be begun on these databases, now, and come to its end?

Each module knows one kind of trouble; `diagnose` puts them together, for `stepwell doctor` and before `stepwell up`.
"""
