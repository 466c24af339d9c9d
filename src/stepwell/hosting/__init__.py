"""Migrating where an application starts: in the command before it, behind that command, or inside the server."""
