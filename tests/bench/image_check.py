"""The image check, beside a pull of the image: make bench-image-check.

    .venv/bin/python tests/bench/image_check.py [--quick] [--write]

Prints a table, and exits with 1 when the check misses a target. What is measured, and how: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by its path

from images.labels import labels
from images.spec import ImageSpec
from local.aws_services.image_push import Registry
from local.aws_services.stack import Stack
from local.errors import BuildError, LocalError, ServiceError
from local.fakes.registry import (
    DOCKER_MANIFEST,
    OCI_MANIFEST,
    FakeRegistry,
    Store,
    entry,
    put_image,
    put_index,
)
from local.machine.client import engine
from local.machine.console import guarded, run, say
from tests.aws_environment import AWS_ENVIRONMENT
from tests.bench.image_contenders import AIRFLOWS, base_of, described, ours
from tests.bench.report import Figure
from tests.bench.runner import Benchmarks
from tests.paths import ROOT
from tests.releases import NEWEST_3

LATENCY = 0.05
"""Seconds before each answer of the registry."""
AT_MOST = 1.0
MOST_REQUESTS = 5
_REPOSITORY = "bench/worker"
_ECR = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{_REPOSITORY}"
_TAG = "1"  # says nothing of versions
_ROUNDS, _PULLS = 5, 3


@dataclass(frozen=True)
class Wanted:
    """What the image is, and the check has to find."""

    airflow: str
    python: str
    architecture: str


@dataclass(frozen=True)
class Bench:
    """What the benchmark is given."""

    rounds: int
    alone: bool
    """With an image that is a configuration alone, and no pull: without Docker."""
    say: Callable[[str], None]
    about: list[str] = field(default_factory=list)


def check(bench: Bench) -> list[Figure]:
    """One image, by its registry's own API and by Amazon ECR's; and by a pull."""
    if bench.alone:
        bench.about.append("an image that is a configuration alone; one check each")
        with FakeRegistry() as registry:
            wanted = Wanted(NEWEST_3.version, NEWEST_3.default_python, "amd64")
            spec = ImageSpec(wanted.airflow, wanted.python, "s3", "base")
            config = {"architecture": wanted.architecture, "os": "linux", "config": {"Labels": labels(spec, "0")}}
            _put_index(registry, put_image(registry, _REPOSITORY, "", config), OCI_MANIFEST, wanted)
            return _figures(bench, registry, wanted, None)
    with Stack() as stack:
        address = stack.start_registry()
        base = base_of(AIRFLOWS[-1])
        image = ours(base).image
        bench.about.append(f"an image on {described(base)}; medians of {bench.rounds} checks, and of {_PULLS} pulls")
        found = engine().images.get(image)
        wanted = Wanted(base.airflow, base.python, found.attrs["Architecture"])
        bench.say(f"check: pushing {image}")
        with _pushed(image, f"{address}/{_REPOSITORY}:built") as digest, Registry(address) as registry:
            _put_index(registry, digest, DOCKER_MANIFEST, wanted)
        bench.say("check: pulling it as one layer")
        pull = _seconds_of_a_pull(image, f"{address}/{_REPOSITORY}:whole")
        with FakeRegistry(upstream=address) as front:
            return _figures(bench, front, wanted, pull)


def _put_index(store: Store, digest: str, media_type: str, wanted: Wanted) -> None:
    """Put the image into an index, as builds with attestations do."""
    attestation = put_image(store, _REPOSITORY, "", {"architecture": "unknown", "os": "unknown", "config": {}})
    annotations = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest}
    entries = [
        entry(digest, f"linux/{wanted.architecture}", media_type),
        entry(attestation, "unknown/unknown", annotations=annotations),
    ]
    put_index(store, _REPOSITORY, _TAG, entries)


@contextmanager
def _pushed(image: str, name: str) -> Iterator[str]:
    """An image in a registry: the digest of its manifest. On the engine its name there is removed at the end."""
    engine().images.get(image).tag(name)
    try:
        _docker("push", "--quiet", name)
        digests = dict(found.split("@") for found in engine().images.get(name).attrs["RepoDigests"])
        yield digests[name.rpartition(":")[0]]
    finally:
        engine().images.remove(name)


def _seconds_of_a_pull(image: str, name: str) -> float:
    """Pull what is in the image, and look at its configuration; as one layer, since layers that are here stay here."""
    container = engine().containers.create(image)
    try:
        with subprocess.Popen(["docker", "export", str(container.id)], stdout=subprocess.PIPE) as export:
            done = subprocess.run(["docker", "import", "-", name], stdin=export.stdout, capture_output=True, text=True)
    finally:
        container.remove()
    if done.returncode != 0:
        raise ServiceError(f"The image could not be made into one layer: {done.stderr}")
    _docker("push", "--quiet", name)
    seconds = []
    for _ in range(_PULLS):
        engine().images.remove(name)
        began = time.perf_counter()
        _docker("pull", "--quiet", name)
        _docker("image", "inspect", name)
        seconds.append(time.perf_counter() - began)
    engine().images.remove(name)
    return statistics.median(seconds)


def _docker(*arguments: str) -> None:
    run(["docker", *arguments], error=ServiceError, failure=f"docker {arguments[0]} failed")


def _figures(bench: Bench, registry: FakeRegistry, wanted: Wanted, pull: float | None) -> list[Figure]:
    """Measure the check."""
    registry.login, registry.latency = "anonymous", LATENCY  # the executor logs in to Amazon ECR only
    own = f"{registry.host}/{_REPOSITORY}:{_TAG}"
    environment = {**AWS_ENVIRONMENT, "AWS_ENDPOINT_URL_ECR": registry.url}
    figures = []
    for title, name in (("by its registry", own), ("by Amazon ECR's API", f"{_ECR}:{_TAG}")):
        bench.say(f"check: {title}")
        seconds, requests = [], []
        for _ in range(bench.rounds):
            registry.requests.clear()
            seconds.append(_look_up(name, wanted, environment))
            requests.append(len(registry.requests))
        benchmark = f"An image of an index, checked {title}"
        figures += [
            Figure(benchmark, "time", statistics.median(seconds), pull, at_most=AT_MOST),
            Figure(benchmark, "requests", max(requests), unit="", at_most=MOST_REQUESTS, correctness=True),
        ]
    commands = [_command(own, wanted, environment) for _ in range(bench.rounds)]
    return [*figures, Figure("build.py check, by its registry", "time", statistics.median(commands), pull)]


def _look_up(name: str, wanted: Wanted, environment: Mapping[str, str]) -> float:
    """The seconds of one check, which has to find that the image fits."""
    program, env = Path(__file__).with_name("look_up.py"), {**os.environ, **environment}
    arguments = [name, wanted.airflow, wanted.python, wanted.architecture]
    output = run([sys.executable, str(program), *arguments], error=LocalError, failure="The check failed", env=env)
    answer = json.loads(output)
    if answer["outcome"] != "fits":
        raise LocalError(f"{name} should fit: {answer}")
    return float(answer["seconds"])


def _command(name: str, wanted: Wanted, environment: Mapping[str, str]) -> float:
    """The seconds of the whole command."""
    flags = ["--airflow", wanted.airflow, "--python", wanted.python, "--platform", f"linux/{wanted.architecture}"]
    command = [sys.executable, str(ROOT / "build.py"), "check", name, *flags]
    began = time.perf_counter()
    run(command, error=BuildError, failure="build.py check failed", env={**os.environ, **environment})
    return time.perf_counter() - began


def prepare(options: argparse.Namespace) -> Bench:
    """The image is built and pushed when it is needed."""
    return Bench(rounds=1 if options.quick else _ROUNDS, alone=options.quick, say=say)


BENCHMARKS = Benchmarks(
    target="bench-image-check",
    description=__doc__,
    quick="one check each, of an image that is a configuration alone",
    used_for="the check, the registry and the engine together",
    scenarios={"check": check},
    prepare=prepare,
    details=lambda bench: bench.about,
    add_options=lambda parser: [],
)


if __name__ == "__main__":
    sys.exit(guarded(BENCHMARKS.run))
