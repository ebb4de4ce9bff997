"""moto's server, with the parts of CloudFormation that deploy/template.yaml uses and moto lacks.

Runs in the services image: ``python -m local.aws_services.moto_server -H HOST -p PORT``. What is added does its work by
calls to this server's own APIs: secrets, dynamic references to them, a bucket's settings, what outlives a stack. What
AWS does and this does not, `tests/unit/deploy` looks for in the template itself.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import boto3
from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet
from moto.core.common_models import CloudFormationModel
from moto.s3.models import FakeBucket
from moto.server import main

_PORT_FLAG = "-p"
_REFERENCE = re.compile(r"\{\{resolve:secretsmanager:(?P<id>.+?)(?::SecretString(?::(?P<key>[^:}]+))?)?\}\}")


def _client(service: str, region: str) -> Any:
    port = sys.argv[sys.argv.index(_PORT_FLAG) + 1]
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


class StackSecret(CloudFormationModel):  # type: ignore[misc]
    """AWS::SecretsManager::Secret: a given value, or a generated one."""

    __module__ = "moto.secretsmanager.models"  # moto files its models by the service in it

    def __init__(self, arn: str, region: str) -> None:
        self.physical_resource_id = arn
        self._region = region

    @staticmethod
    def cloudformation_name_type() -> str:
        """Return the property that names it."""
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        """Return the type in a template."""
        return "AWS::SecretsManager::Secret"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Return whether GetAtt knows this."""
        return attr == "Id"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """Return the ARN."""
        return self.physical_resource_id

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> StackSecret:
        """Make the secret."""
        properties = cloudformation_json["Properties"]
        manager = _client("secretsmanager", region_name)
        value = properties.get("SecretString")
        if value is None:
            wanted = dict(properties.get("GenerateSecretString", {}))
            template, key = wanted.pop("SecretStringTemplate", None), wanted.pop("GenerateStringKey", None)
            value = manager.get_random_password(**wanted)["RandomPassword"]
            if template is not None:
                value = json.dumps({**json.loads(template), key: value})
        made = manager.create_secret(
            Name=resource_name, SecretString=value, Description=properties.get("Description", "")
        )
        return cls(made["ARN"], region_name)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource: StackSecret, *_: Any, **__: Any) -> StackSecret:
        """Keep it: its value was made once."""
        return original_resource

    def delete(self, account_id: str, region_name: str) -> None:
        """Delete the secret, without the days in which AWS can bring it back."""
        manager = _client("secretsmanager", self._region)
        manager.delete_secret(SecretId=self.physical_resource_id, ForceDeleteWithoutRecovery=True)

    def is_created(self) -> bool:
        """At once."""
        return True


def _completed(value: Any, region: str) -> Any:
    """Return the value with its dynamic references resolved and without AWS::NoValue in lists, at any depth."""
    if isinstance(value, dict):
        return {key: _completed(item, region) for key, item in value.items()}
    if isinstance(value, list):
        return [_completed(item, region) for item in value if item is not None]
    if not isinstance(value, str):
        return value

    def resolved(found: re.Match[str]) -> str:
        text: str = _client("secretsmanager", region).get_secret_value(SecretId=found["id"])["SecretString"]
        return str(json.loads(text)[found["key"]]) if found["key"] else text

    return _REFERENCE.sub(resolved, value)


def _resolve_references() -> None:
    parse = parsing.parse_resource

    def parse_resource(resource_json: dict[str, Any], resources_map: Any) -> Any:
        parsed = parse(resource_json, resources_map)
        if parsed is None:
            return None
        model, document, kind = parsed
        document = _completed(document, resources_map["AWS::Region"])
        group = document["Properties"].get("DBParameterGroupName")
        if hasattr(group, "name"):  # what moto's own parameter group refers to is not its name
            document["Properties"]["DBParameterGroupName"] = group.name
        return model, document, kind

    parsing.parse_resource = parse_resource


def _apply_bucket_settings() -> None:
    create = FakeBucket.create_from_cloudformation_json

    def create_from_cloudformation_json(
        resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **more: Any
    ) -> Any:
        bucket = create(resource_name, cloudformation_json, account_id, region_name, **more)
        properties = cloudformation_json["Properties"]
        s3 = _client("s3", region_name)
        for name, put in (
            ("VersioningConfiguration", s3.put_bucket_versioning),
            ("PublicAccessBlockConfiguration", s3.put_public_access_block),
        ):
            if name in properties:
                put(Bucket=resource_name, **{name: properties[name]})
        return bucket

    FakeBucket.create_from_cloudformation_json = create_from_cloudformation_json


def _finish_change_sets() -> None:
    """Set outputs and parameters of a stack after a change set, as `aws cloudformation deploy` makes them."""
    apply_changes = ChangeSet.apply

    def apply(change_set: Any) -> None:
        apply_changes(change_set)
        stack = change_set.stack
        stack.template, stack.parameters = change_set.template, change_set.parameters
        stack._parse_template()  # noqa: SLF001 - moto has no other way
        stack.output_map = stack._create_output_map()  # noqa: SLF001

    ChangeSet.apply = apply


def _keep_what_outlives_a_stack() -> None:
    """Treat RetainExceptOnCreate as Retain when a stack is deleted."""
    delete_all = parsing.ResourceMap.delete

    def delete(resources: Any) -> None:
        for resource in resources._resource_json_map.values():  # noqa: SLF001
            if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
                resource["DeletionPolicy"] = "Retain"
        delete_all(resources)

    parsing.ResourceMap.delete = delete


if __name__ == "__main__":
    _resolve_references()
    _keep_what_outlives_a_stack()
    _apply_bucket_settings()
    _finish_change_sets()
    main(sys.argv[1:])
