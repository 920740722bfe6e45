"""A stand-in for a Kubernetes cluster: its API for jobs and pods, and processes of this machine as their containers.

A job that Kubernetes' schema forbids is refused. A container is a process of this machine, started with
the container's arguments, variables, secrets and config maps. Image, resources, volumes and security context have no
effect; tests only check their values.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

from imgrelay_dagster.demo.ports import HOST
from tests.support import warm_start

VERSION = "1.34"
LIBRARIES = ("dagster_postgres", "psycopg2", "dagster_k8s", "dagster_webserver.app", "dagster._daemon.cli")
"""What pods, and the roles of a deployment, import beside Dagster."""
_PATH = re.compile(r"/(?:api|apis/batch)/v1/namespaces/(?P<namespace>[^/]+)/(?P<kind>jobs|pods)(?:/(?P<name>[^/]+))?")


@dataclass
class Job:
    """A job and its only pod, which has the job's name."""

    body: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    deleted: set[str] = field(default_factory=set)
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def name(self) -> str:
        return self.body["metadata"]["name"]

    @property
    def pod(self) -> dict[str, Any]:
        return self.body["spec"]["template"]["spec"]

    @property
    def step(self) -> str:
        """The key of the step that the job executes; empty for the job of a run."""
        names = {variable["name"]: variable.get("value") for variable in self.pod["containers"][0]["env"]}
        return names.get("DAGSTER_RUN_STEP_KEY") or ""

    @property
    def status(self) -> dict[str, int]:
        if self.process is None or self.process.poll() is None:
            return {"active": 1}
        return {"succeeded": 1} if self.process.returncode == 0 else {"failed": 1}

    def described(self, kind: str) -> dict[str, Any]:
        """The job, or its pod, as the API answers."""
        metadata = {**self.body["metadata"], "uid": self.uid}
        if kind == "jobs":
            return {**self.body, "metadata": metadata, "status": self.status}
        phase = {"active": "Running", "succeeded": "Succeeded", "failed": "Failed"}[next(iter(self.status))]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.pod, "status": {"phase": phase}}


class Kubernetes:
    """The cluster. It runs during a `with` block.

    Args:
        home: the folder that holds `dagster.yaml`, in place of the chart's.
        secrets: their entries by name and key.
        environment: what every container has, as from its image.
    """

    def __init__(
        self, folder: Path, *, home: Path, secrets: dict[str, dict[str, str]], environment: dict[str, str]
    ) -> None:
        self.jobs: list[Job] = []
        self.refused: list[str] = []
        self.kubeconfig, self.logs = folder / "kubeconfig", folder / "pods"
        self._home, self._secrets, self._environment = home, secrets, environment
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self.logs.mkdir()
        warm_start.session_server(*LIBRARIES)
        cluster = self

        class Handler(_Handler):
            api = cluster

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.kubeconfig.write_text(json.dumps(self._config()))
        self._threads = [threading.Thread(target=target) for target in (self._server.serve_forever, self._keep_going)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        for job in self.jobs:
            self.kill(job)

    def _config(self) -> dict[str, Any]:
        address = f"http://{HOST}:{self._server.server_address[1]}"
        context = {"cluster": "here", "user": "nobody", "namespace": "images"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "here", "context": context}],
            "current-context": "here",
        }

    def _keep_going(self) -> None:
        """Start what waits. One thread for all: on Linux a container ends with the thread that started it."""
        while not self._stopping.wait(0.05):
            with self._lock:
                waiting = [job for job in self.jobs if job.process is None and not job.deleted]
            for job in waiting:
                job.process = self._started(job)

    def _started(self, job: Job) -> subprocess.Popen[bytes]:
        (container,) = job.pod["containers"]
        program, *arguments = container["args"]
        first_of_its_kind = not any(other.process and bool(other.step) == bool(job.step) for other in self.jobs)
        with (self.logs / job.name).open("ab") as log:
            return warm_start.popen(
                [Path(sys.executable).parent / program, *arguments],
                cold=first_of_its_kind,
                death_signal=signal.SIGTERM,
                libraries=LIBRARIES,
                env=self._variables(container) | {"HOSTNAME": job.name},
                cwd=self.logs,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _variables(self, container: dict[str, Any]) -> dict[str, str]:
        found = dict(self._environment)
        for source in container.get("envFrom", []):
            found |= self._secrets[source["secretRef"]["name"]] if "secretRef" in source else {}
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                key = variable["valueFrom"]["secretKeyRef"]
                found[variable["name"]] = self._secrets[key["name"]][key["key"]]
            else:
                found[variable["name"]] = variable.get("value") or ""
        return found | {"DAGSTER_HOME": str(self._home)}

    def create(self, body: dict[str, Any]) -> Job:
        """Create a job.

        Raises:
            ValueError: Kubernetes would refuse it.
        """
        try:
            kubernetes_validate.validate({"apiVersion": "batch/v1", "kind": "Job", **body}, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            self.refused.append(str(error))
            raise ValueError(str(error)) from error
        job = Job(body)
        with self._lock:
            self.jobs.append(job)
        return job

    def find(self, kind: str, name: str | None) -> list[Job]:
        """The jobs of this name, or all, of which this part, `jobs` or `pods`, was not deleted."""
        with self._lock:
            return [job for job in self.jobs if kind not in job.deleted and name in (None, job.name)]

    def delete(self, kind: str, job: Job) -> None:
        """Delete a pod, or a job without its pod, which is this API version's default."""
        job.deleted.add(kind)
        if kind == "pods":
            threading.Thread(target=self._end, args=(job,), daemon=True).start()

    def _end(self, job: Job) -> None:
        """End a pod within its grace period, then delete the jobs that it owns."""
        if job.process is not None:
            job.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                job.process.wait(job.pod.get("terminationGracePeriodSeconds", 30))
            self.kill(job)
        for other in self.find("jobs", None):
            owners = other.body["metadata"].get("ownerReferences") or []
            if any(owner["uid"] == job.uid for owner in owners):
                self.delete("jobs", other)
                self.delete("pods", other)

    def kill(self, job: Job) -> None:
        """End a pod as if its node was lost."""
        if job.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait(20)

    def log(self, job: Job) -> str:
        """What a pod has printed."""
        return (self.logs / job.name).read_text()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Kubernetes

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self._answer(201, self.api.create(body).described("jobs"))
        except ValueError as error:
            self._answer(422, _status(422, str(error)))

    def do_GET(self) -> None:
        kind, jobs, listed = self._asked()
        if listed:
            items = [job.described(kind) for job in jobs]
            self._answer(200, {"kind": f"{kind[:-1].title()}List", "metadata": {}, "items": items})
        elif jobs:
            self._answer(200, jobs[-1].described(kind))
        else:
            self._answer(404, _status(404, "not found"))

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind, jobs, _ = self._asked()
        for job in jobs:
            self.api.delete(kind, job)
        code = 200 if jobs else 404
        self._answer(code, _status(code, "deleted" if jobs else "not found"))

    def _asked(self) -> tuple[str, list[Job], bool]:
        """Jobs or pods, those that are meant, and whether a list was asked for."""
        address = urlsplit(self.path)
        found = _PATH.match(address.path)
        if found is None:
            return "jobs", [], True
        selectors = [text for values in parse_qs(address.query).values() for text in values if "name=" in text]
        name = found["name"] or (selectors[0].partition("name=")[2] if selectors else None)
        return found["kind"], self.api.find(found["kind"], name), found["name"] is None

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def _status(code: int, message: str) -> dict[str, Any]:
    kind = "Success" if code < 400 else "Failure"
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": kind, "message": message, "code": code}
