"""What a failed build's output stands for. The outputs are Buildx's own (0.13, plain progress), shortened."""

from __future__ import annotations

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
            "The base image library/debian-standin:nonexistent could not be pulled: failed to do request",
        ),
        (MISSING_BASE, errors.BaseImageError, "The base image apache/airflow:9.9.9 could not be pulled: "),
        (MISSING_BASE, errors.BaseImageError, "not found.\n  Try `docker pull apache/airflow:9.9.9`, or name another"),
        (
            DENIED_BASE,
            errors.BaseImageError,
            "The base image company/airflow:1 could not be pulled: pull access denied",
        ),
        (MISSING_PACKAGE, errors.BuildError, "Debian has no package no-such-package-x.\n  Check --apt-packages"),
        (NO_MIRROR, errors.BuildError, "Debian's packages cannot be downloaded"),
        (FULL, errors.DiskFullError, "No space left for the build.\n  Free some space: `docker system df`"),
        (
            PUSH_DENIED,
            errors.PushError,
            "The image could not be pushed: target x: failed to solve: failed to push registry.example.com",
        ),
        (FOREIGN_PLATFORM, errors.BuildError, "cannot run programs of the requested platform.\n  Install emulation"),
        (
            "ERROR: Cache export is not supported for the docker driver.",
            errors.BuildError,
            "docker buildx create --use",
        ),
        (
            "ERROR: Multi-platform build is not supported for the docker driver.",
            errors.BuildError,
            "This builder does not support it: Multi-platform build is not supported",
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


ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
UPLOAD = f"unexpected status from POST request to https://{ECR}/v2/worker/blobs/uploads/"


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
        (
            f"failed to push {ECR}/worker:1: unexpected status from PUT request to https://x: 400 Bad Request",
            "immutable",
        ),
        # docker/setup-buildx-action#103
        (f"failed to push {ECR}/worker:1: {UPLOAD}: 404 Not Found", "--create-repository"),
        # kubernetes-sigs/aws-ebs-csi-driver#1998, vllm-project/vllm#48065, camunda/keycloak#641
        (f"failed to push {ECR}/worker:1: {UPLOAD}: 403 Forbidden", "as many images as its quota allows"),
        (
            "failed to push public.ecr.aws/q/w:1: denied: The repository with name 'w' in registry with id 'q' already "
            "has the maximum allowed number of images which is '100000'",
            "lifecycle policy",
        ),
        ("failed to push r.example/w:1: denied: adding 1 MiB will exceed the configured upper limit of 2 GiB", "quota"),
        (
            f"failed to push {ECR}/worker:1: denied: User: a is not authorized to perform: ecr:InitiateLayerUpload on "
            "resource: b because no resource-based policy allows the ecr:InitiateLayerUpload action",
            "ecr:InitiateLayerUpload: allow it in the resource-based policy as well.",
        ),
        (
            f"failed to push {ECR}/worker:1: denied: Your authorization token has expired.",
            "get-login-password --region us",
        ),
        ("failed to push public.ecr.aws/q/w:1: no basic auth credentials", "aws ecr-public get-login-password"),
        ("failed to push ghcr.io/o/w:1: denied: permission_denied: write_package", "`docker login ghcr.io`"),
        ("denied: permission_denied: write_package", "the permission to push there"),
        # docker/buildx#3335, docker/build-push-action#556
        ("failed to fetch oauth token: unexpected status: 401 Unauthorized", "the permission to push there"),
        ("authorization status: 401: authorization failed", "the permission to push there"),
        # moby/buildkit#4320, docker/buildx#1179
        (f"failed to push r.example/w:1: {UPLOAD}: 413 Request Entity Too Large", "client_max_body_size"),
        ("failed to copy: unexpected status: 413 Request Entity Too Large", "client_max_body_size"),
        (f"failed to push {ECR}/worker:1: toomanyrequests: Rate exceeded", "push again in some minutes"),
        (f"failed to push r.example/w:1: {UPLOAD}: 503 Service Unavailable", "try again later"),
        (
            "failed to push r.example/w:1: failed to authorize: failed to fetch oauth token: x: 504 Gateway Timeout",
            "later",
        ),
        ("failed to push r.example/w:1: failed to do request: Put x: write: broken pipe", "the engine's way to it"),
        # moby/buildkit#5839: the word authorize does not make it a matter of the login
        (
            "failed to push r.example/w:1: failed to authorize: Post x: connection reset by peer",
            "the engine's way to it",
        ),
        (
            "failed to push r.example/w:1: failed to do request: Head x: x509: unknown authority",
            "certs.d/r.example/ca.crt",
        ),
        ("failed to push r.example/w:1: x509: certificate is valid for a, not r.example", "for another name"),
        (
            "failed to push r.example/w:1: x509: certificate has expired or is not yet valid: current time",
            "Set the clock",
        ),
        ("failed to push r.example/w:1: http: server gave HTTP response to HTTPS client", "insecure-registries"),
        ("failed to push r.example/w:1: proxyconnect tcp: dial tcp 10.0.0.9:3128: connection refused", "proxy"),
        ("failed to push r.example/w:1: error getting credentials - err: exit status 1", "credHelpers"),
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
            "failed to copy: x: 429 Too Many Requests - Server message: toomanyrequests: You have reached",
            "`docker login`",
        ),
        ("failed to authorize: failed to fetch oauth token: x: 401 Unauthorized", "may read it: `docker login`"),
        (
            "failed to authorize: failed to fetch oauth token: x: 504 Gateway Timeout",
            "has a server error: try again later",
        ),
        (
            "failed to do request: Head x: x509: certificate signed by unknown authority",
            "certs.d/registry-1.docker.io/ca.crt",
        ),
        ("failed to do request: Head x: dial tcp: lookup y: i/o timeout", "way to registry-1.docker.io (DNS"),
        # docker/for-linux#415: an HTTPS_PROXY that begins with https:// and speaks HTTP
        ("failed to do request: proxyconnect tcp: tls: first record does not look like a TLS handshake", "NO_PROXY"),
        ("error getting credentials - err: exit status 1, out: `GDBus.Error`", "config.json"),
        ("no match for platform in manifest: not found", "another --platform"),
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


STEP = 'ERROR: failed to solve: process "/bin/sh -c x" did not complete successfully: exit code: 1'


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("E: Release file for http://x/InRelease is not valid yet (invalid for another 7h)", "Set the clock"),
        ("E: The repository 'http://x buster Release' does not have a Release file.", "a newer --base"),
        ("E: Failed to fetch http://x/x.deb  404  Not Found [IP: 1.2.3.4 80]", "--no-cache"),
        ("E: Failed to fetch http://x/x.deb  503  Service Unavailable [IP: 1.2.3.4 80]", "network and proxy"),
        ("E: Failed to fetch http://x/x.deb  Hash Sum mismatch", "Try again in some minutes"),
        ("Err:1 https://x bookworm InRelease\n  Certificate verification failed: x", "--ca-bundle"),
        ("E: Package 'libfoo' has no installation candidate", "--apt-packages"),
        ("error: command 'gcc' failed: No such file or directory", "build-essential"),
        ("Error: pg_config executable not found.", "libpq-dev"),
        ("ERROR: Cannot find command 'git' - do you have 'git' installed and in your PATH?", "--apt-packages git"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "Renew the hashes"),
        ("ERROR: ResolutionImpossible: for help visit https://pip.pypa.io", "The requirements conflict"),
        ("x No solution found when resolving dependencies:", "The requirements conflict"),
        ("ERROR: No matching distribution found for foo==9", "for this Python"),
        ("ERROR: Exception:\npip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.", "try again"),
        ("ERROR: HTTP error 401 while getting https://x/simple/foo/", "--pip-config"),
        (
            "error: error sending request for url (https://pypi.org)\n  invalid peer certificate: UnknownIssuer",
            "--ca-bundle",
        ),
        ("  Failed to download `lxml==5.3.0`\n  operation timed out", "network and proxy"),
    ],
)
def test_a_step_that_fails_says_what_to_do(output: str, advice: str) -> None:
    error = diagnose([*(f"#9 1.2 {line}" for line in output.splitlines()), STEP])
    assert type(error) is errors.BuildError and advice in error.hint


@pytest.mark.parametrize(
    ("output", "error", "advice"),
    [
        (STEP.replace("code: 1", "code: 137"), errors.BuildError, "ran out of memory"),
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
        ('ERROR: no builder "x" found', errors.BuildxError, "docker buildx ls"),
        (
            "ERROR: BuildKit is enabled but the buildx component is missing or broken.",
            errors.BuildxError,
            "docker-buildx",
        ),
        ("error during connect: the docker daemon is not running", errors.EngineError, "docker info"),
    ],
)
def test_a_builder_that_fails_says_what_to_do(output: str, error: type[BuildToolError], advice: str) -> None:
    found = diagnose(output.splitlines())
    assert type(found) is error and advice in found.hint


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


def test_what_is_missing_says_how_to_get_it() -> None:
    assert "docs.docker.com/engine/install" in str(no_client("docker"))
    assert "docker-buildx" in str(no_buildx())
    assert str(no_engine("tcp://10.0.0.1:2376")).startswith("The Docker engine at tcp://10.0.0.1:2376 does not answer.")
