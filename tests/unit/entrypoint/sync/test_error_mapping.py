from __future__ import annotations

import errno
import os
from dataclasses import replace

import botocore.exceptions as bc
import pytest
from airflow_ecs_entrypoint.errors import ChangedError, SettingsError
from airflow_ecs_entrypoint.sync.error_mapping import Operation, classify

LIST = Operation("list", "s3://b/dags/", "s3:ListBucket", "b", "eu-west-1", "https://u:hunter2@s3.example.com/x")
EXPIRED = "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z (20260101T011500Z - 15 min.)"
EARLY = "Signature not yet current: 20260101T020000Z is still later than 20260101T010500Z (20260101T010000Z + 5 min.)"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
GET = Operation("download", "s3://b/dags/x.py", "s3:GetObject", "b/dags/x.py", "cn-north-1")


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
        (client_error("AccessDenied", 403, "AssumeRole"), 81, "role cannot be assumed (AccessDenied): allow sts:A"),
        (
            client_error(
                "AccessDenied", 403, message="There were headers present in the request which were not signed"
            ),
            81,
            "NO_PROXY",
        ),
        (client_error("Throttling", 400, operation="AssumeRole"), 84, "start the container again"),
        (client_error("ExpiredToken"), 81, "task role"),
        (client_error("InvalidAccessKeyId", 403), 81, "credentials"),
        (client_error("SignatureDoesNotMatch", 403), 81, "credentials"),
        (
            client_error("AuthorizationHeaderMalformed", message="a non-empty Access Key (AKID) must be provided"),
            81,
            "credentials",
        ),
        (client_error("RequestTimeTooSkewed", 403), 81, "set the clock"),
        (client_error("RequestExpired", 400), 81, "set the clock"),
        (client_error("SignatureDoesNotMatch", 403, message=EXPIRED), 81, "set the clock"),
        (client_error("SignatureDoesNotMatch", 403, "AssumeRole", message=EXPIRED), 81, "set the clock"),
        (client_error("InvalidSignatureException", message=EARLY), 81, "set the clock"),
        (client_error("AllAccessDisabled", 403), 81, "ask AWS Support"),
        (client_error("NoSuchBucket", 404), 82, "no such bucket"),
        (client_error("404", 404, operation="HeadObject"), 82, "no such object, version or bucket"),
        (client_error("405", 405, operation="HeadObject"), 82, "deletion"),
        (client_error("NoSuchVersion", 404), 82, "no such version: correct the pin"),
        (client_error("InvalidObjectState", 403), 82, "restore"),
        (client_error("InvalidArgument", message="Invalid version id specified"), 82, "correct the pin"),
        (client_error("KMS.DisabledException", message=f"{KEY} is disabled."), 82, "enable the key"),
        (
            client_error("KMS.KMSInvalidStateException", message=f"{KEY} is pending deletion."),
            82,
            "cancel its deletion",
        ),
        (client_error("KMS.NotFoundException", message=f"Key '{KEY}' does not exist"), 82, "another key"),
        (client_error("KMS.ThrottlingException"), 84, "throttling"),
        (client_error("NotImplemented", 501), 82, "NotImplemented"),
        (
            client_error("InvalidRequest", message="The object was stored using a form of Server Side Encryption."),
            82,
            "SSE-C",
        ),
        (client_error("407", 407), 82, "proxy"),
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
        (
            client_error("AuthorizationHeaderMalformed", message="the region 'a-1' is wrong; expecting 'b-2'"),
            82,
            "AWS_DEFAULT_REGION=b-2",
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
        (
            bc.CredentialRetrievalError(provider="c", error_msg="Unable to parse JSON returned from container"),
            84,
            "start the container again",
        ),
        (
            bc.CredentialRetrievalError(
                provider="c", error_msg="Received non 200 response (400): CredentialsV2Request: ID not found"
            ),
            84,
            "start the container again",
        ),
        (bc.EndpointConnectionError(endpoint_url="https://hunter2/"), 84, "s3.example.com"),
        (bc.ConnectTimeoutError(endpoint_url="https://hunter2/"), 84, "VPC endpoint"),
        (bc.ReadTimeoutError(endpoint_url="https://hunter2/"), 84, "ReadTimeoutError"),
        (bc.ConnectionClosedError(endpoint_url="https://hunter2/"), 84, "ConnectionClosedError"),
        (bc.IncompleteReadError(actual_bytes=1, expected_bytes=2), 84, "no complete answer"),
        (bc.SSLError(endpoint_url="x", error="CERTIFICATE_VERIFY_FAILED hunter2"), 82, "AWS_CA_BUNDLE"),
        (bc.SSLError(endpoint_url="x", error="CERTIFICATE_VERIFY_FAILED: certificate is not yet valid"), 82, "clock"),
        (bc.SSLError(endpoint_url="x", error="CERTIFICATE_VERIFY_FAILED: Hostname mismatch"), 82, "AWS_ENDPOINT_URL"),
        (bc.SSLError(endpoint_url="x", error="[Errno 2] No such file or directory"), 82, "AWS_CA_BUNDLE names no file"),
        (bc.SSLError(endpoint_url="x", error="WRONG_VERSION_NUMBER"), 82, "HTTPS_PROXY"),
        (bc.SSLError(endpoint_url="x", error="EOF"), 84, "no complete answer"),
        (bc.ProxyConnectionError(proxy_url="http://hunter2", error="x"), 84, "HTTPS_PROXY"),
        (bc.InvalidRegionError(region_name="hunter2"), 80, "region"),
        (bc.ParamValidationError(report="hunter2"), 80, "AWS_*"),
        (bc.ParamValidationError(report="Invalid bucket name hunter2"), 80, "S3 URI"),
        (ConnectionResetError(errno.ECONNRESET, "x"), 84, "no complete answer"),
        (OSError(errno.ENOSPC, "x"), 82, "ephemeral storage"),
        (OSError(errno.EROFS, "x"), 82, "read-only"),
        (OSError(errno.ENAMETOOLONG, "x"), 82, "shorten the key"),
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


@pytest.mark.parametrize(
    "region, partition",
    [("us-gov-west-1", "aws-us-gov"), ("us-isob-east-1", "aws-iso-b"), ("eusc-de-east-1", "aws-eusc"), ("", "aws")],
)
def test_every_partition_has_its_arns(region, partition):
    fault = classify(client_error("AccessDenied", 403), replace(GET, region=region))
    assert f" arn:{partition}:s3:::b/dags/x.py " in str(fault)


@pytest.mark.parametrize(
    "reason, says",
    [
        (
            "kms:Decrypt on resource: K because no identity-based policy allows it",
            "allow kms:Decrypt on the object's KMS",
        ),
        (
            "s3:GetObject on resource: R because no identity-based policy allows the s3:GetObject action",
            "to the task role",
        ),
        ("s3:GetObject on resource: R because no VPC endpoint policy allows it", "in the VPC endpoint policy as well"),
        ("s3:GetObject on resource: R because no resource-based policy allows it", "(of the bucket or key) as well"),
        (
            "s3:GetObject on resource: R because no permissions boundary allows it",
            "in the permissions boundary as well",
        ),
        (
            "s3:GetObjectVersion on resource: R with an explicit deny in a service control policy",
            "the service control policy denies s3:GetObjectVersion on arn:aws-cn:s3:::b/dags/x.py explicitly",
        ),
        ("s3:GetObject on resource: R with an explicit deny", "the policy denies s3:GetObject on"),
    ],
)
def test_the_policy_that_aws_names_is_the_one_to_change(reason, says):
    """docs.aws.amazon.com/IAM/latest/UserGuide, "Troubleshoot access denied error messages"."""
    error = client_error("AccessDenied", 403, message=f"User: arn:aws:sts::1:x is not authorized to perform: {reason}")
    fault = classify(error, GET)
    assert fault.exit_code == 81 and says in str(fault)


def test_a_key_that_may_not_be_used_may_be_told_without_an_action():
    message = "The ciphertext refers to a customer master key that does not exist, or you are not allowed to access."
    assert "allow kms:Decrypt on the object's KMS key" in str(
        classify(client_error("AccessDenied", 403, message=message), GET)
    )


@pytest.mark.parametrize("code, status", [("PreconditionFailed", 412), ("NoSuchKey", 404)])
def test_an_object_that_changed_after_listing_is_told_apart(code, status):
    assert isinstance(classify(client_error(code, status, operation="GetObject"), GET), ChangedError)


def test_our_own_faults_pass_unchanged():
    error = SettingsError("x")
    assert classify(error, LIST) is error
