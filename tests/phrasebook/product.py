"""The phrasebook's messages, given to the product in the form in which AWS, Docker and registries give them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import botocore.exceptions
from airflow_ecs_entrypoint import errors as entrypoint_errors
from airflow_ecs_entrypoint.sync import error_mapping
from airflow_ecs_executor.aws import container_logs
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify, lacks_definition, not_started
from airflow_ecs_executor.aws.task_outcome import Outcome, outcome_of
from airflow_ecs_executor.image_check import http
from airflow_ecs_executor.image_check.ecr import EcrRegistry
from airflow_ecs_executor.image_check.errors import NoSuchImageError, RegistryError
from airflow_ecs_executor.image_check.manifest import document_in
from airflow_ecs_executor.image_check.reference import parse
from airflow_ecs_executor.image_check.registry import Credentials, Registry

from images import aws
from images.dags.bucket import Bucket
from images.dags.plan import Destination
from images.diagnose import diagnose, diagnose_push
from images.errors import AwsError
from images.registry import ecr
from tests.phrasebook.entry import Entry

ECR_IMAGE = parse("123456789012.dkr.ecr.us-east-1.amazonaws.com/airflow-worker:3")
CONTAINER = "airflow"


class Answer(NamedTuple):
    """What a message means to the product, and what the product advises."""

    meaning: str
    advice: str


def ask(entry: Entry) -> Answer:
    """Give a message to the part of the product that meets it."""
    return _ASK.get(entry.kind, _failed_call)(entry)


# Exceptions


def _exception(entry: Entry, operation: str = "") -> Exception:
    """The exception that botocore raises for it: of its own by name, or ClientError for an answer."""
    code = str(entry.code or "")
    if entry.http_status is None and hasattr(botocore.exceptions, code):
        own: Callable[..., Exception] = getattr(botocore.exceptions, code)
        return _own_exception(own, entry)
    error = {"Code": code, "Message": entry.message}
    if entry.extra.get("Region"):
        error["Region"] = entry.extra["Region"]
    metadata = {"HTTPStatusCode": entry.http_status or 400, "HTTPHeaders": {}}
    response: Any = {"Error": error, "ResponseMetadata": metadata}
    answered: Exception = botocore.exceptions.ClientError(response, operation or entry.op)
    return answered


def _own_exception(own: Callable[..., Exception], entry: Entry) -> Exception:
    """An exception of botocore's own, with the words of the entry whatever its parameters are."""
    for parameters in (
        entry.extra.get("kwargs", {}),
        {"endpoint_url": "x", "error": "x"},
        {"provider": "x", "error_msg": "x"},
        {"proxy_url": "x"},
        {"error": "x"},
    ):
        try:
            made = own(**parameters)
        except (KeyError, TypeError):
            continue
        made.args = (entry.message,)
        return made
    raise AssertionError(f"{entry.id}: botocore's {entry.code} takes other parameters")


def _meaning(error: ApiError) -> str:
    if error.kind is ErrorKind.PERMANENT:
        if error.denied:
            return "denied"
        return "revision_gone" if lacks_definition(error) else "hopeless"
    return {
        ErrorKind.THROTTLED: "throttled",
        ErrorKind.OUTCOME_UNKNOWN: "server",
        ErrorKind.SERVER: "server",
        ErrorKind.CREDENTIALS: "credentials",
        ErrorKind.TAGGING_DENIED: "denied",
        ErrorKind.CONFLICT: "conflict",
        ErrorKind.REVISION_GONE: "revision_gone",
        ErrorKind.CAPACITY: "capacity",
    }[error.kind]


# The executor


def _failed_call(entry: Entry) -> Answer:
    error = classify(_exception(entry))
    return Answer(_meaning(error), error.advice)


def _failures(entry: Entry) -> Answer:
    item = {"reason": entry.message, "arn": "arn:aws:ecs:us-east-1:123456789012:container-instance/c/0123"}
    if entry.extra.get("detail"):
        item["detail"] = entry.extra["detail"]
    answer = not_started([item])
    return Answer("capacity" if answer.temporary else "hopeless", answer.advice)


def _stopped_task(entry: Entry) -> Answer:
    end = stopped(entry)
    return Answer(end.kind.value.replace(" ", "_"), end.advice)


def stopped(entry: Entry) -> Outcome:
    """How a task ended, as DescribeTasks describes it."""
    extra = entry.extra
    container: dict[str, Any] = {"name": CONTAINER, "lastStatus": "STOPPED"}
    if extra.get("exitCode") is not None:
        container["exitCode"] = extra["exitCode"]
    if extra.get("containerReason"):
        container["reason"] = extra["containerReason"]
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    task: dict[str, Any] = {
        "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/c/0123456789abcdef0123456789abcdef",
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "containers": [container],
        "createdAt": now,
        "stoppedAt": now,
        "stoppedReason": entry.message,
    }
    if entry.code:
        task["stopCode"] = entry.code
    if extra.get("started"):
        task["startedAt"] = now
    end = outcome_of(task, CONTAINER)
    assert end is not None
    return end


def _logs(entry: Entry) -> Answer:
    stream = container_logs.Stream("eu-west-1", "/ecs/airflow", "airflow/airflow/0123")
    error = classify(_exception(entry))
    return Answer(_meaning(error), container_logs.explain(error, "logs:GetLogEvents", stream))


# S3: the entrypoint, and the build tool's `dags push`


def _s3(entry: Entry) -> Answer:
    if entry.extra.get("tool") == "bucket":
        return _bucket(entry)
    listing = entry.extra["doing"] == "list"
    operation = error_mapping.Operation(
        entry.extra["doing"],
        "s3://my-dags/dags" if listing else "s3://my-dags/dags.zip",
        "s3:ListBucket" if listing else "s3:GetObject",
        "my-dags" if listing else "my-dags/dags.zip",
        "eu-west-1",
        "https://s3.eu-west-1.amazonaws.com",
    )
    found = error_mapping.classify(_exception(entry), operation)
    if isinstance(found, entrypoint_errors.UnavailableError):
        return Answer("temporary", str(found))
    if isinstance(found, entrypoint_errors.AccessError):
        return Answer("access" if "access denied" in str(found) else "credentials", str(found))
    return Answer("final", str(found))


def _bucket(entry: Entry) -> Answer:
    bucket = object.__new__(Bucket)
    bucket.destination = Destination("my-dags", "dags/")
    permission = {"PutObject": "s3:PutObject", "ListObjectsV2": "s3:ListBucket"}[entry.op]
    raised = _exception(entry)
    try:
        with bucket._asking("take dags.zip", permission):
            raise raised
    except AwsError as error:
        return Answer(_meaning(classify(raised)), error.hint)


# Registries


class _Ecr:
    """A client of Amazon ECR that answers every call with one error or one failure."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __getattr__(self, name: str) -> Callable[..., Mapping[str, Any]]:
        operation = "".join(part.title() for part in name.split("_"))

        def call(**_: object) -> Mapping[str, Any]:
            code = str(self._entry.code)
            if code.startswith("failure:"):
                failure = {"failureCode": code[8:], "failureReason": self._entry.message}
                return {"images": [], "failures": [failure]}
            if operation == "DescribeRepositories" and self._entry.op == "CreateRepository":
                return {"repositories": [{"imageTagMutability": "IMMUTABLE"}]}
            raise _exception(self._entry, operation)

        return call


def _ecr(entry: Entry) -> Answer:
    tool, client = entry.extra["tool"], _Ecr(entry)
    if tool == "image_check":
        return _image_check(entry, client)
    saved, aws.client = aws.client, lambda *_, **__: client
    try:
        if tool == "login":
            ecr.log_in(ECR_IMAGE)
        elif tool == "create":
            ecr.create_repository(ECR_IMAGE)
            return Answer("found", "")
        else:
            return Answer("missing" if ecr.find_repository(ECR_IMAGE) is None else "denied", "")
    except AwsError as error:
        return Answer(_meaning(classify(_exception(entry))), error.hint)
    finally:
        aws.client = saved
    raise AssertionError(f"{entry.id}: the answer is no error for {tool}")


def _image_check(entry: Entry, client: _Ecr) -> Answer:
    registry = EcrRegistry(None, ECR_IMAGE, client)  # type: ignore[arg-type]
    try:
        if entry.op == "GetDownloadUrlForLayer":
            registry.blob("sha256:0")
        else:
            registry.manifest("3")
    except NoSuchImageError as error:
        return Answer("missing", str(error))
    except RegistryError as error:
        if error.action:
            return Answer("denied", f"{error} {error.action}")
        failure = str(entry.code).startswith("failure:")
        return Answer("hopeless" if failure else _meaning(classify(_exception(entry))), str(error))
    raise AssertionError(f"{entry.id}: the answer is no error for the image check")


class _Http:
    """A registry that gives a token, unless that is what fails, and one answer."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def request(self, method: str, url: str, **_: object) -> http.Answer:
        host, extra = url.split("/")[2], self._entry.extra
        token = "/token" in url or host.startswith("auth.")
        if token and extra["at"] != "token":
            return http.Answer(200, {}, b'{"token": "x"}')
        headers = dict(extra.get("headers") or {})
        if self._entry.http_status == 401 and not token:
            headers.setdefault("WWW-Authenticate", f'Bearer realm="https://{host}/token",service="{host}"')
        return http.Answer(self._entry.http_status or 0, headers, self._entry.message.encode())


def _registry(entry: Entry) -> Answer:
    if entry.op == "push":
        found = diagnose_push(entry.message, entry.extra["name"])
        return Answer(type(found).__name__, found.hint)
    reference = parse(entry.extra["image"])
    known = Credentials("user", "secret") if entry.extra.get("logged_in") else None
    try:
        registry = Registry(_Http(entry), reference, lambda _: known)  # type: ignore[arg-type]
        document_in(registry.manifest(reference.version), reference.digest, reference.version)
    except NoSuchImageError as error:
        return Answer("missing", str(error))
    except RegistryError as error:
        text = str(error)
        if "docker login" in text:
            return Answer("access", text)
        return Answer("temporary" if "too many requests" in text or "server error" in text else "final", text)
    return Answer("found", "")


# The build


def _build(entry: Entry) -> Answer:
    found = diagnose(entry.message.split("\n"))
    return Answer(type(found).__name__, found.hint or found.message)


_ASK: Mapping[str, Callable[[Entry], Answer]] = {
    "run_task_failure": _failures,
    "stopped_task": _stopped_task,
    "secrets": _stopped_task,
    "logs": _logs,
    "s3_exception": _s3,
    "ecr_exception": _ecr,
    "registry_http": _registry,
    "build_output": _build,
}
