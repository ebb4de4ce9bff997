"""What a failed build's output stands for. The outputs are Buildx's own (0.13, plain progress), shortened.

Most messages, and what the advice must name, are in the corpora of `tests.phrasebook`. Here are those that they lack,
and what follows from several messages at once.
"""

from __future__ import annotations

import pytest

from images import errors
from images.diagnose import diagnose, failing_step
from images.errors import BuildToolError

ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
UPLOAD = f"unexpected status from POST request to https://{ECR}/v2/worker/blobs/uploads/"
STEP = 'ERROR: failed to solve: process "/bin/sh -c x" did not complete successfully: exit code: 1'

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

UNTRUSTED_INDEX = """\
#9 2.1 WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(SSLCertVerificationError(1, \
'[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))': /simple/humanize/
#9 2.2 ERROR: No matching distribution found for humanize
#9 2.3 airflow-ecs-build: error: pip could not install the packages: ERROR: No matching distribution found for humanize
ERROR: failed to solve: process "/bin/bash -c python" did not complete successfully: exit code: 1
"""

NO_MIRROR = """\
#5 0.4   Temporary failure resolving 'mirror.example.com'
#5 0.5 E: Unable to locate package git
ERROR: failed to solve: process "/bin/sh -c apt-get update" did not complete successfully: exit code: 100
"""

FULL = """\
#9 41.2 OSError: [Errno 28] No space left on device
#9 41.3 airflow-ecs-build: error: pip could not install the packages, see above
ERROR: failed to solve: process "/bin/bash -c python" did not complete successfully: exit code: 1
"""


@pytest.mark.parametrize(
    "output, error, message",
    [
        (UNTRUSTED_INDEX, errors.BuildError, "is not trusted inside the build.\n  Behind a company's proxy or index"),
        (
            FAILING_STEP,
            errors.BuildError,
            "the base image has Airflow 2.9.0, not 2.10.5: give --airflow 2.9.0\n"
            "  the base image has no `airflow` command on PATH",
        ),
        (NO_MIRROR, errors.BuildError, "Debian's packages cannot be downloaded"),
        (FULL, errors.DiskFullError, "No space left for the build.\n  Free some space: `docker system df`"),
        (
            "ERROR: Cache export is not supported for the docker driver.",
            errors.BuildError,
            "docker buildx create --use",
        ),
        # aws/containers-roadmap#876
        (
            'ERROR: failed to solve: error writing manifest blob: failed commit on ref "x": unexpected status: 400',
            errors.BuildError,
            "--cache-to",
        ),
        (
            " > exporting cache to registry:\nERROR: failed to solve: unexpected status: 403",
            errors.BuildError,
            "--cache-to",
        ),
        ("ERROR: rpc error: code = Unavailable desc = error reading from server: EOF", errors.EngineError, "Try again"),
        ("error during connect: the docker daemon is not running", errors.EngineError, "docker info"),
        ("unknown flag\nERROR: something new", errors.BuildError, "The build failed: something new\n"),
        ("the last words\n\n", errors.BuildError, "The build failed: the last words\n"),
        ("", errors.BuildError, "The build failed: no output\n"),
    ],
)
def test_the_most_telling_cause_is_named(output: str, error: type[BuildToolError], message: str) -> None:
    found = diagnose(output.splitlines())
    assert type(found) is error
    assert message in str(found)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        # moby/buildkit#3776, goharbor/harbor
        (
            "tag invalid: The image tag '1' already exists in the 'w' repository and cannot be overwritten because the "
            "repository is immutable.",
            "The tag w:1 exists with another content",
        ),
        (f"failed to push {ECR}/worker:1: denied: the tag is immutable", f"The tag {ECR}/worker:1 exists"),
        # docker/build-push-action#1042: what Amazon ECR says of an immutable tag gets lost
        (f"failed to push {ECR}/w:1: unexpected status from PUT request to https://x: 400 Bad Request", "immutable"),
        # docker/setup-buildx-action#103
        (f"failed to push {ECR}/worker:1: {UPLOAD}: 404 Not Found", "--create-repository"),
        # vllm-project/vllm#48065, camunda/keycloak#641
        (
            "failed to push public.ecr.aws/q/w:1: denied: The repository with name 'w' in registry with id 'q' already "
            "has the maximum allowed number of images which is '100000'",
            "lifecycle policy",
        ),
        (
            f"failed to push {ECR}/worker:1: denied: User: a is not authorized to perform: ecr:InitiateLayerUpload on "
            "resource: b because no resource-based policy allows the ecr:InitiateLayerUpload action",
            "ecr:InitiateLayerUpload: allow it in the resource-based policy as well.",
        ),
        (f"failed to push {ECR}/w:1: denied: Your authorization token has expired.", "get-login-password --region us"),
        ("failed to push public.ecr.aws/q/w:1: no basic auth credentials", "aws ecr-public get-login-password"),
        ("failed to push ghcr.io/o/w:1: denied: permission_denied: write_package", "`docker login ghcr.io`"),
        # docker/buildx#3335, docker/build-push-action#556
        ("failed to fetch oauth token: unexpected status: 401 Unauthorized", "the permission to push there"),
        # moby/buildkit#4320, docker/buildx#1179
        ("failed to copy: unexpected status: 413 Request Entity Too Large", "client_max_body_size"),
        (f"failed to push {ECR}/worker:1: toomanyrequests: Rate exceeded", "push again in some minutes"),
        (
            "failed to push r.example/w:1: failed to authorize: failed to fetch oauth token: x: 504 Gateway Timeout",
            "later",
        ),
        # moby/buildkit#5839: the word authorize does not make it a matter of the login
        (
            "failed to push r.example/w:1: failed to authorize: Post x: connection reset by peer",
            "the engine's way to it",
        ),
        ("failed to push r.example/w:1: failed to do request: x509: unknown authority", "certs.d/r.example/ca.crt"),
        ("failed to push r.example/w:1: x509: certificate is valid for a, not r.example", "for another name"),
        (
            "failed to push r.example/w:1: x509: certificate has expired or is not yet valid: current time",
            "Set the clock",
        ),
        ("failed to push r.example/w:1: proxyconnect tcp: dial tcp 10.0.0.9:3128: connection refused", "proxy"),
        ("failed to push r.example/w:1: manifest invalid", "without --sbom and --provenance"),
    ],
)
def test_a_push_by_buildx_that_is_refused_says_what_to_do(said: str, advice: str) -> None:
    output = (
        f"#21 ERROR: {said}\n------\n > exporting to image:\n------\nERROR: failed to build: failed to solve: {said}"
    )
    for lines in (output.splitlines(), [f"ERROR: {said}"]):
        error = diagnose(lines)
        assert type(error) is errors.PushError and advice in str(error)


@pytest.mark.parametrize(
    "name",
    ["r.example/quota-worker:1", *(f"r.example/w:{tag}" for tag in (407, 413, 429)), f"{ECR}/w:403", f"{ECR}/w:404"],
)
def test_the_name_of_an_image_says_nothing_about_the_cause(name: str) -> None:
    said = f"failed to push {name}: unexpected status from HEAD request to https://r.example/v2/{name}: 401"
    assert diagnose([f"ERROR: {said} Unauthorized"]).hint.startswith("Log in as a user")


def test_amazon_ecr_s_403_is_a_permission_first_for_a_push_logs_in() -> None:
    """An older login of docker's may have expired, though: serverless/serverless#13116."""
    hint = diagnose([f"ERROR: failed to push {ECR}/worker:1: {UPLOAD}: 403 Forbidden"]).hint
    told = [hint.find(words) for words in ("ecr:PutImage", "as many images as its quota allows", "get-login-password")]
    assert told == sorted(told) and min(told) > 0


def test_what_nobody_knows_gets_no_advice() -> None:
    assert diagnose(["ERROR: failed to push r.example/w:1: name invalid"]).hint == ""


HUB = "docker.io/apache/airflow:3.0.2"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "failed to authorize: failed to fetch oauth token: x: 504 Gateway Timeout",
            "has a server error: try again later",
        ),
        ("failed to do request: Head x: dial tcp: lookup y: i/o timeout", "way to registry-1.docker.io (DNS"),
        # docker/for-linux#415: an HTTPS_PROXY that begins with https:// and speaks HTTP
        ("failed to do request: proxyconnect tcp: tls: first record does not look like a TLS handshake", "NO_PROXY"),
        (f"{HUB}: not found", "Try `docker pull apache/airflow:3.0.2`"),
    ],
)
def test_a_base_image_that_cannot_be_pulled_says_what_to_do(said: str, advice: str) -> None:
    output = (
        f" > [internal] load metadata for {HUB}:\n------\nERROR: failed to solve: x: failed to resolve source metadata"
    )
    for lines in (
        [f"{output} for {HUB}: {said}"],
        [f" > [1/3] FROM {HUB}@sha256:1:", f"ERROR: failed to solve: {said}"],
    ):
        error = diagnose("\n".join(lines).splitlines())
        assert type(error) is errors.BaseImageError
        assert "The base image apache/airflow:3.0.2 could not be pulled" in str(error) and advice in error.hint


def test_who_has_reached_the_limit_of_amazon_ecr_public_is_not_told_to_log_out() -> None:
    image = "public.ecr.aws/docker/library/python:3.12"
    said = f"failed to resolve source metadata for {image}: unexpected status from HEAD request: 429 Too Many Requests"
    assert "aws ecr-public get-login-password" in diagnose([f"ERROR: failed to solve: {image}: {said}"]).hint


@pytest.mark.parametrize(
    ("image", "advice"),
    [
        ("public.ecr.aws/docker/library/python:3.12", "`docker logout public.ecr.aws`"),
        (
            f"{ECR}/base:1",
            f"`aws ecr get-login-password --region us-west-2 | docker login --username AWS --password-stdin {ECR}`",
        ),
        ("r.example:5000/base:1", "`docker login r.example:5000`"),
    ],
)
def test_a_base_image_that_is_refused_names_the_login_of_its_registry(image: str, advice: str) -> None:
    said = "unexpected status from HEAD request to https://x/v2/y/manifests/1: 403 Forbidden"
    error = diagnose([f"ERROR: failed to solve: {image}: failed to resolve source metadata for {image}: {said}"])
    assert type(error) is errors.BaseImageError and advice in error.hint


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("E: Release file for http://x/InRelease is not valid yet (invalid for another 7h)", "Set the clock"),
        ("E: Failed to fetch http://x/x.deb  404  Not Found [IP: 1.2.3.4 80]", "--no-cache"),
        ("E: Failed to fetch http://x/x.deb  Hash Sum mismatch", "Try again in some minutes"),
        ("Err:1 https://x bookworm InRelease\n  Certificate verification failed: x", "--ca-bundle"),
        ("E: Package 'libfoo' has no installation candidate", "Debian has no package libfoo.\n  Check --apt-packages"),
        (
            "Collecting psycopg2==2.9.9\nerror: subprocess-exited-with-error\nError: pg_config executable not found.",
            "psycopg2 has no wheel for this Python and CPU, and could not be built from source: pg_config not found.\n"
            "  It requires Debian packages: --apt-packages gcc libc6-dev libpq-dev",
        ),
        (
            "error: subprocess-exited-with-error\nValueError: x\n[end of output]\nERROR: Failed to build 'foo' when y",
            "foo has no wheel for this Python and CPU, and could not be built from source: x.\n  Give what it requires",
        ),
        ("ERROR: Cannot find command 'git' - do you have 'git' installed and in your PATH?", "--apt-packages git"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "Renew the hashes"),
        ("ERROR: HTTP error 401 while getting https://x/simple/foo/", "--pip-config"),
        ("error: error sending request for url (https://x)\n  invalid peer certificate: UnknownIssuer", "--ca-bundle"),
    ],
)
def test_a_step_that_fails_says_what_to_do(output: str, words: str) -> None:
    error = diagnose([*(f"#9 1.2 {line}" for line in output.splitlines()), STEP])
    assert type(error) is errors.BuildError and words in str(error)


def test_the_failing_steps_own_output_is_cut_out() -> None:
    assert failing_step(FAILING_STEP.splitlines())[1:] == (
        "0.191 airflow-ecs-build: error: the base image has Airflow 2.9.0, not 2.10.5: give --airflow 2.9.0",
        "0.192 airflow-ecs-build: error: the base image has no `airflow` command on PATH",
    )


def test_without_a_failing_step_the_last_lines_are_shown() -> None:
    assert failing_step([str(number) for number in range(100)]) == tuple(str(number) for number in range(80, 100))
