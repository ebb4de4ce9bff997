from __future__ import annotations

from datetime import datetime, timezone

import pytest
from airflow_ecs_entrypoint.errors import DagsError
from airflow_ecs_entrypoint.messages import one_line
from airflow_ecs_entrypoint.plan import RemoteObject, plan
from airflow_ecs_entrypoint.settings import S3Location


def listed(*keys):
    return [RemoteObject("bucket", key, 1, '"x"', datetime(2024, 1, 1, tzinfo=timezone.utc)) for key in keys]


def test_paths_are_relative_to_the_prefix_and_markers_are_no_files():
    files = plan(S3Location("bucket", "dags/"), listed("dags/", "dags/a.py", "dags/p/", "dags/p/b c.py", "dags/é.py"))
    assert [file.path for file in files] == ["a.py", "p/b c.py", "é.py"]


def test_a_whole_bucket_can_be_the_prefix():
    assert [file.path for file in plan(S3Location("bucket", ""), listed("a.py", "d/b.py"))] == [
        "a.py",
        "d/b.py",
    ]


def test_odd_but_harmless_names_are_kept():
    keys = ["..a.py", "a..", "...", ".airflowignore", "a/.b/..c", "~", "C:x", "-rf", "a%2F..%2Fb"]
    assert [file.path for file in plan(S3Location("bucket", ""), listed(*keys))] == keys


@pytest.mark.parametrize(
    "path",
    [
        "../x.py",
        "a/../../x.py",
        "a/..",
        "./x.py",
        "a/./x",
        "/etc/passwd",
        "a//b.py",
        "a\\..\\b",
        "a\0b",
        "..",
    ],
)
def test_keys_that_would_leave_the_folder_are_refused_by_name(path):
    with pytest.raises(DagsError) as caught:
        plan(S3Location("bucket", "dags/"), listed("dags/good.py", f"dags/{path}"))
    assert f"s3://bucket/dags/{path}" in str(caught.value)
    assert caught.value.exit_code == 82


def test_a_key_must_not_pose_as_a_staging_folder():
    with pytest.raises(DagsError, match="reserved"):
        plan(S3Location("bucket", ""), listed(".airflow-ecs-staging-1/x"))


@pytest.mark.parametrize("keys", [("a", "a/b"), ("a/b/c", "a/b"), ("x/y", "x/y/z/w")])
def test_a_file_that_is_also_a_folder_is_refused(keys):
    with pytest.raises(DagsError, match="file and a folder"):
        plan(S3Location("bucket", ""), listed(*keys))


def test_a_key_with_line_breaks_cannot_forge_a_log_line():
    assert one_line("a\nb\x1b[31m\u2028é") == "a\\nb\\x1b[31m\\u2028é"
