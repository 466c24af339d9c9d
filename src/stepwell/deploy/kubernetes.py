"""Kubernetes: a Job that brings the databases to their next version, and a Deployment that runs the jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from textwrap import indent

from stepwell.deploy.facts import FINAL, UP, WORK, Facts, Files

SECRET = """\
# The Secret must hold {variables}, and is made beside these files, never in them:
#   kubectl create secret generic {secret} --from-env-file=the.env
"""

JOB = """\
# Run it with `kubectl create -f up.yaml` (a new name each time), then wait for it:
#   kubectl wait --for=condition=complete --timeout={deadline}s job/NAME
{about}apiVersion: batch/v1
kind: Job
metadata:
  generateName: {name}-up-
  labels: {labels}
spec:
{job}
"""

JOB_SPEC = """\
# A run that was killed is begun again, and goes on behind the last statement that is done.
backoffLimit: {retries}
activeDeadlineSeconds: {deadline}
ttlSecondsAfterFinished: 604800
podFailurePolicy:
  rules:
    # What no repetition mends: files, differences, a statement in doubt, a check, the doctor's findings.
    - action: FailJob
      onExitCodes:
        containerName: stepwell
        operator: In
        values: {final}
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
template:
  metadata:
    labels: {labels}
  spec:
    restartPolicy: Never
{pod}
"""

DEPLOYMENT = """\
{about}apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}-work
  labels: {labels}
spec:
{deployment}
"""

DEPLOYMENT_SPEC = """\
# Any number may run: one at a time holds a job's lease, the others are there when it dies.
replicas: 2
selector:
  matchLabels: {labels}
template:
  metadata:
    labels: {labels}
  spec:
{pod}
"""

POD = """\
automountServiceAccountToken: false
# SIGTERM ends a run in order: the batch under way is finished.
terminationGracePeriodSeconds: 60
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: stepwell
    image: {image}
    workingDir: /app
    command: {command}
    env:
{environment}
    resources:
      requests:
        cpu: 100m
        memory: 128Mi
      limits:
        memory: 512Mi
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    volumeMounts:
      - name: tmp
        mountPath: /tmp
volumes:
  - name: tmp
    emptyDir: {{}}
"""


def files(facts: Facts) -> Files:
    about = SECRET.format(variables=", ".join(facts.variables) or "nothing", secret=facts.name)
    image = json.dumps(facts.image)

    def labels(part: str) -> str:
        return f"{{app.kubernetes.io/name: {facts.name}, app.kubernetes.io/component: {part}}}"

    up = job_spec(facts, labels("up"), pod(facts, image, facts.name, UP))
    work = deployment_spec(labels("work"), pod(facts, image, facts.name, WORK))
    shared = {"name": facts.name, "about": about}
    return {
        "up.yaml": JOB.format(job=indent(up, "  "), labels=labels("up"), deadline=facts.deadline, **shared),
        "work.yaml": DEPLOYMENT.format(deployment=indent(work, "  "), labels=labels("work"), **shared),
    }


def job_spec(facts: Facts, labels: str, pod: str) -> str:
    """What a Job is made of, its pod given."""
    return JOB_SPEC.format(
        retries=facts.retries,
        deadline=facts.deadline,
        final=list(FINAL),
        labels=labels,
        pod=indent(pod, " " * 4),
    ).rstrip()


def deployment_spec(labels: str, pod: str) -> str:
    """What a Deployment is made of, its pod given."""
    return DEPLOYMENT_SPEC.format(labels=labels, pod=indent(pod, " " * 4)).rstrip()


def pod(facts: Facts, image: str, secret: str, arguments: Sequence[str]) -> str:
    """A pod that runs `stepwell ARGUMENTS`, as nobody in particular, on a file system that it can't write to."""
    environment = "".join(
        f"- name: {name}\n  valueFrom:\n    secretKeyRef:\n      name: {secret}\n      key: {name}\n"
        for name in facts.variables
    )
    environment += "- name: STEPWELL_ACTOR\n  valueFrom:\n    fieldRef:\n      fieldPath: metadata.name\n"
    return POD.format(
        image=image,
        command=json.dumps(["stepwell", *arguments]),
        environment=indent(environment.rstrip(), " " * 6),
    ).rstrip()
