"""The messages of AWS: every error, failure and stopped task that a client hears of, as JSON lines without names.

A line has the form of the corpus of messages that the executor's reading of AWS is measured by. ``expect`` is what the
project makes of the answer today, so ``sure`` is false until a person has judged it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, classify, lacks_definition
from airflow_ecs_executor.aws.task_outcome import outcome_of
from airflow_ecs_executor.image_check.reference import DOCKER_HUB, ImageReference
from botocore.exceptions import ClientError

CONTAINER = "smoke"
"""The name of the container in every task definition of the checks."""
_ACCOUNT, _HEX = "123456789012", "0123456789abcdef"
_TYPES = (
    "alias|assumed-role|capacity-provider|cluster|container-instance|federated-user|group|instance-profile|instance|key"
    "|log-group|parameter|policy|repository|role|secret|service|stack|task-definition|task|user"
)
"""The types of resources that an ARN may name before the resource."""
_NAME = r"\S+?(?=[]\"').,:;}>]*(?:\s|$))"
"""What stands there up to a blank, without the punctuation behind it."""
_PRIVATE = (
    (re.compile(rf"\b(arn:[\w-]+:[\w-]+:[\w-]*:\w*:)(?:({_TYPES})([/:]))?{_NAME}"), r"\g<1>\g<2>\g<3>name"),
    (re.compile(rf"(?<![\w-])({_TYPES})([/:]){_NAME}"), r"\g<1>\g<2>name"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w"), "user@example.com"),
    (re.compile(r"\bo-[a-z0-9]{10,32}\b"), "o-exampleorgid"),
    (re.compile(r"\bou-[a-z0-9]{4,32}-[a-z0-9]{8,32}\b"), "ou-root-exampleouid"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "AKIAIOSFODNN7EXAMPLE"),
    (re.compile(r"[\w+/=-]{65,}"), "…"),  # encoded authorization messages; a digest has 64
    (re.compile(r"\b\d{12}\b"), _ACCOUNT),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.I), "00000000-0000-0000-0000-000000000000"),
    (re.compile(r"\b[0-9a-f]{32}\b"), _HEX * 2),
    (re.compile(r"\b([a-z]{1,8})-(?:[0-9a-f]{17}|[0-9a-f]{8})\b"), rf"\g<1>-{_HEX}0"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "10.0.0.1"),
    (re.compile(r"(?<![\w:])(?=[\da-f:]*::|(?:[\da-f]{1,4}:){7})[\da-f:.]*[\da-f](?!\w)", re.I), "2001:db8::1"),
)
_KINDS = {"s3": "s3_exception", "ecr": "ecr_exception", "logs": "logs"}
_OTHER = "describe/list/stop exception"
_EXTRA: Mapping[str, Mapping[str, Any]] = {"s3": {"doing": "read"}, "ecr": {"tool": "image_check"}}
"""Who asked, where the corpus tells several apart."""


class Messages:
    """What was heard, each message once."""

    def __init__(self) -> None:
        """Nothing is heard yet."""
        self._names: dict[str, str] = {}
        self._heard: dict[str, dict[str, Any]] = {}

    def hide(self, names: Mapping[str, str]) -> None:
        """Replace names that are nobody's business, such as the cluster's, by others."""
        self._names.update({name: other for name, other in names.items() if len(name) > 2 and name != "default"})

    def hide_image(self, image: ImageReference) -> None:
        """Replace the name of an image, and its registry unless that is Amazon's or Docker's."""
        name = image.repository
        self.hide({name: "image", f"{name}:{image.tag}": "image:tag", f"{name}/manifests/{image.tag}": "image"})
        if not image.ecr and image.registry not in ("public.ecr.aws", DOCKER_HUB):
            self.hide(
                {image.registry: "registry.example.com", image.registry.partition(":")[0]: "registry.example.com"}
            )

    def public(self, text: str) -> str:
        """The text without account numbers, names and addresses."""
        for name in sorted(self._names, key=len, reverse=True):
            text = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", self._names[name], text)
        for pattern, other in _PRIVATE:
            text = pattern.sub(other, text)
        return text

    def listen(self, client: Any) -> None:
        """Keep what a boto3 client hears from now on."""
        client.meta.events.register("after-call", self._after_call)

    def _after_call(self, http_response: Any, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
        service, operation, status = model.service_model.service_name, model.name, http_response.status_code
        if status >= 300:
            error = classify(ClientError(parsed, operation))
            kind = "run_task_exception" if operation == "RunTask" else _KINDS.get(service, _OTHER)
            found = parsed.get("Error", {})
            self._keep(kind, operation, found.get("Code"), status, found.get("Message"), _meaning(error),
                       _EXTRA.get(service, {}))  # fmt: skip
            return
        for failure in parsed.get("failures") or ():
            reason, more = failure.get("reason"), {"detail": failure["detail"]} if failure.get("detail") else {}
            if operation == "RunTask":
                self._keep("run_task_failure", operation, None, status, reason, "capacity", more)
            elif operation == "BatchGetImage":
                code, reason = f"failure:{failure.get('failureCode')}", failure.get("failureReason")
                self._keep("ecr_exception", operation, code, status, reason, "missing", _EXTRA["ecr"])
        if operation == "DescribeTasks":
            self._keep_stopped(parsed.get("tasks") or (), status)

    def _keep_stopped(self, tasks: Iterable[Mapping[str, Any]], status: int) -> None:
        for task in tasks:
            end = outcome_of(task, CONTAINER) if task.get("lastStatus") == "STOPPED" else None
            if end is None:
                continue
            container: Mapping[str, Any] = next((item for item in task["containers"] if item["name"] == CONTAINER), {})
            more = {"exitCode": container.get("exitCode"), "containerReason": container.get("reason")}
            extra = {"started": "startedAt" in task, **{key: item for key, item in more.items() if item is not None}}
            meaning = end.kind.value.replace(" ", "_")
            reason = task.get("stoppedReason")
            self._keep("stopped_task", "DescribeTasks", task.get("stopCode"), status, reason, meaning, extra)

    def _keep(
        self, kind: str, op: str, code: str | None, status: int, message: Any, expect: str, extra: Mapping[str, Any]
    ) -> None:
        hidden = {name: self.public(item) if isinstance(item, str) else item for name, item in extra.items()}
        said = {
            "kind": kind, "op": op, "code": code, "http_status": status, "message": self.public(str(message or "")),
            "extra": hidden,
        }  # fmt: skip
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]
        self._heard[key] = {
            "id": f"aws-{key}", **said, "wording": "quoted", "expect": expect, "hint_must": None, "hint_not": None,
            "hint_weight": "needed", "sure": False, "common": 1,
        }  # fmt: skip

    def write(self, path: Path, region: str) -> int:
        """Append the lines that the file does not have yet, and return how many these are."""
        source = f"make aws-smoke, {region}, {datetime.date.today().isoformat()}"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        new = [{**line, "source": source} for line in self._heard.values() if f'"{line["id"]}"' not in before]
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" if before and not before.endswith("\n") else "")
            file.writelines(f"{json.dumps(line, ensure_ascii=False)}\n" for line in new)
        return len(new)


def _meaning(error: ApiError) -> str:
    """How the executor reads an error, by the labels of the corpus."""
    if error.denied:
        return "denied"
    if lacks_definition(error):
        return "revision_gone"
    labels = {ErrorKind.OUTCOME_UNKNOWN: "server", ErrorKind.PERMANENT: "hopeless"}
    return labels.get(error.kind, error.kind.value.replace(" ", "_"))
