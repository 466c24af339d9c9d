"""Private database servers for tests, a module an engine: `start(folder)`, then URLs, kill, restart, stop."""
