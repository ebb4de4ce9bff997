from __future__ import annotations

import pytest
from airflow_ecs_entrypoint.errors import SettingsError
from airflow_ecs_entrypoint.s3_uri import parse_s3_uri

from tests.unit.s3_uris import ACCEPTED, REFUSED, SECRET


@pytest.mark.parametrize("uri, bucket, path, archive", ACCEPTED)
def test_a_uri_names_a_prefix_that_ends_in_a_slash_or_an_archive(uri, bucket, path, archive):
    location = parse_s3_uri("S3_URI", uri)
    assert (location.bucket, location.path, location.archive) == (bucket, path, archive)
    assert str(location) == f"s3://{bucket}/{path}"


@pytest.mark.parametrize("uri, reason", REFUSED)
def test_a_malformed_uri_is_refused_with_the_reason_but_not_repeated(uri, reason):
    with pytest.raises(SettingsError) as caught:
        parse_s3_uri("PLUGINS_S3_URI", uri)
    text = str(caught.value)
    assert caught.value.exit_code == 80
    assert "PLUGINS_S3_URI" in text and reason in text and "s3://bucket/prefix" in text
    assert SECRET not in text
