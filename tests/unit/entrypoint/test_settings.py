from __future__ import annotations

from datetime import datetime, timezone

import pytest
from airflow_ecs_entrypoint.errors import SettingsError
from airflow_ecs_entrypoint.settings import read


def test_empty_values_count_as_unset():
    names = "AIRFLOW_ECS_DAGS S3_URI PLUGINS_S3_URI CONFIG_S3_URI CONTAINER_DAG_PATH DAGS_CONCURRENCY"
    assert read(dict.fromkeys(names.split(), "")) == read({})


@pytest.mark.parametrize("mode", ["s3", "local", "none"])
def test_a_given_s3_uri_is_synced_whatever_the_mode(mode):
    settings = read({"AIRFLOW_ECS_DAGS": mode, "S3_URI": "s3://bucket/dags"})
    assert [source.folder for source in settings.sources] == ["/opt/airflow/dags"]
    assert not settings.lacks_dags


def test_mode_s3_without_uri_lacks_dags_even_if_plugins_are_given():
    assert read({"AIRFLOW_ECS_DAGS": "s3", "PLUGINS_S3_URI": "s3://bucket/plugins"}).lacks_dags


def test_plugins_and_config_go_below_airflow_home():
    settings = read(
        {
            "AIRFLOW_HOME": "/srv/airflow",
            "S3_URI": "s3://bucket/d",
            "PLUGINS_S3_URI": "s3://bucket/p",
            "CONFIG_S3_URI": "s3://bucket/c",
        }
    )
    assert [(source.setting, str(source.location), source.folder) for source in settings.sources] == [
        ("S3_URI", "s3://bucket/d/", "/srv/airflow/dags"),
        ("PLUGINS_S3_URI", "s3://bucket/p/", "/srv/airflow/plugins"),
        ("CONFIG_S3_URI", "s3://bucket/c/", "/srv/airflow/config"),
    ]


@pytest.mark.parametrize(
    "value, custom", [("/data/dags/", True), ("/opt/airflow//dags/", False), ("//data/../efs/dags", True)]
)
def test_another_dag_folder_is_noticed(value, custom):
    settings = read({"CONTAINER_DAG_PATH": value})
    assert settings.custom_dag_folder is custom
    assert not settings.dag_folder.startswith("//") and ".." not in settings.dag_folder


@pytest.mark.parametrize(
    "value",
    [
        *("dags", "./dags", "/", "//", "/.", "/opt/..", "/opt", "/opt/airflow", "/opt/airflow/dags/.."),
        *("/etc", "/etc/dags", "/usr/local/dags", "/var", "/tmp", "/bin/dags", "/lib64", "/proc/1", "/root"),
        *("/home", "/home/airflow", "/venv", "/venv/lib/dags", "/opt/airflow/logs", "/opt/aws-cli/lib"),
    ],
)
def test_a_folder_that_must_not_be_emptied_is_refused(value):
    with pytest.raises(SettingsError, match="CONTAINER_DAG_PATH") as caught:
        read({"CONTAINER_DAG_PATH": value}, kept=["/home/airflow"], python="/venv")
    assert caught.value.exit_code == 80


@pytest.mark.parametrize(
    "value", ["/dags", "/mnt/efs/dags", "/home/airflow/dags", "/tmp/dags", "/usrlocal", "/var/dags"]
)
def test_a_folder_of_its_own_is_accepted(value):
    assert read({"CONTAINER_DAG_PATH": value}, kept=["/home/airflow"]).dag_folder == value


def test_folders_synced_from_s3_must_not_hold_each_other():
    with pytest.raises(SettingsError, match="PLUGINS_S3_URI"):
        read(
            {
                "CONTAINER_DAG_PATH": "/opt/airflow/plugins",
                "S3_URI": "s3://bucket/d",
                "PLUGINS_S3_URI": "s3://bucket/p",
            }
        )


@pytest.mark.parametrize("value, number", [("1", 1), ("64", 64), (" 8 ", 8)])
def test_concurrency_in_range(value, number):
    assert read({"DAGS_CONCURRENCY": value}).concurrency == number


@pytest.mark.parametrize("value", ["0", "65", "-1", "1.5", "many", "1_6", "٣", "9999999999"])
def test_concurrency_out_of_range_is_refused(value):
    with pytest.raises(SettingsError, match="DAGS_CONCURRENCY must be a whole number from 1 to 64"):
        read({"DAGS_CONCURRENCY": value})


def test_a_version_pins_its_own_source():
    dags, plugins = read(
        {
            "S3_URI": "s3://bucket/dags.zip",
            "S3_VERSION": "3/L4kqtJlcpXroDTDmpUMLUo",
            "PLUGINS_S3_URI": "s3://bucket/plugins",
            "PLUGINS_S3_VERSION": "2026-01-31T08:00:00Z",
        }
    ).sources
    assert (dags.version_id, dags.moment) == ("3/L4kqtJlcpXroDTDmpUMLUo", None)
    assert (plugins.version_id, plugins.moment) == ("", datetime(2026, 1, 31, 8, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    "uri, version, reason",
    [
        ("s3://bucket/dags", "3/L4kqtJlcpXroDTDmpUMLUo", "S3_URI is a prefix"),
        ("s3://bucket/dags", "yesterday", "a time in UTC"),
        ("s3://bucket/dags", "2026-02-30T08:00:00Z", "is not a valid time"),
        ("s3://bucket/dags", "2026-01-31T08:00:00+01:00", "a time in UTC"),
        ("s3://bucket/dags.zip", "a b", "a version ID"),
        ("s3://bucket/dags", "2999-01-01T00:00:00Z", "is in the future"),
    ],
)
def test_a_malformed_version_is_refused(uri, version, reason):
    with pytest.raises(SettingsError, match=f"S3_VERSION .*{reason}"):
        read({"S3_URI": uri, "S3_VERSION": version})


def test_patterns_are_for_the_dags_alone():
    dags, plugins = read(
        {"S3_URI": "s3://b-1/d", "PLUGINS_S3_URI": "s3://b-1/p", "DAGS_EXCLUDE": " *.md, tests/ \n\n*.txt,"}
    ).sources
    assert dags.exclude == ("*.md", "tests/", "*.txt")
    assert plugins.exclude == ()


def test_limits_have_units_and_the_defaults_of_the_contract():
    settings = read({"DAGS_TIMEOUT": "60", "DAGS_MAX_MB": "10"})
    assert (settings.timeout, settings.max_bytes) == (60, 10 * 1024 * 1024)
    assert (read({}).timeout, read({}).max_bytes, read({}).concurrency) == (300, 4096 * 1024 * 1024, 32)


@pytest.mark.parametrize("name", ["DAGS_TIMEOUT", "DAGS_MAX_MB"])
@pytest.mark.parametrize("value", ["0", "-1", "5s", "1e3"])
def test_limits_out_of_range_are_refused(name, value):
    with pytest.raises(SettingsError, match=f"{name} must be a whole number from 1 to "):
        read({name: value})


def test_an_airflow_that_patches_the_standard_library_starts_plainly():
    """Before anything else is imported, gevent asks."""
    assert read({}).start == "fast"
    assert read({"_AIRFLOW_PATCH_GEVENT": "1"}).start == "plain"


@pytest.mark.parametrize(
    "environ", [{"AIRFLOW_ECS_DAGS": "S3"}, {"AIRFLOW_ECS_START": "slow"}, {"AIRFLOW_HOME": "opt/airflow"}]
)
def test_other_malformed_settings_are_refused(environ):
    with pytest.raises(SettingsError, match=next(iter(environ))):
        read(environ)
