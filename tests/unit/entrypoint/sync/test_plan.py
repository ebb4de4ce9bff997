from __future__ import annotations

from datetime import datetime, timezone

import pytest
from airflow_ecs_entrypoint.errors import DagsError
from airflow_ecs_entrypoint.messages import one_line
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.settings import Source
from airflow_ecs_entrypoint.sync import plan as plan_module
from airflow_ecs_entrypoint.sync.plan import RemoteObject, plan


def listed(*keys):
    return [RemoteObject("bucket", key, 1, '"x"', datetime(2024, 1, 1, tzinfo=timezone.utc)) for key in keys]


def planned(prefix, *keys, exclude=(), max_bytes=1000):
    """The paths that the keys become."""
    source = Source("S3_URI", S3Location("bucket", prefix), "/dags", exclude=exclude)
    return [file.path for file in plan(source, listed(*keys), max_bytes)]


def test_paths_are_relative_to_the_prefix_and_markers_are_no_files():
    found = planned("dags/", "dags/", "dags/a.py", "dags/p/", "dags/p/b c.py", "dags/é.py")
    assert found == ["a.py", "p/b c.py", "é.py"]
    assert planned("", "a.py", "d/b.py") == ["a.py", "d/b.py"], "a whole bucket can be the prefix"


def test_odd_but_harmless_names_are_kept():
    keys = ["..a.py", "a..", "...", ".airflowignore", "a/.b/..c", "~", "C:x", "-rf", "a%2F..%2Fb"]
    assert planned("", *keys) == keys


@pytest.mark.parametrize(
    "path",
    ["../x.py", "a/../../x.py", "a/..", "./x.py", "a/./x", "/etc/passwd", "a//b.py", "a\\..\\b", "a\0b", ".."],
)
def test_keys_that_would_leave_the_folder_are_refused_by_name(path):
    with pytest.raises(DagsError) as caught:
        planned("dags/", "dags/good.py", f"dags/{path}")
    assert f"s3://bucket/dags/{path}" in str(caught.value)
    assert caught.value.exit_code == 82


def test_a_key_must_not_pose_as_a_staging_folder():
    with pytest.raises(DagsError, match="reserved"):
        planned("", ".airflow-ecs/x")


@pytest.mark.parametrize("keys", [("a", "a/b"), ("a/b/c", "a/b"), ("x/y", "x/y/z/w")])
def test_a_file_that_is_also_a_folder_is_refused(keys):
    with pytest.raises(DagsError, match="file and a folder"):
        planned("", *keys)


def test_a_key_with_line_breaks_cannot_forge_a_log_line():
    assert one_line("a\nb\x1b[31m\u2028é") == "a\\nb\\x1b[31m\\u2028é"


@pytest.mark.parametrize(
    "pattern, left",
    [
        ("*.md", ["a.py", "pkg/tests/t.py", "tests/t.py"]),  # as with aws s3 sync, * matches / too
        ("tests/", ["a.py", "docs/x.md", "pkg/tests/t.py"]),
        ("*/tests/*", ["a.py", "docs/x.md", "tests/t.py"]),
        ("*tests/", ["a.py", "docs/x.md"]),
        ("?.py", ["docs/x.md", "pkg/tests/t.py", "tests/t.py"]),
        ("[ab].py", ["docs/x.md", "pkg/tests/t.py", "tests/t.py"]),
        ("A.PY", ["a.py", "docs/x.md", "pkg/tests/t.py", "tests/t.py"]),
    ],
)
def test_patterns_leave_files_out(pattern, left):
    keys = ("dags/a.py", "dags/docs/x.md", "dags/pkg/tests/t.py", "dags/tests/t.py")
    assert planned("dags/", *keys, exclude=(pattern,)) == left


def test_each_of_several_patterns_counts():
    assert planned("", "a.md", "b.txt", "c.py", exclude=("*.md", "*.txt")) == ["c.py"]


def test_patterns_that_leave_nothing_are_told_apart_from_an_empty_prefix():
    with pytest.raises(DagsError, match="holds no files but 2 that DAGS_EXCLUDE leaves out"):
        planned("dags/", "dags/a.py", "dags/b.py", exclude=("*",))
    with pytest.raises(DagsError, match="holds no files: check S3_URI"):
        planned("dags/", "dags/", "dags/x/", exclude=("*",))


def test_what_is_left_out_may_be_unsafe():
    assert planned("", "a.py", "../evil", exclude=("../*",)) == ["a.py"]


def test_more_than_a_dag_folder_may_hold_is_refused_before_all_is_listed(monkeypatch):
    monkeypatch.setattr(plan_module, "MAX_FILES", 3)
    with pytest.raises(DagsError, match="more than 3 files"):
        planned("", *(f"{number}.py" for number in range(4)))
    source = Source("S3_URI", S3Location("bucket", ""), "/dags")
    big = [RemoteObject("bucket", "a", 3 * 1024**2, "", datetime(2024, 1, 1))]
    with pytest.raises(DagsError, match=r"more than 2 MiB: .* raise DAGS_MAX_MB"):
        plan(source, big, 2 * 1024**2)
