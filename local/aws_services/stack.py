"""The services of a local run: PostgreSQL and an AWS stand-in on a Docker network of their own."""

from __future__ import annotations

import argparse
import base64
import csv
import io
import secrets
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container

from local.aws_services import fake_s3, service_image
from local.aws_services.fake_s3 import FakeS3Service
from local.errors import ServiceError
from local.machine import resources
from local.machine.aws_client import REGION, aws_client, put_folder, split_s3_uri
from local.machine.client import engine
from local.machine.console import guarded, say
from local.machine.containers import folder_files, put_files
from local.machine.waiting import until

_AWS_PORT = 5000
_POSTGRES_PORT = 5432
_REGISTRY_PORT = 5000
PYTHON = "/opt/services/bin/python"
"""The interpreter of the services image. Modules of this project are run by it in the folder ``HOME``."""
HOME = "/opt"
_LOCAL = Path(__file__).parents[1]
_READY_TIMEOUT = 60.0
_PUBLISHED_TIMEOUT = 5.0
_POSTGRES = (
    "postgres",
    "-c", "listen_addresses=*",
    "-c", "fsync=off",
    "-c", "synchronous_commit=off",
    "-c", "full_page_writes=off",
    "-c", "max_connections=300",
)  # fmt: skip
_PSQL = ("psql", "--no-psqlrc", "--quiet", "--csv", "--set=ON_ERROR_STOP=1")
_SCRIPT = "SQL_SCRIPT"


class Stack:
    """PostgreSQL and S3 for containers on ``network``; everything is removed when the block ends, unless it is kept."""

    def __init__(self, name: str | None = None) -> None:
        """Nothing is started before the block is entered.

        ``name``: of the run, for one that is to be kept; other runs have an id of their own.
        """
        self.run_id = name or secrets.token_hex(4)
        self.labels = resources.labels(self.run_id, kept=name is not None)
        self.network = f"airflow-ecs-{self.run_id}"
        self.client = engine()
        self.fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        # Of this run alone: Airflow 2 writes *** in place of a password wherever it stands in a task's log, so none
        # that is a common word will do.
        self.postgres_password = secrets.token_hex(16)
        self._guard = ExitStack()
        self._postgres: Container | None = None
        self._aws: Container | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Stack:
        """Start the services and wait until they answer."""
        image = service_image.ensure_image()
        self._guard.enter_context(resources.terminating_like_an_exception())
        self._guard.callback(self.close)
        try:
            resources.remove_abandoned(self.client)
            self.client.networks.create(self.network, labels=self.labels)
            self._postgres = self.start(image, _POSTGRES, name="postgres", port=_POSTGRES_PORT)
            self._aws = self.start(
                image,
                [PYTHON, "-m", "local.aws_services.moto_server", "-H", "0.0.0.0", "-p", str(_AWS_PORT)],
                name="aws",
                port=_AWS_PORT,
                environment={"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
                files=sources("aws_services"),
                working_dir=HOME,
            )
            self._wait_for_postgres()
            self.query("postgres", "ALTER ROLE airflow PASSWORD :'password'", password=self.postgres_password)
            wait_for_http(f"{self.aws_endpoint}/moto-api/", self._aws, "the AWS stand-in")
        except BaseException as error:
            self._guard.close()
            if isinstance(error, APIError):
                raise ServiceError(f"The engine could not start the services: {error.explanation}") from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove everything this stack started."""
        self._guard.close()

    def keep(self) -> None:
        """Let everything run on when the block ends: ``python -m local.aws_services.stack down --all`` removes it."""
        self._guard.pop_all()

    def close(self) -> None:
        """Remove this run's containers, images, network and volumes."""
        resources.remove_run(self.client, self.run_id)

    def start_registry(self) -> str:
        """Start an empty image registry and return its address for this machine: ``127.0.0.1:port``."""
        registry = self.start(
            service_image.ensure_image(),
            ("docker-registry", "serve", "/opt/registry.yaml"),
            name="registry",
            port=_REGISTRY_PORT,
            labels={resources.REGISTRY_LABEL: str(_REGISTRY_PORT)},
        )
        address = f"127.0.0.1:{published_port(registry, _REGISTRY_PORT)}"
        wait_for_http(f"http://{address}/v2/", registry, "the image registry")
        return address

    # Containers

    def create(
        self,
        image: str,
        command: Sequence[str],
        *,
        name: str | None = None,
        part: str | None = None,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Container:
        """Create a container on the stack's network, reachable there as ``name``; docker-py's options pass.

        ``part``: what `docker ps` calls it, unless that is ``name``.
        """
        title = f"{self.network}-{part or name or 'run'}-{secrets.token_hex(3)}"
        return self.client.containers.create(
            image,
            list(command),
            name=title,
            environment=dict(environment or {}),
            labels={**options.pop("labels", {}), **self.labels},
            network=self.network,
            networking_config={self.network: self.client.api.create_endpoint_config(aliases=[name] if name else [])},
            **options,
        )

    def start(
        self,
        image: str,
        command: Sequence[str],
        *,
        name: str,
        port: int,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, Mapping[str, bytes]] | None = None,
        **options: Any,
    ) -> Container:
        """Start a service container with one port published on the loopback interface, ``files`` put in first."""
        ports = {f"{port}/tcp": ("127.0.0.1", None)}
        container = self.create(image, command, name=name, environment=environment, ports=ports, **options)
        put_files(container, files or {})
        container.start()
        return container

    def _wait_for_postgres(self) -> None:
        """Wait until PostgreSQL accepts connections."""
        postgres = self._running(self._postgres)

        def ready() -> bool:
            fail_if_ended(postgres, "PostgreSQL")
            return bool(postgres.exec_run(["pg_isready", "--quiet", "--dbname=postgres"]).exit_code == 0)

        until(ready, _READY_TIMEOUT, "PostgreSQL ready", pause=0.05, explain=lambda: tail(postgres))

    @staticmethod
    def _running(container: Container | None) -> Container:
        if container is None:
            raise ServiceError("The stack is not started: use it as a context manager")
        return container

    # PostgreSQL

    @property
    def postgres_address(self) -> tuple[str, int]:
        """Host and port of PostgreSQL for programs on this machine."""
        return "127.0.0.1", published_port(self._running(self._postgres), _POSTGRES_PORT)

    def name_postgres(self, host: str) -> None:
        """Give PostgreSQL a further name on the network; open connections break."""
        postgres = self._running(self._postgres)
        network = self.client.networks.get(self.network)
        network.disconnect(postgres)
        network.connect(postgres, aliases=["postgres", host])

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        self.query("postgres", f'CREATE DATABASE "{name}"')

    def query(self, database: str, sql: str, **variables: str) -> list[dict[str, str]]:
        """Run SQL in PostgreSQL and return its rows; every value is text, NULL is an empty one.

        A variable stands in it as ``:'name'``, as in psql: it needs no quotes, and no process list and no message has
        its value. Raises ServiceError where PostgreSQL refuses it.
        """
        script = "".join(f"\\getenv {name} {name}\n" for name in variables) + sql
        settings = {"PGOPTIONS": "--client-min-messages=error", _SCRIPT: script, **variables}
        command = ["sh", "-c", f'printf %s "${_SCRIPT}" | exec "$@"', "sh", *_PSQL, f"--dbname={database}"]
        done = self._running(self._postgres).exec_run(command, environment=settings)
        assert isinstance(done.output, bytes)
        output = done.output.decode(errors="replace")
        if done.exit_code != 0:
            raise ServiceError(f"PostgreSQL refused {sql!r}: {output.strip()}")
        return list(csv.DictReader(io.StringIO(output, newline="")))

    # AWS

    @property
    def aws_endpoint(self) -> str:
        """Address of the AWS stand-in for programs on this machine."""
        return f"http://127.0.0.1:{published_port(self._running(self._aws), _AWS_PORT)}"

    def aws_environment(self) -> dict[str, str]:
        """Fake credentials, region and endpoint for containers on the network."""
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://aws:{_AWS_PORT}",
        }

    def aws_client(self, service: str) -> Any:
        """Return a boto3 client of the AWS stand-in."""
        return aws_client(service, self.aws_endpoint)

    def upload_folder(self, folder: Path, s3_uri: str) -> int:
        """Upload a folder's files under ``s3://bucket/prefix``, making the bucket; return how many."""
        s3 = self.aws_client("s3")
        with self._lock:  # A bucket made twice at the same moment loses what the first has got.
            s3.create_bucket(Bucket=split_s3_uri(s3_uri)[0])
        count = put_folder(s3, folder, s3_uri)
        s3.close()
        return count

    def start_fake_s3(self, latency: float = 0.0) -> FakeS3Service:
        """Start the fake S3, for what the AWS stand-in cannot: latency, faults, and a thousand files at once."""
        container = self.start(
            service_image.ensure_image(),
            [PYTHON, "-m", "local.fakes.s3", "--port", str(fake_s3.PORT), "--latency", str(latency)],
            name=fake_s3.NAME,
            port=fake_s3.PORT,
            files=sources("fakes"),
            working_dir=HOME,
        )
        endpoint = f"http://127.0.0.1:{published_port(container, fake_s3.PORT)}"
        wait_for_http(f"{endpoint}/-/requests", container, "the fake S3")
        return FakeS3Service(endpoint)

    def airflow_secrets(self, database: str | None = None) -> dict[str, str]:
        """Return the secrets of an Airflow container on the network: the fernet key and the database connection."""
        environment = {"AIRFLOW__CORE__FERNET_KEY": self.fernet_key}
        if database is not None:
            place = f"postgres:{_POSTGRES_PORT}/{database}"
            connection = f"postgresql+psycopg2://airflow:{self.postgres_password}@{place}"
            environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = connection
        return environment


def sources(package: str) -> dict[str, dict[str, bytes]]:
    """Return the modules of a package of ``local`` as files of a services container, for the programs in it."""
    files = {f"local/{package}/{name}": content for name, content in folder_files(_LOCAL / package).items()}
    return {HOME: {"local/__init__.py": b"", **files}}


def published_port(container: Container, port: int) -> int:
    """Return the port of this machine behind a container's published port."""

    def published() -> int | None:
        found = container.ports.get(f"{port}/tcp")
        if found:
            return int(found[0]["HostPort"])
        fail_if_ended(container, container.name or "a service")  # which looks at the container anew
        return None

    return until(published, _PUBLISHED_TIMEOUT, f"port {port} of {container.name} is published", pause=0.05)


def tail(container: Container, lines: int = 25) -> str:
    """Return the end of a container's output."""
    output: bytes = container.logs(tail=lines)
    return output.decode(errors="replace").rstrip()


def fail_if_ended(container: Container, what: str) -> None:
    """Raise ServiceError with the container's last lines when it has ended."""
    container.reload()
    if container.status in ("exited", "dead"):
        code = container.attrs["State"]["ExitCode"]
        raise ServiceError(f"{what} ended with exit code {code}:\n{tail(container)}")


def wait_for_http(url: str, container: Container, what: str, timeout: float = _READY_TIMEOUT) -> None:
    """Wait until a container's address answers with success."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    refusal = ""

    def answers() -> bool:
        nonlocal refusal
        try:
            with direct.open(url, timeout=5):
                return True
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            fail_if_ended(container, what)
            refusal = str(error)
            return False

    until(
        answers,
        timeout,
        f"{what} answers",
        pause=0.1,
        explain=lambda: f"{refusal}; its last lines:\n{tail(container)}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: ``python -m local.aws_services.stack down [--all]``."""
    parser = argparse.ArgumentParser(prog="python -m local.aws_services.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    down = commands.add_parser("down", help="remove what killed runs left behind")
    down.add_argument("--all", action="store_true", help="living runs too")
    options = parser.parse_args(arguments)
    client = engine()
    count = resources.remove_all(client) if options.all else resources.remove_abandoned(client)
    say(f"Removed {count} containers, networks and volumes of local runs")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
