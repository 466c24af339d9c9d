"""A release tried on a copy, from its first script to its way back: how long it takes, what it locks and leaves."""
