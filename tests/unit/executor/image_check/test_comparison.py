from __future__ import annotations

import json

import pytest
from airflow_ecs_executor.aws.task_definition import Platform
from airflow_ecs_executor.image_check.comparison import (
    Fit,
    ImageReport,
    Versions,
    as_json,
    as_text,
    build_command,
    compare,
    differences,
    lacks_platform,
    repository_of,
    unknowns,
)
from airflow_ecs_executor.image_check.facts import ImageFacts

WANTED = Versions("3.3.2", "3.12")
AMD64, ARM64 = Platform("amd64"), Platform("arm64")
OURS = ImageFacts(airflow="3.3.2", python="3.12", architecture="amd64", contract="1", dags="s3")


def report(platform=AMD64, wanted=WANTED, image="example.com:5000/team/worker:1", **facts):
    return compare(image, ImageFacts(**{**vars(OURS), **facts}), frozenset(), wanted, platform)


def test_the_same_fits():
    assert report().outcome is Fit.COMPATIBLE
    assert differences(report()) == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"airflow": "3.3.1"}, "Airflow: the image has 3.3.1, expected 3.3.2"),
        ({"airflow": "3.3.2rc1"}, "Airflow: the image has 3.3.2rc1"),
        ({"python": "3.11"}, "Python: the image has 3.11, expected 3.12"),
        ({"architecture": "arm64"}, "CPU architecture: the image has arm64, expected amd64"),
        ({"contract": "2"}, "image contract: the image has 2, expected 1"),
    ],
)
def test_each_difference_counts_and_is_named(facts, words):
    assert report(**facts).outcome is Fit.INCOMPATIBLE
    assert differences(report(**facts)).startswith(words)


def test_all_differences_are_named():
    text = differences(report(airflow="2.10.5", python="3.8"))
    assert "2.10.5" in text and "3.8" in text


def test_a_difference_counts_whatever_else_is_not_known():
    assert report(airflow="", python="3.8").outcome is Fit.INCOMPATIBLE
    assert report(airflow="").outcome is Fit.UNKNOWN
    assert unknowns(report(airflow="", python="")) == "nothing in it says which Airflow and Python it has"


def test_local_parts_of_versions_are_a_companys_own_business():
    assert report(airflow="3.3.2+acme.1").outcome is Fit.COMPATIBLE
    assert report(wanted=Versions("3.3.2+acme.1", "3.12")).outcome is Fit.COMPATIBLE


def test_an_image_of_nobodys_contract_can_fit():
    foreign = report(contract="")
    assert foreign.outcome is Fit.COMPATIBLE and foreign.is_foreign
    assert not report().is_foreign


def test_where_the_instance_decides_the_architecture_is_not_compared():
    assert report(platform=None, architecture="arm64").outcome is Fit.COMPATIBLE


def test_an_image_that_lacks_the_platform_differs():
    found = lacks_platform("worker:1", ARM64, ("linux/amd64",))
    assert found.outcome is Fit.INCOMPATIBLE
    assert differences(found) == "CPU architecture: the image has linux/amd64, expected arm64"


def test_an_image_that_could_not_be_looked_at_is_unknown_and_not_foreign():
    found = ImageReport("worker:1", error="the registry does not answer", action="ecr:BatchGetImage")
    assert found.outcome is Fit.UNKNOWN and not found.is_foreign
    assert unknowns(found) == "the registry does not answer"


def test_the_command_builds_what_fits_under_the_same_name():
    assert build_command(report(dags="local"), WANTED, ARM64) == (
        "python build.py --airflow 3.3.2 --python 3.12 --dags local --platform linux/arm64 "
        "--repository example.com:5000/team/worker --push"
    )
    unknown = build_command(ImageReport(""), WANTED, None)
    assert unknown == "python build.py --airflow 3.3.2 --python 3.12 --dags s3 --push"


def test_the_command_can_be_pasted_whatever_the_image_is_called():
    assert "--repository 'a b'" in build_command(ImageReport("a b:1"), WANTED, None)


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("worker", "worker"),
        ("worker:1", "worker"),
        ("host:5000/worker", "host:5000/worker"),
        ("host:5000/worker:1", "host:5000/worker"),
        ("host/worker:1@sha256:" + "0" * 64, "host/worker"),
    ],
)
def test_the_repository_of_an_image(image, repository):
    assert repository_of(image) == repository


def test_a_report_for_people():
    text = as_text(report(airflow="2.10.5", python=""))
    assert text.splitlines()[0] == "differs"
    assert "Airflow" in text and "2.10.5  <- expected 3.3.2" in text and "-  <- not known" in text
    assert "the registry" in as_text(ImageReport("worker:1", error="the registry does not answer"))


def test_a_report_for_programs():
    document = json.loads(json.dumps(as_json(report(airflow="2.10.5"))))
    assert document["outcome"] == "differs"
    assert document["comparisons"][0] == {
        "name": "Airflow",
        "image": "2.10.5",
        "wanted": "3.3.2",
        "outcome": "differs",
    }
