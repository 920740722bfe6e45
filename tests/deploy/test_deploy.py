"""The server deployment: its files, and what can be started of it without containers."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.support.command import until
from tests.support.compose_deployment import DEPLOY, PROGRAMS, ComposeDeployment, compose
from tests.support.postgres import Postgres

COMPOSE_FILES = sorted(path.name for path in DEPLOY.glob("compose*.yaml"))
BUCKET = "images"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, seaweed: SeaweedFS) -> Iterator[ComposeDeployment]:
    seaweed.create_bucket(BUCKET)
    with (
        Postgres() as postgres,
        ComposeDeployment(tmp_path_factory.mktemp("deployed"), postgres, seaweed, BUCKET) as served,
    ):
        yield served


def keys(store: SeaweedFS, prefix: str) -> list[str]:
    """The keys of the bucket below a prefix."""
    pages = store.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_a_run_under_postgres_and_s3(deployed: ComposeDeployment, seaweed: SeaweedFS, origin: Origin):
    until(lambda: deployed.health("daemon").returncode == 0, 90, "the daemon's health check passes")
    for role in ("code", "webserver", "daemon"):
        assert deployed.health(role, cold=True).returncode == 0

    urls = [origin.url(f"jpeg/small-dawn.jpg?deployed={n}") for n in range(40)]
    seaweed.client().put_object(Bucket=BUCKET, Key="lists/birds.txt", Body="\n".join(urls).encode())
    run_id = deployed.launch({"manifest": f"s3://{BUCKET}/lists/birds.txt"})
    assert deployed.wait_for(run_id) == "SUCCESS", deployed.log.read_text()[-3000:]
    assert deployed.tags(run_id)["imgrelay/results"] == "40 of 40"
    images = [key for key in keys(seaweed, "framed/") if "/_relay/" not in key]
    assert len(images) == 40
    assert f"framed/_relay/birds/runs/{run_id}/summary.json" in keys(seaweed, "framed/_relay/birds/runs/")
    assert sorted(path.name for path in deployed.home.iterdir()) == ["dagster.yaml", "workspace.yaml"]


def test_a_container_that_is_told_to_stop_lets_its_run_end(
    deployed: ComposeDeployment, seaweed: SeaweedFS, origin: Origin
):
    urls = [origin.url(f"jpeg/small-dawn.jpg?stopped={n}") for n in range(120)]
    seaweed.client().put_object(Bucket=BUCKET, Key="lists/wasps.txt", Body="\n".join(urls).encode())
    run_id = deployed.launch({"manifest": f"s3://{BUCKET}/lists/wasps.txt", "urls_per_task": 20})
    until(lambda: keys(seaweed, "framed/_relay/wasps/receipts/"), 120, "the first receipts are put")
    code = deployed.roles["code"]
    code.terminate()
    code.wait(110)
    assert deployed.status(run_id) == "SUCCESS"
    assert deployed.tags(run_id)["imgrelay/results"] == "120 of 120"
    deployed.start_role("code")
    deployed.wait_until_healthy("code")


def test_a_run_killed_with_its_container_is_continued_once_it_is_back(
    deployed: ComposeDeployment, seaweed: SeaweedFS, origin: Origin
):
    urls = [origin.url(f"jpeg/small-dawn.jpg?killed={n}") for n in range(400)]
    seaweed.client().put_object(Bucket=BUCKET, Key="lists/bees.txt", Body="\n".join(urls).encode())
    run_id = deployed.launch({"manifest": f"s3://{BUCKET}/lists/bees.txt", "urls_per_task": 20})
    until(lambda: keys(seaweed, "framed/_relay/bees/receipts/"), 120, "the first receipts are put")
    code = deployed.roles["code"]
    os.killpg(code.pid, signal.SIGKILL)
    code.wait(20)
    until(lambda: not deployed.run_processes(), 30, "the run is gone with its container")
    deployed.start_role("code")
    (again,) = until(lambda: deployed.retries(run_id), 180, "the run is started again")
    assert deployed.status(run_id) == "FAILURE"
    assert deployed.wait_for(again) == "SUCCESS"
    assert deployed.tags(again)["imgrelay/results"] == "400 of 400"


@pytest.mark.parametrize("file", COMPOSE_FILES)
def test_compose_files_are_what_docker_compose_reads(file: str):
    checked = subprocess.run(
        [PROGRAMS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dockerfile_passes_its_linter():
    checked = subprocess.run(
        [PROGRAMS / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout


def asked_for(value: Any) -> set[str]:
    """The names of environment variables that a Dagster file reads."""
    if isinstance(value, dict):
        own = {value["env"]} if isinstance(value.get("env"), str) else set()
        return own.union(*map(asked_for, value.values()))
    return set().union(*map(asked_for, value)) if isinstance(value, list) else set()


ROLES = ["code", "webserver", "daemon", "migrate", "worker"]


def service_of(role: str) -> dict[str, Any]:
    return compose("compose.yaml", "compose.workers.yaml")[role] if role == "worker" else compose()[role]


@pytest.mark.parametrize("role", ROLES)
def test_every_container_is_given_what_the_dagster_files_read(role: str):
    files = ("dagster.yaml",) if role == "worker" else ("dagster.yaml", "workspace.yaml")
    wanted = set().union(*(asked_for(yaml.safe_load((DEPLOY / file).read_text())) for file in files))
    in_image = set(re.findall(r"^ +(IMGRELAY_\w+)=", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    assert "IMGRELAY_POSTGRES_PASSWORD" in wanted
    assert wanted <= {*service_of(role)["environment"], *in_image}


@pytest.mark.parametrize("role", ROLES)
def test_no_container_of_ours_can_change_its_own_files(role: str):
    service = service_of(role)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert re.search(r"^USER 10001", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_secrets_are_in_no_file():
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix not in (".md", ".lock"):
            for name, value in re.findall(
                r"(\w*(?:PASSWORD|SECRET|ACCESS_KEY|WEBHOOK)\w*) *[:=] *(\S+)", path.read_text()
            ):
                assert value.startswith(("${", "#")), f"{path.name} gives {name} a value"


def test_nothing_is_open_to_the_network_by_itself():
    published = [
        port for file in COMPOSE_FILES for service in compose(file).values() for port in service.get("ports", [])
    ]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
