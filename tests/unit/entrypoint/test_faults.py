from __future__ import annotations

import errno
import os

import botocore.exceptions as bc
import pytest
from airflow_ecs_entrypoint.errors import ChangedError, SettingsError
from airflow_ecs_entrypoint.faults import Attempt, classify

LIST = Attempt("list", "s3://b/dags/", "s3:ListBucket", "b", "eu-west-1", "https://u:hunter2@s3.example.com/x")
GET = Attempt("download", "s3://b/dags/x.py", "s3:GetObject", "b/dags/x.py", "cn-north-1")


def client_error(code, status=400, operation="ListObjectsV2", message="m", headers=None, **error):
    return bc.ClientError(
        {
            "Error": {"Code": code, "Message": message, **error},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
        },
        operation,
    )


@pytest.mark.parametrize(
    "error, code, says",
    [
        (client_error("AccessDenied", 403), 81, "allow s3:ListBucket on arn:aws:s3:::b "),
        (
            client_error("AccessDenied", 403, message="not authorized to perform: kms:Decrypt"),
            81,
            "kms:Decrypt",
        ),
        (client_error("403", 403), 81, "s3:ListBucket"),
        (client_error("AccessDenied", 403, operation="AssumeRole"), 81, "role cannot be assumed"),
        (client_error("Throttling", 400, operation="AssumeRole"), 84, "start the container again"),
        (client_error("ExpiredToken"), 81, "task role"),
        (client_error("InvalidAccessKeyId", 403), 81, "credentials"),
        (client_error("SignatureDoesNotMatch", 403), 81, "credentials"),
        (client_error("RequestTimeTooSkewed", 403), 81, "clock"),
        (client_error("NoSuchBucket", 404), 82, "no such bucket"),
        (client_error("404", 404, operation="HeadObject"), 82, "no such object, version or bucket"),
        (client_error("405", 405, operation="HeadObject"), 82, "deletion"),
        (client_error("NoSuchVersion", 404), 82, "no such version: correct the pin"),
        (client_error("InvalidObjectState", 403), 82, "restore"),
        (client_error("KMS.DisabledException"), 82, "KMS"),
        (
            client_error("PermanentRedirect", 301, headers={"x-amz-bucket-region": "us-west-2"}),
            82,
            "=us-west-2",
        ),
        (
            client_error("AuthorizationHeaderMalformed", Region="eu-north-1"),
            82,
            "AWS_DEFAULT_REGION=eu-north-1",
        ),
        (client_error("PermanentRedirect", 301), 82, "bucket's region"),
        (client_error("WhatIsThis"), 82, "WhatIsThis"),
        (client_error("<html>hunter2", 400), 82, "no code"),
        (client_error("SlowDown", 503), 84, "SlowDown"),
        (client_error("InternalError", 500), 84, "start the container again"),
        (client_error("RequestTimeout", 400), 84, "RequestTimeout"),
        (client_error("TooManyRequests", 429), 84, "throttling"),
        (client_error("NewServerFault", 507), 84, "NewServerFault"),
        (bc.NoCredentialsError(), 81, "task role"),
        (bc.PartialCredentialsError(provider="env", cred_var="hunter2"), 81, "credentials"),
        (bc.ProfileNotFound(profile="hunter2"), 81, "ProfileNotFound"),
        (
            bc.CredentialRetrievalError(provider="c", error_msg="Received non 200 response 429 from"),
            84,
            "endpoint",
        ),
        (
            bc.CredentialRetrievalError(provider="c", error_msg="Received non 200 response 404 from"),
            81,
            "role",
        ),
        (bc.EndpointConnectionError(endpoint_url="https://hunter2/"), 84, "s3.example.com"),
        (bc.ConnectTimeoutError(endpoint_url="https://hunter2/"), 84, "VPC endpoint"),
        (bc.ReadTimeoutError(endpoint_url="https://hunter2/"), 84, "ReadTimeoutError"),
        (bc.ConnectionClosedError(endpoint_url="https://hunter2/"), 84, "ConnectionClosedError"),
        (bc.IncompleteReadError(actual_bytes=1, expected_bytes=2), 84, "no complete answer"),
        (bc.SSLError(endpoint_url="x", error="CERTIFICATE_VERIFY_FAILED hunter2"), 82, "AWS_CA_BUNDLE"),
        (bc.SSLError(endpoint_url="x", error="EOF"), 84, "no complete answer"),
        (bc.InvalidRegionError(region_name="hunter2"), 80, "region"),
        (bc.ParamValidationError(report="hunter2"), 80, "AWS_*"),
        (ConnectionResetError(errno.ECONNRESET, "x"), 84, "no complete answer"),
        (OSError(errno.ENOSPC, "x"), 82, "ephemeral storage"),
        (OSError(errno.EROFS, "x"), 82, "read-only"),
        (PermissionError(errno.EACCES, "x"), 82, "group 0"),
        (OSError(errno.EIO, "hunter2"), 82, os.strerror(errno.EIO)),
        (RuntimeError("hunter2"), 82, "unexpected RuntimeError"),
        (MemoryError(), 82, "give the task more"),
    ],
    ids=lambda value: getattr(value, "operation_name", "") and str(value)[:50],
)
def test_every_fault_has_a_code_a_remedy_and_no_secret(error, code, says):
    fault = classify(error, LIST)
    text = str(fault)
    assert fault.exit_code == code
    assert fault.temporary is (code == 84)
    assert text.startswith("cannot list s3://b/dags/: ") and says in text
    assert "hunter2" not in text and "\n" not in text


def test_a_refused_object_names_the_action_in_its_partition():
    assert "allow s3:GetObject on arn:aws-cn:s3:::b/dags/x.py " in str(classify(client_error("AccessDenied", 403), GET))


@pytest.mark.parametrize("code, status", [("PreconditionFailed", 412), ("NoSuchKey", 404)])
def test_an_object_that_changed_after_listing_is_told_apart(code, status):
    assert isinstance(classify(client_error(code, status, operation="GetObject"), GET), ChangedError)


def test_a_malformed_endpoint_is_a_setting():
    fault = classify(ValueError("Invalid endpoint: http://u:hunter2@"), Attempt("connect to", "S3"))
    assert isinstance(fault, SettingsError) and "hunter2" not in str(fault)


def test_our_own_faults_pass_unchanged():
    error = SettingsError("x")
    assert classify(error, LIST) is error
