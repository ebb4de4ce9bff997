"""Stand-ins for the official Airflow images, built from Debian and PyPI packages."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local.errors import BaseImageError
from local.machine.bases.debian import ensure_root_image
from local.machine.bases.locks import lock_file, requirements_data, resolve
from local.machine.bases.pythons import Interpreter, available_pythons, stage
from local.machine.client import engine
from local.machine.console import loud, say, step
from local.machine.image_build import docker_build

LABEL = "io.airflow-ecs.stand-in"
INPUTS_LABEL = "io.airflow-ecs.stand-in.inputs"

_IMAGE_FOLDER = Path(__file__).with_name("image")


@dataclass(frozen=True)
class Base:
    """A base image: the Airflow, Python and flavour that it holds."""

    airflow: str
    python: str
    flavour: str = "full"
    """``full`` or ``slim``."""

    @property
    def image(self) -> str:
        """Name and tag of the official image."""
        slim = "slim-" if self.flavour == "slim" else ""
        return f"apache/airflow:{slim}{self.airflow}-python{self.python}"


def requirements(base: Base) -> list[str]:
    """Return the requirement lines of a stand-in."""
    data = requirements_data()
    extras = ",".join(data["extras"][base.flavour])
    airflow = f"apache-airflow[{extras}]" if extras else "apache-airflow"
    return [f"{airflow}=={base.airflow}", *data["tools"]]


def interpreter_for(base: Base) -> Interpreter:
    """Return the interpreter of a stand-in. Raises BaseImageError if it is not available."""
    available = available_pythons()
    if base.python not in available:
        raise BaseImageError(
            f"{base.image} is not on this machine, Docker Hub cannot be reached, and no stand-in can be made: "
            f"no relocatable CPython {base.python} was found (pyenv, uv, /opt/python, /usr/local). "
            f"Pythons available for stand-ins: {', '.join(available)}."
        )
    return available[base.python]


def inputs_digest(base: Base, interpreter: Interpreter) -> str:
    """Return a digest of everything a stand-in is made from, apart from Debian's packages."""
    digest = hashlib.sha256()
    lock = lock_file(base.airflow)
    for path in (_IMAGE_FOLDER / "Dockerfile", _IMAGE_FOLDER / "entrypoint.sh", lock):
        digest.update(path.read_bytes() if path.is_file() else b"resolved at build time")
    digest.update("\n".join([*requirements(base), interpreter.version, interpreter.executable]).encode())
    return digest.hexdigest()[:16]


def announce(base: Base, interpreter: Interpreter) -> None:
    """Print a notice of what is built, and how it differs from the official image."""
    slim = base.flavour == "slim"
    content = "Airflow's core only" if slim else "Airflow with the Amazon, PostgreSQL, FAB and StatsD extras"
    origin = "Debian's own package" if interpreter.prefix is None else "a CPython copied from this machine"
    lacks = (
        "system libraries (MySQL, MSSQL, Kerberos, LDAP clients) and uv"
        if slim
        else "about twenty provider packages (Celery, Kubernetes, Docker, Google, Azure, Snowflake, ...), "
        "system libraries (MySQL, MSSQL, Kerberos, LDAP clients) and uv"
    )
    loud(
        f"NOT THE OFFICIAL IMAGE: building a stand-in for {base.image}",
        [
            "Docker Hub cannot be reached, so this image is made here from Debian and PyPI packages.",
            f"It holds {content}, on Python {interpreter.version} ({origin}).",
            f"It lacks {lacks}.",
            f"It is good for local tests and demos only: do not push it. Label: {LABEL}=true",
            f"Once Docker Hub can be reached: docker rmi {base.image}, and the official one is pulled.",
        ],
    )


def build(base: Base) -> None:
    """Build the stand-in of a base image under the official image's name."""
    interpreter = interpreter_for(base)
    digest = inputs_digest(base, interpreter)
    announce(base, interpreter)
    root_image = ensure_root_image()
    with step(f"Stand-in {base.image}"), tempfile.TemporaryDirectory(prefix="airflow-ecs-") as folder:
        context, python = Path(folder) / "context", Path(folder) / "python"
        context.mkdir()
        python.mkdir()
        stage(interpreter, python)
        shutil.copy2(_IMAGE_FOLDER / "entrypoint.sh", context)
        (context / "requirements.txt").write_text("\n".join([*requirements(base), ""]), encoding="utf-8")
        (context / "constraints.txt").write_text(_constraints(base), encoding="utf-8")
        arguments = {
            "AIRFLOW_PYTHON_VERSION": interpreter.version,
            "AIRFLOW_VERSION": base.airflow,
            "DEBIAN_IMAGE": root_image,
            "FLAVOUR": base.flavour,
            "INPUTS": digest,
            "PYTHON_EXECUTABLE": interpreter.executable,
            "UV_VERSION": str(requirements_data()["uv"]),
        }
        flags = ["--file", str(_IMAGE_FOLDER / "Dockerfile"), "--build-context", f"python={python}"]
        for name, value in arguments.items():
            flags += ["--build-arg", f"{name}={value}"]
        failure = f"The stand-in {base.image} could not be built"
        docker_build(context, base.image, *flags, secret="ca", error=BaseImageError, failure=failure)


def _constraints(base: Base) -> str:
    """Return the locked versions, or versions resolved now for an Airflow that has no lock yet."""
    lock = lock_file(base.airflow)
    if lock.is_file():
        return lock.read_text(encoding="utf-8")
    say(
        f"Airflow {base.airflow} has no lock: resolving its dependencies now, as of today. "
        f"To pin them: python -m local.machine.bases lock {base.airflow}"
    )
    return resolve(base.airflow, python=base.python)


def is_current(base: Base) -> bool:
    """Return whether the local image under this name is official, or a stand-in made from today's inputs."""
    images = engine().images.list(name=base.image)
    if not images:
        return False
    labels = images[0].labels
    if labels.get(LABEL) != "true":
        return True
    interpreter = available_pythons().get(base.python)
    return interpreter is None or labels.get(INPUTS_LABEL) == inputs_digest(base, interpreter)


def is_stand_in(image: str) -> bool:
    """Return whether a local image is a stand-in."""
    found = engine().images.list(name=image)
    return bool(found) and found[0].labels.get(LABEL) == "true"
