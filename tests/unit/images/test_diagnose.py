"""What a failed build's output stands for. The outputs are Buildx's own (0.13, plain progress), shortened."""

from __future__ import annotations

import re

import pytest

from images import errors
from images.diagnose import diagnose, failing_step, no_buildx, no_client, no_engine
from images.errors import BuildToolError

FAILING_STEP = """\
#0 building with "default" instance using docker driver

#1 [internal] load local bake definitions
#1 reading /tmp/airflow-ecs-build-x/docker-bake.json 129B / 129B done
#1 DONE 0.0s

#5 [base 1/3] FROM docker.io/apache/airflow:2.10.5-python3.8
#5 DONE 0.0s

#7 [base 2/3] RUN --mount=type=bind,source=steps,target=/steps     python /steps/check_base.py --airflow 2.10.5
#7 0.191 airflow-ecs-build: error: the base image has Airflow 2.9.0, not 2.10.5: give --airflow 2.9.0
#7 0.192 airflow-ecs-build: error: the base image has no `airflow` command on PATH
#7 ERROR: process "/bin/bash -c python /steps/check_base.py" did not complete successfully: exit code: 1
------
 > [base 2/3] RUN --mount=type=bind,source=steps,target=/steps     python /steps/check_base.py --airflow 2.10.5:
0.191 airflow-ecs-build: error: the base image has Airflow 2.9.0, not 2.10.5: give --airflow 2.9.0
0.192 airflow-ecs-build: error: the base image has no `airflow` command on PATH
------
2.10.5-python3.8-s3.Dockerfile:13
--------------------
  13 | >>> RUN --mount=type=bind,source=steps,target=/steps
--------------------
ERROR: target 2-10-5-python3-8-s3: failed to solve: process "/bin/bash -c python" did not complete: exit code: 1
"""

UNREACHABLE_BASE = """\
#2 [internal] load metadata for docker.io/library/debian-standin:nonexistent
#2 ERROR: failed to do request: Head "https://registry-1.docker.io/v2/library/debian-standin/manifests/nonexistent": \
dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host
------
 > [internal] load metadata for docker.io/library/debian-standin:nonexistent:
------
Dockerfile:1
--------------------
   1 | >>> FROM debian-standin:nonexistent
   2 |     RUN true
--------------------
ERROR: failed to solve: debian-standin:nonexistent: failed to resolve source metadata for \
docker.io/library/debian-standin:nonexistent: failed to do request: \
Head "https://registry-1.docker.io/v2/library/debian-standin/manifests/nonexistent": \
dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host
"""

MISSING_BASE = """\
#3 [internal] load metadata for docker.io/apache/airflow:9.9.9
#3 ERROR: docker.io/apache/airflow:9.9.9: not found
------
 > [internal] load metadata for docker.io/apache/airflow:9.9.9:
------
ERROR: failed to solve: apache/airflow:9.9.9: failed to resolve source metadata for docker.io/apache/airflow:9.9.9: \
docker.io/apache/airflow:9.9.9: not found
"""

DENIED_BASE = """\
ERROR: failed to solve: company/airflow:1: failed to resolve source metadata for docker.io/company/airflow:1: \
pull access denied, repository does not exist or may require authorization: server message: insufficient_scope
"""

MISSING_PACKAGE = """\
#5 2.765 Reading state information...
#5 2.776 E: Unable to locate package no-such-package-x
#5 ERROR: process "/bin/sh -c apt-get update" did not complete successfully: exit code: 100
------
 > [base 4/5] RUN apt-get update     && apt-get install -y no-such-package-x:
2.776 E: Unable to locate package no-such-package-x
------
ERROR: failed to solve: process "/bin/sh -c apt-get update" did not complete successfully: exit code: 100
"""

NO_MIRROR = """\
#5 0.4 Err:1 http://mirror.example.com/debian bookworm InRelease
#5 0.4   Temporary failure resolving 'mirror.example.com'
#5 0.5 E: Unable to locate package git
ERROR: failed to solve: process "/bin/sh -c apt-get update" did not complete successfully: exit code: 100
"""

FULL = """\
#9 41.2 OSError: [Errno 28] No space left on device
#9 41.3 airflow-ecs-build: error: pip could not install the packages, see above
ERROR: failed to solve: process "/bin/bash -c python" did not complete successfully: exit code: 1
"""

PUSH_DENIED = """\
#20 ERROR: failed to push registry.example.com/worker:1: failed to do request: Head "https://registry.example.com/": EOF
ERROR: target x: failed to solve: failed to push registry.example.com/worker:1: failed to do request: EOF
"""

FOREIGN_PLATFORM = """\
#6 0.1 exec /bin/bash: exec format error
ERROR: failed to solve: process "/bin/bash -c python" did not complete successfully: exit code: 255
"""


UNTRUSTED_INDEX = """\
#9 2.1 WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(SSLCertVerificationError(1, \
'[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))': /simple/humanize/
#9 2.2 ERROR: No matching distribution found for humanize
#9 2.3 airflow-ecs-build: error: pip could not install the packages: ERROR: No matching distribution found for humanize
ERROR: failed to solve: process "/bin/bash -c python" did not complete successfully: exit code: 1
"""

UNREACHABLE_INDEX = UNTRUSTED_INDEX.replace(
    "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))",
    "NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused')",
)

UNKNOWN_PACKAGE = "\n".join(line for line in UNTRUSTED_INDEX.splitlines() if "SSLError" not in line)


@pytest.mark.parametrize(
    "output, error, message",
    [
        (UNTRUSTED_INDEX, errors.BuildError, "is not trusted inside the build.\n  Behind a company's proxy or index"),
        (UNTRUSTED_INDEX, errors.BuildError, "--ca-bundle FILE"),
        (UNREACHABLE_INDEX, errors.BuildError, "cannot be reached from inside the build.\n  Check the network"),
        (UNKNOWN_PACKAGE, errors.BuildError, "No matching distribution found for humanize"),
        (
            FAILING_STEP,
            errors.BuildError,
            "the base image has Airflow 2.9.0, not 2.10.5: give --airflow 2.9.0\n"
            "  the base image has no `airflow` command on PATH",
        ),
        (
            UNREACHABLE_BASE,
            errors.BaseImageError,
            "The base image library/debian-standin:nonexistent cannot be had: failed to do request",
        ),
        (UNREACHABLE_BASE, errors.BaseImageError, "no such host"),
        (MISSING_BASE, errors.BaseImageError, "The base image apache/airflow:9.9.9 cannot be had: "),
        (MISSING_BASE, errors.BaseImageError, "not found.\n  Try `docker pull apache/airflow:9.9.9`, or name another"),
        (DENIED_BASE, errors.BaseImageError, "The base image company/airflow:1 cannot be had: pull access denied"),
        (MISSING_PACKAGE, errors.BuildError, "Debian has no package no-such-package-x.\n  Check --apt-packages"),
        (NO_MIRROR, errors.BuildError, "Debian's packages cannot be downloaded"),
        (FULL, errors.DiskFullError, "No space left for the build.\n  Make room: `docker system df`"),
        (PUSH_DENIED, errors.PushError, "Cannot push: target x: failed to solve: failed to push registry.example.com"),
        (FOREIGN_PLATFORM, errors.BuildError, "cannot run programs of the platform asked for.\n  Install emulation"),
        ("ERROR: Attestation is not supported for the docker driver.", errors.BuildError, "docker buildx create --use"),
        (
            "ERROR: Cache export is not supported for the docker driver.",
            errors.BuildError,
            "docker buildx create --use",
        ),
        (
            "ERROR: Multi-platform build is not supported for the docker driver.",
            errors.BuildError,
            "This builder cannot do it: Multi-platform build is not supported",
        ),
        (
            "ERROR: Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?",
            errors.EngineError,
            "The Docker engine does not answer.\n  Start it",
        ),
        ("docker: 'buildx' is not a docker command.\nSee 'docker --help'", errors.BuildxError, "has no Buildx"),
        ("unknown flag\nERROR: something new", errors.BuildError, "The build failed: something new\n"),
        ("the last words\n\n", errors.BuildError, "The build failed: the last words\n"),
        ("", errors.BuildError, "The build failed: no output\n"),
    ],
)
def test_the_most_telling_cause_is_named(output: str, error: type[BuildToolError], message: str) -> None:
    found = diagnose(output.splitlines())
    assert type(found) is error
    assert message in str(found)


def test_the_failing_steps_own_output_is_cut_out() -> None:
    assert failing_step(FAILING_STEP.splitlines())[1:] == (
        "0.191 airflow-ecs-build: error: the base image has Airflow 2.9.0, not 2.10.5: give --airflow 2.9.0",
        "0.192 airflow-ecs-build: error: the base image has no `airflow` command on PATH",
    )


def test_without_a_failing_step_the_last_lines_are_shown() -> None:
    assert failing_step([str(number) for number in range(100)]) == tuple(str(number) for number in range(80, 100))


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    kinds = BuildToolError.__subclasses__()
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes) > 10
    assert not {0, 1, 6, 130} & set(codes), "success, unexpected, build.py's own, and Ctrl-C"


def test_every_exit_code_is_in_the_help() -> None:
    from images.cli import EPILOG

    listed = set(map(int, re.findall(r"(?<![\d.])\d+(?= )", EPILOG)))
    assert {kind.exit_code for kind in BuildToolError.__subclasses__()} <= listed


def test_what_is_missing_says_how_to_get_it() -> None:
    assert "docs.docker.com/engine/install" in str(no_client("docker"))
    assert "docker-buildx" in str(no_buildx())
    assert str(no_engine("tcp://10.0.0.1:2376")).startswith("The Docker engine at tcp://10.0.0.1:2376 does not answer.")
