"""A Helm chart: the Job as a hook before installing and upgrading, the Deployment as a part of the release."""

from __future__ import annotations

import json
from textwrap import indent

from stepwell.deploy.facts import UP, WORK, Facts, Files
from stepwell.deploy.kubernetes import deployment_spec, job_spec, pod

CHART = """\
apiVersion: v2
name: {name}-stepwell
description: Brings the databases of {name} to their next version before an upgrade, and runs their jobs.
type: application
version: 0.1.0
"""

VALUES = """\
image: {image}
# A Secret that is there before the chart is installed, for the hook runs first. It must hold
# {variables}.
secret: {name}
"""

HOOK = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{{{ .Release.Name }}}}-up-{{{{ .Release.Revision }}}}
  labels: {labels}
  annotations:
    # Helm waits for it, for 5 minutes unless told otherwise (`helm upgrade --timeout {deadline}s`), and upgrades
    # nothing if it fails. One that failed stays, for its log.
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: "-5"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
{job}
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{{{ .Release.Name }}}}-work
  labels: {labels}
spec:
{deployment}
"""


def files(facts: Facts) -> Files:
    def labels(part: str) -> str:
        return f"{{app.kubernetes.io/instance: {{{{ .Release.Name | quote }}}}, app.kubernetes.io/component: {part}}}"

    image, secret = "{{ .Values.image | quote }}", "{{ .Values.secret | quote }}"
    up = job_spec(facts, labels("up"), pod(facts, image, secret, UP))
    work = deployment_spec(labels("work"), pod(facts, image, secret, WORK))
    variables = ", ".join(facts.variables) or "nothing"
    return {
        "Chart.yaml": CHART.format(name=facts.name),
        "values.yaml": VALUES.format(image=json.dumps(facts.image), name=facts.name, variables=variables),
        "templates/up.yaml": HOOK.format(labels=labels("up"), deadline=facts.deadline, job=indent(up, "  ")),
        "templates/work.yaml": DEPLOYMENT.format(labels=labels("work"), deployment=indent(work, "  ")),
    }
