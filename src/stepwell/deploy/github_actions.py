"""GitHub Actions: the linter on every change of a script, and the release on request or on the main branch."""

from __future__ import annotations

from stepwell.deploy.facts import Facts, Files

WORKFLOW = """\
name: databases

on:
  pull_request:
  push:
    branches: [main]
  workflow_dispatch:

permissions:
  contents: read

jobs:
  lint:
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install "stepwell[all]"
      # It connects to nothing, and must not have the secrets; but a URL tells the engine, so these are variables of the
      # repository, such as postgresql://lint/any.
      - run: stepwell lint --format github{lint_environment}

  up:
    if: github.event_name != 'pull_request'
    runs-on: ubuntu-latest
    # Who may release is said in the settings of this environment, and so are its secrets.
    environment: production
    # One release at a time, and none is ended in its midst.
    concurrency:
      group: databases
      cancel-in-progress: false
    timeout-minutes: {minutes}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install "stepwell[all]"
      - run: stepwell up --wait --yes
        env:
          STEPWELL_ACTOR: ${{{{ github.actor }}}}
{environment}
"""


def files(facts: Facts) -> Files:
    lint = "".join(f"\n          {name}: ${{{{ vars.{name} }}}}" for name in facts.variables)
    return {
        "stepwell.yml": WORKFLOW.format(
            minutes=min(360, facts.deadline // 60),  # the longest that a hosted runner has
            environment="\n".join(f"          {name}: ${{{{ secrets.{name} }}}}" for name in facts.variables),
            lint_environment=f"\n        env:{lint}" if lint else "",
        ).rstrip()
        + "\n"
    }
