"""Complete projects to look at, to try Stepwell on, and to start from."""
