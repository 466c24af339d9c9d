"""One adapter an engine behind one interface (`database.py`): connect, run, look, lock, settle."""
