"""Verify an image by running it: compare it with its labels, and look for secrets in it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_ecs_executor.image_check.facts import AIRFLOW, CONTRACT, DAGS, PYTHON
from docker.errors import DockerException
from docker.models.images import Image

from images import labels
from images.engine import Engine
from images.errors import VerificationError
from images.scan import Finding, layer_name, scan_environment, scan_history, scan_layers
from images.spec import CONTRACT_VERSION

PROBE = Path(__file__).with_name("probe.py")
ENTRYPOINT = ["/usr/bin/dumb-init", "--", "airflow-ecs-entrypoint"]
_NEEDED_LABELS = (CONTRACT, AIRFLOW, PYTHON, DAGS, labels.ENTRYPOINT, labels.AWS_CLI)


@dataclass(frozen=True)
class Check:
    """One comparison: what was expected, and what the image has."""

    name: str
    expected: str
    found: str
    passed: bool


def check_facts(config: Mapping[str, Any], facts: Mapping[str, Any], entrypoint_output: str) -> list[Check]:
    """Compare an image's configuration, and what ran in it, with its labels. Pure.

    ``config`` is the image's ``Config`` of the engine's API, ``facts`` is what `images/probe.py` printed in the
    container, and ``entrypoint_output`` what the image printed for the command ``version``.
    """
    found = config.get("Labels") or {}
    environment = {name: value for name, _, value in (item.partition("=") for item in config.get("Env") or [])}
    missing = [name for name in _NEEDED_LABELS if name not in found]
    checks = [
        Check("labels", "all of the contract", f"missing: {', '.join(missing)}" if missing else "all", not missing)
    ]

    def equal(name: str, expected: Any, value: Any) -> None:
        checks.append(Check(name, str(expected), str(value), str(expected) == str(value)))

    equal("contract version", CONTRACT_VERSION, found.get(CONTRACT))
    equal("Airflow", found.get(AIRFLOW), facts["airflow"])
    equal("`version` by the entrypoint", found.get(AIRFLOW), _last_line(entrypoint_output))
    equal("Python", found.get(PYTHON), facts["python"])
    equal("entrypoint version", found.get(labels.ENTRYPOINT), facts["entrypoint"])
    equal("user", "50000:0", f"{facts['uid']}:{facts['gid']}")
    equal("entrypoint", ENTRYPOINT, config.get("Entrypoint"))
    equal("command", [], config.get("Cmd") or [])
    equal("DAG mode", found.get(DAGS), environment.get("AIRFLOW_ECS_DAGS"))
    equal("AWS CLI", found.get(labels.AWS_CLI) == "true", str(facts["aws_cli"]).startswith("aws-cli/"))
    equal("dependency check", "No broken requirements found.", facts["dependency_check"])
    checks.append(Check("AWS SDK", "installed", facts["boto3"] or "absent", bool(facts["boto3"])))
    checks.append(Check("bytecode", "compiled", f"{facts['bytecode']:.0%}", facts["bytecode"] > 0.99))
    locked = [path for path, writable in facts["writable"].items() if not writable]
    checks.append(Check("writable folders", "all", f"not: {', '.join(locked)}" if locked else "all", not locked))
    empty = [name for name, value in environment.items() if name.startswith("AWS_") and not value]
    checks.append(Check("empty AWS variables", "none", ", ".join(empty) or "none", not empty))
    return checks


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


def verify(
    engine: Engine, reference: str, platform: str | None = None, known_layers: dict[str, list[Finding]] | None = None
) -> list[Check]:
    """Run an image and check it; if it is not on the engine, it is pulled.

    ``platform`` is needed if it is not the engine's own. ``known_layers`` are the findings of images that were verified
    before, by layer; it is added to. Raises ImageNotFoundError.
    """
    image = engine.image(reference, platform)
    config = image.attrs["Config"] or {}
    insecure = (config.get("Labels") or {}).get(labels.INSECURE) == labels.INSECURE_AWS_CREDENTIALS
    findings = scan_environment(config.get("Env") or [], insecure)
    findings += scan_history([entry.get("CreatedBy", "") for entry in image.history()], insecure)
    with ThreadPoolExecutor(1) as pool:  # the container runs while its layers are read
        run = pool.submit(_run_image, engine, image.id or reference, platform)
        findings += _scan_layers(image, {} if known_layers is None else known_layers)
        facts, output = run.result()
    checks = [] if facts is None else check_facts(config, facts, output)
    if facts is None:
        checks.append(Check("runs", "the image's own Python and entrypoint", output, False))
    checks.append(Check("secrets in ENV, history, layers", "none", _described(findings), not findings))
    return checks


def _scan_layers(image: Image, known: dict[str, list[Finding]]) -> list[Finding]:
    """Return the secrets in an image's layers; the image is not read if all layers were in images before."""
    names = [layer_name(digest) for digest in image.attrs["RootFS"].get("Layers") or ()]
    if all(name in known for name in names):
        return [finding for name in names for finding in known[name]]
    with tarfile.open(fileobj=ChunkStream(image.save()), mode="r|*") as archive:
        return scan_layers(archive, known)


def _run_image(engine: Engine, image: str, platform: str | None) -> tuple[dict[str, Any] | None, str]:
    """Return what the probe found and what ``version`` printed; or None, and why the image could not be run.

    The container has no network: a check must not depend on what can be reached, and an image with an S3 URI must not
    load DAGs from it.
    """
    options: dict[str, Any] = {"network_mode": "none"}
    if platform:
        options["platform"] = platform
    try:
        code, output, errors = engine.run(
            image, ["-c", PROBE.read_text(encoding="utf-8")], entrypoint=[*ENTRYPOINT[:2], "python"], **options
        )
        if code:
            return None, f"exit code {code}: {_last_line(errors or output)}"
        facts = json.loads(_last_line(output))
        code, output, errors = engine.run(image, ["version"], **options)
    except (DockerException, OSError, ValueError) as error:  # no such program, wrong platform, no JSON
        return None, _last_line(str(error))
    return facts, output if code == 0 else f"exit code {code}: {_last_line(errors or output)}"


def _described(findings: Sequence[Finding]) -> str:
    return "; ".join(f"{finding.where}: {finding.what}" for finding in findings) or "none"


class ChunkStream(io.RawIOBase):
    """A file to read from, made of the chunks of an HTTP answer."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as one chunk does, and return the number of bytes."""
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def table(checks: Sequence[Check]) -> str:
    """Return the checks as a table, a row each."""
    rows = [("", "check", "expected", "found")]
    rows += [("ok" if check.passed else "WRONG", check.name, check.expected, check.found) for check in checks]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    )


def require_verified(reference: str, checks: Sequence[Check]) -> None:
    """Raise VerificationError, with a table of what is wrong."""
    wrong = [check for check in checks if not check.passed]
    if wrong:
        raise VerificationError(f"{reference} failed the verification:\n{table(wrong)}")
