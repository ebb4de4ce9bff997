"""The image check (docs/image-check.md) on what engine, Buildx and a real registry make of images.

Everything else about the check is tested without an engine, in tests/unit/images/test_check.py and
tests/unit/executor/image_check.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import docker

from images.check import is_task_definition
from local.fakes.registry import FakeRegistry
from tests.aws_environment import AWS_ENVIRONMENT
from tests.images.conftest import docker_build, label_lines
from tests.images.product import build_py
from tests.releases import NEWEST_2, OLDEST

AIRFLOW, PYTHON = NEWEST_2.version, NEWEST_2.default_python
OTHER = {"amd64": "arm64", "arm64": "amd64"}


def check(target: str, *flags: str, python: str = PYTHON) -> subprocess.CompletedProcess[str]:
    """Run `build.py check` in a process of its own."""
    done = build_py("check", target, "--airflow", AIRFLOW, "--python", python, *flags, environment=AWS_ENVIRONMENT)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def run_docker(*arguments: str) -> str:
    """The output of docker's command line."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def test_an_image_on_the_engine_needs_no_registry(dockerfile: Callable[[str], str]) -> None:
    name = dockerfile(f"FROM scratch\n{label_lines(AIRFLOW, PYTHON)}\nCOPY Dockerfile /\n")
    assert not is_task_definition(name)
    done = check(name, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["outcome"] == "fits"
    other = OLDEST.pythons[0]
    done = check(name, python=other)
    assert done.returncode == 18 and f"{PYTHON}  <- expected {other}" in done.stdout
    assert f"--airflow {AIRFLOW} --python {other}" in done.stderr


def test_of_an_index_each_platform_s_own_image_is_read(
    registry: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    own = str(client.version()["Arch"])
    other, repository = OTHER[own], f"{registry}/lookup/worker"
    for architecture, labels in ((own, label_lines(AIRFLOW, PYTHON)), (other, "LABEL io.airflow-ecs.airflow=9.9.9")):
        (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{labels}\nCOPY Dockerfile /\n")
        docker_build(tmp_path, f"{repository}:{architecture}", f"--platform=linux/{architecture}")
        run_docker("push", "--quiet", f"{repository}:{architecture}")
        client.images.remove(f"{repository}:{architecture}")
    parts = [f"{repository}:{architecture}" for architecture in (own, other)]
    run_docker("buildx", "imagetools", "create", "--tag", f"{repository}:multi", *parts)
    raw = run_docker("buildx", "imagetools", "inspect", "--raw", f"{repository}:multi")
    digests = {item["platform"]["architecture"]: item["digest"] for item in json.loads(raw)["manifests"]}
    with FakeRegistry(upstream=registry) as front:
        target = f"{front.host}/lookup/worker:multi"
        done = check(target, "--json", "--platform", f"linux/{own}")
        assert done.returncode == 0 and digests[own] in json.loads(done.stdout)["digests"]
        *manifests, configuration = front.requests
        assert manifests == ["manifests/multi", f"manifests/{digests[own]}"] and configuration.startswith("blobs/")
        done = check(target, "--json", "--platform", f"linux/{other}")
        assert done.returncode == 18
        document = json.loads(done.stdout)
        assert digests[other] in document["digests"] and document["comparisons"][0]["image"] == "9.9.9"
