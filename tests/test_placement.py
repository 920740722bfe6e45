"""Which executor is chosen, and what is refused at once: before a run is made, in a sentence that says the way out."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran, command_environment

CELERY = {
    "IMGRELAY_EXECUTOR": "celery",
    "IMGRELAY_CELERY_BROKER": "redis://:hidden@127.0.0.1:1/0",
    "IMGRELAY_STAGING": "s3://scratch",
    "IMGRELAY_DESTINATION": "s3://images",
}
URL = "http://127.0.0.1/x.jpg"


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in CELERY.items() if name not in names}


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"IMGRELAY_EXECUTOR": "ray"}, r"IMGRELAY_EXECUTOR 'ray' is unknown; there are multiprocess, celery, k8s"),
        (without("IMGRELAY_CELERY_BROKER"), r"IMGRELAY_CELERY_BROKER is not set; give .* redis://host:6379/0"),
        (without("IMGRELAY_STAGING"), r"staging '/.*' is a folder of one host.*set IMGRELAY_STAGING"),
        (without("IMGRELAY_DESTINATION"), r"destination '/.*out' is a folder of one host.*set IMGRELAY_DESTINATION"),
        (CELERY, r"broker 'redis://127\.0\.0\.1:1/0' cannot be reached: .*refused.*set IMGRELAY_CELERY_BROKER"),
        (
            {**CELERY, "IMGRELAY_CELERY_LOST_AFTER": "soon"},
            r"IMGRELAY_CELERY_LOST_AFTER 'soon' is no number of seconds",
        ),
        ({**CELERY, "IMGRELAY_MAX_CONCURRENT": "many"}, r"IMGRELAY_MAX_CONCURRENT 'many' is no number from 1 to 512"),
        ({**CELERY, "IMGRELAY_EXECUTOR": "k8s", "IMGRELAY_STAGING": ""}, r"with IMGRELAY_EXECUTOR=k8s steps run on"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(imgrelay: Any, environment: dict[str, str], sentence: str) -> None:
    ran: Ran = imgrelay("run", URL, **environment)
    assert ran.code == 2, ran.err
    assert re.search(sentence, ran.err), ran.err
    assert "hidden" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1, ran.err


def test_a_local_manifest_is_refused_where_steps_run_elsewhere(imgrelay: Any, tmp_path: Path) -> None:
    (tmp_path / "birds.txt").write_text(URL)
    ran: Ran = imgrelay("run", "--manifest", "birds.txt", **CELERY)
    assert ran.code == 2
    assert re.search(r"manifest '/.*birds.txt' is a folder of one host", ran.err), ran.err


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("celery", "dagster_celery", "celery"), ("k8s", "dagster_k8s", "kubernetes")]
)
def test_a_missing_extra_is_named(tmp_path: Path, name: str, module: str, extra: str) -> None:
    hidden = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec.__func__\n"
        f"hide = lambda cls, name, *rest: None if name == {module!r} else find(cls, name, *rest)\n"
        "PathFinder.find_spec = classmethod(hide)\n"
        "from imgrelay_dagster.cli import main\n"
        f"sys.exit(main(['run', {URL!r}]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", hidden],
        cwd=tmp_path,
        env=command_environment(tmp_path, **{**CELERY, "IMGRELAY_EXECUTOR": name}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 2
    assert f"pip install 'imgrelay-dagster[{extra}]'" in ran.stderr


NAMES = """
import json
from imgrelay_dagster.definitions import defs
job = defs.get_repository_def().get_job("relay")
tags = {node.name: node.definition.tags for node in job.graph.nodes}
print(json.dumps([job.executor_def.name, {name: tag["dagster-celery/priority"] for name, tag in tags.items()}]))
"""


@pytest.mark.parametrize("name", ["celery", "k8s"])
def test_definitions_load_with_the_executor(tmp_path: Path, name: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", NAMES],
        cwd=tmp_path,
        env={**os.environ, **CELERY, "IMGRELAY_EXECUTOR": name},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() == (
        f'["{name}", {{"compose": "2", "download": "1", "plan": "4", "report": "4", "upload": "3"}}]'
    )
