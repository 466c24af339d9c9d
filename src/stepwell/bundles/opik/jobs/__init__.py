"""The data migrations of the Opik upgrade, one job a file. What several share is in modules that begin with `_`."""
