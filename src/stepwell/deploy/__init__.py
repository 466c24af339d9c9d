"""Manifests that run a project: before a deployment `up --wait`, beside it `work`. One module a way to run it."""
