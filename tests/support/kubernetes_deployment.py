"""imgrelay as deploy/kubernetes sets it up, on a stand-in for the cluster: every role and pod a process."""

import json
from pathlib import Path
from typing import Any

from imgrelay_dagster.demo.ports import HOST
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.conftest import command_environment
from tests.support.compose_deployment import PROGRAMS, ComposeDeployment
from tests.support.helm_chart import chart_values, instance, location, location_environment
from tests.support.kubernetes_api import Job, Kubernetes
from tests.support.postgres import Postgres


class KubernetesDeployment(ComposeDeployment):
    """Code location, webserver and daemon with what the chart gives them, and runs and steps as jobs of a cluster.

    They are forked from a warm process, but for the first pod of a run and the first one of a step.
    """

    def __init__(self, folder: Path, postgres: Postgres, store: SeaweedFS, bucket: str) -> None:
        super().__init__(folder, postgres, store, bucket, warm=True)
        self._password = {"DAGSTER_PG_PASSWORD": postgres.password}
        self.cluster = Kubernetes(
            folder,
            home=self.home,
            secrets={
                "dagster-postgresql-secret": {"postgresql-password": postgres.password},
                "imgrelay-s3": store.environment(),
            },
            environment=command_environment(self.home),
        )
        self.values = chart_values()
        self._adapt()

    def _adapt(self) -> None:
        """Put into the values what whoever installs the chart has to put there."""
        given = {
            "IMGRELAY_STAGING": f"s3://{self._bucket}/scratch",
            "IMGRELAY_DESTINATION": f"s3://{self._bucket}/framed",
            "IMGRELAY_MANIFESTS": f"s3://{self._bucket}/lists",
            "IMGRELAY_INBOX": f"s3://{self._bucket}/inbox",
            "IMGRELAY_MAX_CONCURRENT": "2",
            "IMGRELAY_ALLOWED_HOSTS": HOST,
            "HOME": str(self._folder),
        }
        others = [one for one in location(self.values)["env"] if one["name"] not in given]
        location(self.values)["env"] = others + [{"name": name, "value": value} for name, value in given.items()]
        self.values["postgresql"] |= {
            "postgresqlHost": HOST,
            "postgresqlDatabase": "postgres",
            "service": {"port": self._postgres.port},
        }
        self.values["runLauncher"]["config"]["k8sRunLauncher"] |= {
            "loadInclusterConfig": False,
            "kubeconfigFile": str(self.cluster.kubeconfig),
        }
        self.values["dagsterDaemon"]["runMonitoring"]["pollIntervalSeconds"] = 5
        self.values["additionalInstanceConfig"]["local_artifact_storage"]["config"]["base_dir"] = str(
            self._folder / "artifacts"
        )

    @property
    def environment(self) -> dict[str, str]:
        """What the chart gives the code location; the other roles do not mind it."""
        given = {**location_environment(self.values), **self._store.environment(), **self._password}
        return command_environment(self.home, **given)

    def start(self) -> None:
        """Start the cluster, then what the chart starts."""
        server = {"host": HOST, "port": self._code_port, "location_name": "imgrelay"}
        self.home.chmod(0o755)
        (self.home / "dagster.yaml").write_text(json.dumps(instance(self.values)))
        (self.home / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        self.home.chmod(0o555)
        self.cluster.__enter__()
        super().start()

    def stop(self) -> list[str]:
        """Stop the roles, then the cluster."""
        left = super().stop()
        self.cluster.__exit__()
        return left

    def command(self, role: str) -> list[str]:
        """The command of a role's container, with this machine's ports and paths."""
        workspace = ["-w", str(self.home / "workspace.yaml")]
        serving = ["-h", HOST, "-p", str(self._code_port), *location(self.values)["dagsterApiGrpcArgs"]]
        program, *arguments = {
            "migrate": ["dagster", "instance", "migrate"],
            "code": ["dagster", "api", "grpc", *serving],
            "webserver": ["dagster-webserver", "-h", HOST, "-p", str(self._port), *workspace],
            "daemon": ["dagster-daemon", "run", *workspace],
        }[role]
        return [str(PROGRAMS / program), *arguments]

    def jobs(self, run_id: str) -> dict[str, list[Job]]:
        """The jobs that a run has had by the step that they were for, the run's own by ''."""
        found: dict[str, list[Job]] = {}
        for job in self.cluster.jobs:
            if job.body["metadata"]["labels"]["dagster/run-id"] == run_id:
                found.setdefault(job.step, []).append(job)
        return found

    def at_work(self, run_id: str) -> list[str]:
        """The steps of a run whose containers still go on, the run's own as ''."""
        jobs = (job for jobs in self.jobs(run_id).values() for job in jobs)
        return [job.step for job in jobs if job.process is not None and job.process.poll() is None]

    def pods_of(self, run_id: str) -> list[dict[str, Any]]:
        """The pods that a run has had."""
        return [job.pod for jobs in self.jobs(run_id).values() for job in jobs]
