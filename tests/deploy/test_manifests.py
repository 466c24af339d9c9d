"""Manifests are what their systems' own schemas ask for, and hold no secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import projects
from projects import Project, done

WAYS = ["kubernetes", "helm", "compose", "systemd", "github-actions"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose variables are not set here: manifests are made without them."""
    folder = tmp_path / "shop"
    made = projects.make(folder, {"state": "", "analytics": ""}, {"state/0001_item": "-- timeout: 2h\nSELECT 1;\n"})
    return Project(made.folder, {})


def manifests(project: Project, way: str, *arguments: str) -> dict[str, str]:
    made = json.loads(done(project("deploy", way, str(project.folder / "made"), "--json", *arguments)))["made"]
    return {Path(path).name: Path(path).read_text() for path in made}


def valid_on_kubernetes(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    return found


def valid_by(schema: str, path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, "--default-filetype", "yaml", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def rendered(chart: dict[str, str]) -> dict[str, str]:
    """The chart's templates with all that they ask of Helm put in its place; they ask for nothing but values."""
    values = yaml.safe_load(chart["values.yaml"])
    given = {"Release.Name": "shop", "Release.Revision": "7"} | {
        f"Values.{name}": text for name, text in values.items()
    }

    def put(found: re.Match[str]) -> str:
        text = given[found[1]]
        return json.dumps(text) if found[2] else text

    templates = {name: text for name, text in chart.items() if name not in ("Chart.yaml", "values.yaml")}
    return {name: re.sub(r"\{\{ \.(\w+\.\w+)( \| quote)? \}\}", put, text) for name, text in templates.items()}


def is_safe(pod: dict[str, Any]) -> bool:
    (container,) = pod["containers"]
    rights = container["securityContext"]
    return (
        pod["securityContext"]["runAsNonRoot"]
        and rights["readOnlyRootFilesystem"]
        and not rights["allowPrivilegeEscalation"]
        and rights["capabilities"] == {"drop": ["ALL"]}
        and bool(container["resources"]["limits"])
    )


def test_kubernetes_has_a_job_with_a_new_name_each_time_and_a_worker(project: Project) -> None:
    made = manifests(project, "kubernetes", "--image", "registry.example/shop:1")
    job, work = (valid_on_kubernetes(made[name]) for name in ("up.yaml", "work.yaml"))
    assert job["metadata"]["generateName"] == "shop-up-"
    assert job["spec"]["backoffLimit"] >= 3
    assert (
        job["spec"]["activeDeadlineSeconds"] == 2 * 3600 + 900
    )  # the script's time limit, and waiting for another run
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"] == ["stepwell", "up", "--wait", "--yes"]
    assert pod["containers"][0]["image"] == "registry.example/shop:1"
    assert pod["restartPolicy"] == "Never"
    assert is_safe(pod)
    assert is_safe(work["spec"]["template"]["spec"])
    secrets = [one["valueFrom"]["secretKeyRef"] for one in pod["containers"][0]["env"][:2]]
    assert secrets == [{"name": "shop", "key": "STATE_DB_URL"}, {"name": "shop", "key": "ANALYTICS_DB_URL"}]


def test_what_no_repetition_mends_is_not_repeated(project: Project) -> None:
    job = valid_on_kubernetes(manifests(project, "kubernetes")["up.yaml"])
    rule = job["spec"]["podFailurePolicy"]["rules"][0]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2, 3, 4, 7, 8])


def test_helm_runs_the_job_before_it_installs_and_upgrades(project: Project) -> None:
    chart = manifests(project, "helm")
    assert yaml.safe_load(chart["Chart.yaml"])["apiVersion"] == "v2"
    found = rendered(chart)
    job, work = (valid_on_kubernetes(found[name]) for name in ("up.yaml", "work.yaml"))
    assert job["metadata"]["name"] == "shop-up-7"
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert is_safe(job["spec"]["template"]["spec"])
    assert work["kind"] == "Deployment"
    assert work["spec"]["template"]["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "shop"


def test_compose_brings_the_databases_up_before_the_worker(project: Project) -> None:
    text = manifests(project, "compose")["compose.yaml"]
    valid_by("vendor.compose-spec", project.folder / "made/compose.yaml")
    services = yaml.safe_load(text)["services"]
    assert services["work"]["depends_on"] == {"up": {"condition": "service_completed_successfully"}}
    assert all(service["read_only"] and service["user"] == "10001:10001" for service in services.values())
    assert services["up"]["environment"]["STATE_DB_URL"].startswith("${STATE_DB_URL:?")


def test_systemd_finds_nothing_wrong_with_the_units(project: Project) -> None:
    units = manifests(project, "systemd")
    assert sorted(units) == ["shop-up.service", "shop-work.service"]
    ended = subprocess.run(
        ["systemd-analyze", "verify", *(str(project.folder / "made" / name) for name in units)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{project.folder / 'made'}:"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not [line for line in ended.stderr.splitlines() if "shop-" in line], ended.stderr


def test_github_takes_the_workflow_as_it_is(project: Project) -> None:
    text = manifests(project, "github-actions")["stepwell.yml"]
    valid_by("vendor.github-workflows", project.folder / "made/stepwell.yml")
    valid_by("custom.github-workflows-require-timeout", project.folder / "made/stepwell.yml")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["up"]["steps"][-1]["env"]["STATE_DB_URL"] == "${{ secrets.STATE_DB_URL }}"
    # What runs the code of a pull request has no secret.
    assert jobs["lint"]["steps"][-1]["env"]["STATE_DB_URL"] == "${{ vars.STATE_DB_URL }}"
    assert "secrets." not in json.dumps(jobs["lint"])


@pytest.mark.parametrize("way", WAYS)
def test_a_project_without_a_secret_has_manifests_too(tmp_path: Path, way: str) -> None:
    (tmp_path / "stepwell.toml").write_text('[databases.state]\nurl = "sqlite:///state.db"\n')
    made = manifests(Project(tmp_path, {}), way)
    for text in made.values():
        if way != "systemd":
            yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", text))
    if way == "kubernetes":
        valid_on_kubernetes(made["up.yaml"])


@pytest.mark.parametrize("way", WAYS)
def test_the_same_project_gives_the_same_manifests_and_what_a_person_changed_stays(project: Project, way: str) -> None:
    first = manifests(project, way)
    assert manifests(project, way) == first
    name = next(iter(first))
    path = next((project.folder / "made").rglob(name))
    path.write_text(first[name] + "# ours\n")
    end = project("deploy", way, str(project.folder / "made"))
    assert end.code == 2
    assert "is there already, and says something else" in end.stderr
    assert path.read_text().endswith("# ours\n")


def test_a_password_in_the_file_is_refused_and_not_shown(project: Project) -> None:
    url = "postgresql://app:hunter2@db.example/shop"
    (project.folder / "stepwell.toml").write_text(f'[databases.state]\nurl = "{url}"\n')
    end = project("deploy", "kubernetes")
    assert end.code == 2
    assert "databases.state.url holds its password in the file" in end.stderr
    assert "hunter2" not in end.text


def test_a_file_that_is_not_as_it_must_be_is_told_as_by_any_command(project: Project) -> None:
    for text, said in (("[databases]\nstate = 1", "[databases.state] must be a table"), ("[", "is not valid TOML")):
        (project.folder / "stepwell.toml").write_text(text)
        end = project("deploy", "kubernetes")
        assert end.code == 2
        assert said in end.stderr
