"""`make aws-smoke` on a stack that moto has: by its outputs, its scheduler policy, its repository and its bucket."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.aws_services.stack import Stack
from local.machine.console import guarded
from tests.deploy.test_stack import Deployed
from tools.aws_smoke.__main__ import main


def test_what_it_makes_around_a_stack_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Stack() as local:
        stack = Deployed(local, "data-platform")
        for name, value in {**local.aws_environment(), "AWS_ENDPOINT_URL": local.aws_endpoint}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
        flags = ["--stack", stack.name, "--yes", "--out", str(tmp_path / "messages.jsonl")]
        guarded(lambda: main(["stack-name", "image-tag", "expires", *flags]))
        output = capsys.readouterr().out
        assert {"stack-name", "image-tag", "expires"} == {*re.findall(r"^ok +(\S+)$", output, re.M)}, output
        roles = stack.client("iam").list_roles()["Roles"]
        assert not [role["RoleName"] for role in roles if role["RoleName"].startswith("aws-smoke")]
        assert "Versions" not in stack.client("s3").list_object_versions(Bucket=stack.outputs.bucket_name)
