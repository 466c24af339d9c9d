"""How fast Stepwell is, each number beside its floor and its peers in the same run. Never part of the tests."""
