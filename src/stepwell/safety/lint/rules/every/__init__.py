"""Rules for every engine, or for several."""
