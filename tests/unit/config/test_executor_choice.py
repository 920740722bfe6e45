"""Which executor is chosen, and what is refused before a run is created, with a sentence that names the solution."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.execution.celery.settings import broker_priority
from imgrelay_dagster.execution.executors import chosen_executor
from imgrelay_dagster.relay.errors import RelayError
from tests.conftest import Ran
from tests.support import warm_start

CELERY = {
    "IMGRELAY_EXECUTOR": "celery",
    "IMGRELAY_CELERY_BROKER": "redis://:hidden@127.0.0.1:1/0",
    "IMGRELAY_STAGING": "s3://scratch",
    "IMGRELAY_DESTINATION": "s3://images",
}
URL = "http://127.0.0.1/x.jpg"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """That of a host of a cluster."""
    for name, value in CELERY.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("IMGRELAY_EXECUTOR", "ray", r"IMGRELAY_EXECUTOR 'ray' is not one of multiprocess, celery, k8s"),
        ("IMGRELAY_CELERY_BROKER", "", r"IMGRELAY_CELERY_BROKER is not set; give .* redis://host:6379/0"),
        ("IMGRELAY_CELERY_BROKER", "sqs://me:hidden@host", r"BROKER 'sqs://host' is neither a Redis .* nor a RabbitMQ"),
        ("IMGRELAY_STAGING", "scratch", r"staging 'scratch' is a folder of one host.*set IMGRELAY_STAGING"),
        ("IMGRELAY_CELERY_LOST_AFTER", "soon", r"IMGRELAY_CELERY_LOST_AFTER 'soon' is not a number of seconds from 2"),
        ("IMGRELAY_CELERY_LOST_AFTER", "1", r"IMGRELAY_CELERY_LOST_AFTER '1' is not a number of seconds from 2"),
    ],
)
def test_an_executor_that_cannot_work_is_refused(
    environment: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(RelayError, match=sentence):
        chosen_executor()


@pytest.mark.parametrize("name", ["celery", "k8s"])
def test_folders_of_one_host_are_refused_where_steps_run_elsewhere(
    environment: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    environment.setenv("IMGRELAY_EXECUTOR", name)
    assert RelayConfig.checked({"urls": [URL]}).destination == "s3://images"
    environment.setenv("IMGRELAY_MANIFESTS", str(tmp_path))
    with pytest.raises(RelayError, match=rf"manifest '/.*birds.txt' is a folder of one host.*EXECUTOR={name}"):
        RelayConfig.checked({"manifest": "birds.txt"})
    environment.setenv("IMGRELAY_DESTINATION", str(tmp_path))
    with pytest.raises(RelayError, match=r"destination '/.*' is a folder of one host.*set IMGRELAY_DESTINATION"):
        RelayConfig.checked({"urls": [URL]})


def test_steps_at_once_follow_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("IMGRELAY_MAX_CONCURRENT", "96")
    assert RelayConfig.checked({"urls": [URL]}).max_concurrent == 96
    assert RelayConfig.checked({"urls": [URL], "max_concurrent": 3}).max_concurrent == 3
    environment.setenv("IMGRELAY_MAX_CONCURRENT", "many")
    with pytest.raises(RelayError, match="IMGRELAY_MAX_CONCURRENT 'many' is not a whole number from 1 to 512"):
        RelayConfig.checked({"urls": [URL]})


def test_what_was_begun_comes_first_with_either_broker(environment: pytest.MonkeyPatch) -> None:
    plan, upload, compose, download = 4, 3, 2, 1
    redis = [broker_priority(op) for op in (plan, upload, compose, download)]
    assert redis == sorted(redis), "Redis serves the lowest number first"
    environment.setenv("IMGRELAY_CELERY_BROKER", "amqp://127.0.0.1//")
    rabbit = [broker_priority(op) for op in (plan, upload, compose, download)]
    assert rabbit == sorted(rabbit, reverse=True), "RabbitMQ serves the highest number first"


def test_a_broker_that_does_not_answer_is_told_of_before_there_is_a_run(imgrelay: Any, home: Path) -> None:
    ran: Ran = imgrelay("run", URL, **CELERY)
    assert ran.code == 2
    assert re.search(r"broker 'redis://127\.0\.0\.1:1/0' cannot be reached: .*refused.*IMGRELAY_CELERY_BROKER", ran.err)
    assert "hidden" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    assert not list((home / "history").glob("runs/*-*.db"))


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("celery", "dagster_celery", "celery"), ("k8s", "dagster_k8s", "kubernetes")]
)
def test_a_missing_extra_is_named(name: str, module: str, extra: str) -> None:
    hidden = (
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec.__func__\n"
        f"hide = lambda cls, name, *rest: None if name == {module!r} else find(cls, name, *rest)\n"
        "PathFinder.find_spec = classmethod(hide)\n"
        "from imgrelay_dagster.config.executor_choice import executor_name\n"
        "executor_name()\n"
    )
    ran = _python(hidden, IMGRELAY_EXECUTOR=name)
    assert ran.returncode == 1
    assert f"RelayError: IMGRELAY_EXECUTOR is {name}, which is not installed: " in ran.stderr
    assert f"pip install 'imgrelay-dagster[{extra}]'" in ran.stderr


SHOWN = """
import json
from imgrelay_dagster.definitions import defs
job = defs.get_repository_def().get_job("relay")
tags = {node.name: node.definition.tags["dagster-celery/priority"] for node in job.graph.nodes}
print(json.dumps([job.executor_def.name, tags]))
"""


@pytest.mark.parametrize("name", ["celery", "k8s"])
def test_definitions_load_with_the_executor(name: str) -> None:
    shown = _python(SHOWN, **{**CELERY, "IMGRELAY_EXECUTOR": name})
    assert shown.returncode == 0, shown.stderr
    priorities = {"plan": "4", "download": "1", "compose": "2", "upload": "3", "report": "4"}
    assert json.loads(shown.stdout) == [name, priorities]


def _python(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return warm_start.run([sys.executable, "-c", code], env={**os.environ, **environment}, timeout=120)
