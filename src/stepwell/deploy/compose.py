"""Compose: a service that ends when the databases are at their next version, and one that runs the jobs after it."""

from __future__ import annotations

import json

from stepwell.deploy.facts import UP, WORK, Facts, Files

COMPOSE = """\
# The variables come from the environment of `docker compose`, or from a file .env that is not checked in.
x-stepwell: &stepwell
  image: {image}
  working_dir: /app
  user: "10001:10001"
  read_only: true
  tmpfs: [/tmp]
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  environment:
{environment}

services:
  up:
    <<: *stepwell
    command: {up}
    # A run that was killed is begun again, and goes on behind the last statement that is done.
    restart: on-failure:{retries}
    deploy:
      resources:
        limits: {{cpus: "1.0", memory: 512M}}

  work:
    <<: *stepwell
    command: {work}
    restart: unless-stopped
    stop_grace_period: 60s
    depends_on:
      up:
        condition: service_completed_successfully
    deploy:
      resources:
        limits: {{cpus: "1.0", memory: 512M}}

  # Your application waits likewise:
  #   depends_on:
  #     up:
  #       condition: service_completed_successfully
"""


def files(facts: Facts) -> Files:
    environment = [f"    {name}: ${{{name}:?set it in the environment}}" for name in facts.variables]
    environment.append("    STEPWELL_ACTOR: ${STEPWELL_ACTOR:-compose}")
    return {
        "compose.yaml": COMPOSE.format(
            image=json.dumps(facts.image),
            environment="\n".join(environment),
            up=json.dumps(["stepwell", *UP]),
            work=json.dumps(["stepwell", *WORK]),
            retries=facts.retries,
        )
    }
