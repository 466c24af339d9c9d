"""Rules for ClickHouse, where the question is how much is written anew, and on which servers."""
