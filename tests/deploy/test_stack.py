"""deploy/template.yaml, deployed to moto's CloudFormation by the command of the documentation: what is there then."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from airflow_ecs_executor.aws.stack import DEPLOY, StackOutputs, read_stack

from local.aws_services.stack import Stack
from local.machine.aws_client import REGION
from tests.paths import ROOT, TOOLS

API_SERVER = "http://airflow.internal:8080/execution/"


class Deployed:
    """A stack in the account of one local AWS."""

    def __init__(self, local: Stack, name: str, **parameters: str) -> None:
        command = shlex.split(DEPLOY.format(name=name))
        if parameters:
            command += ["--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items())]
        environment = {
            **local.aws_environment(),
            "AWS_ENDPOINT_URL": local.aws_endpoint,
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
        }
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout.decode()
        self.name = name
        self.client = local.aws_client
        with pytest.MonkeyPatch.context() as patch:
            for key, value in environment.items():
                patch.setenv(key, value)
            self.outputs: StackOutputs = read_stack(name)

    def secret(self, arn: str) -> str:
        value: str = self.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        return value

    def ingress(self, group: str) -> set[tuple[int, str]]:
        """What a security group lets in: ports, and the groups from which."""
        (found,) = self.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
        assert not [rule for rule in found["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
        return {
            (rule["FromPort"], pair["GroupId"]) for rule in found["IpPermissions"] for pair in rule["UserIdGroupPairs"]
        }

    def resource(self, name: str) -> str:
        """The physical ID of a resource, by its name in the template."""
        found = self.client("cloudformation").describe_stack_resources(StackName=self.name)["StackResources"]
        return next(str(item["PhysicalResourceId"]) for item in found if item.get("LogicalResourceId") == name)

    def database(self) -> dict[str, Any]:
        found = self.client("rds").describe_db_instances(DBInstanceIdentifier=self.resource("Database"))
        return dict(found["DBInstances"][0])

    def task_definition(self) -> dict[str, Any]:
        ecs = self.client("ecs")
        described = ecs.describe_task_definition(taskDefinition=self.outputs.task_definition_family)
        return dict(described["taskDefinition"])


@pytest.fixture(scope="module")
def local() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def airflow_2(local: Stack) -> Deployed:
    """A stack in a network of its own, with a task definition, for Airflow 2."""
    return Deployed(local, "airflow-ecs", AirflowMajorVersion="2", ImageTag="2.11.2-python3.12-s3")


@pytest.fixture(scope="module")
def network(local: Stack) -> dict[str, str]:
    """Parameters that name a network that was there before."""
    ec2 = local.aws_client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
        for number, zone in enumerate("ab")
    ]
    identifiers = ",".join(item["Subnet"]["SubnetId"] for item in subnets)
    return {"VpcId": vpc, "SubnetIds": identifiers, "DatabaseSubnetIds": identifiers, "AssignPublicIp": "True"}


@pytest.fixture(scope="module")
def airflow_3(local: Stack, network: dict[str, str]) -> Deployed:
    """A stack in a network that was there before, with a task definition, for Airflow 3."""
    return Deployed(
        local, "production", **network, Name="data-platform", ImageTag="3.3.2-python3.12-s3",
        ExecutionApiServerUrl=API_SERVER,
    )  # fmt: skip


@pytest.fixture(scope="module")
def closed(local: Stack) -> Deployed:
    """A stack without a way to the internet."""
    zones = f"{REGION}b,{REGION}c"
    return Deployed(local, "closed", Name="closed", Egress="vpc-endpoints", AvailabilityZones=zones)


class TestNetwork:
    def test_a_new_one_has_private_subnets_for_tasks_with_a_way_out(self, airflow_2: Deployed) -> None:
        ec2, outputs = airflow_2.client("ec2"), airflow_2.outputs
        subnets = ec2.describe_subnets(SubnetIds=outputs.subnets.split(","))["Subnets"]
        assert len({item["AvailabilityZone"] for item in subnets}) == 2
        assert {item["VpcId"] for item in subnets} == {outputs.vpc_id}
        assert outputs.assign_public_ip == "False"
        assert not {airflow_2.resource("PublicSubnetA"), airflow_2.resource("PublicSubnetB")} & {
            item["SubnetId"] for item in subnets
        }
        (table,) = ec2.describe_route_tables(RouteTableIds=[airflow_2.resource("PrivateRouteTable")])["RouteTables"]
        assert airflow_2.resource("NatGateway") in [route.get("NatGatewayId") for route in table["Routes"]]
        assert not [route for route in table["Routes"] if route.get("GatewayId", "").startswith("igw-")]

    def test_one_that_was_there_is_used_and_none_is_made(self, airflow_3: Deployed) -> None:
        ec2, outputs = airflow_3.client("ec2"), airflow_3.outputs
        where = [{"Name": "vpc-id", "Values": [outputs.vpc_id]}]
        assert not ec2.describe_nat_gateways(Filter=where)["NatGateways"]
        assert {item["VpcId"] for item in ec2.describe_subnets(SubnetIds=outputs.subnets.split(","))["Subnets"]} == {
            outputs.vpc_id
        }
        assert outputs.assign_public_ip == "True"

    def test_a_closed_one_has_endpoints_instead_in_the_zones_that_were_named(self, closed: Deployed) -> None:
        ec2, outputs = closed.client("ec2"), closed.outputs
        where = [{"Name": "vpc-id", "Values": [outputs.vpc_id]}]
        endpoints = ec2.describe_vpc_endpoints(Filters=where)["VpcEndpoints"]
        prefix = f"com.amazonaws.{REGION}."
        assert {(item["ServiceName"].removeprefix(prefix), item["VpcEndpointType"]) for item in endpoints} == {
            ("s3", "Gateway"),
            *((name, "Interface") for name in ("ecr.api", "ecr.dkr", "ecs", "logs", "secretsmanager", "sts")),
        }
        assert not ec2.describe_nat_gateways(Filter=where)["NatGateways"]
        subnets = ec2.describe_subnets(Filters=where)["Subnets"]
        assert sorted(item["AvailabilityZone"] for item in subnets) == [f"{REGION}b", f"{REGION}c"]

    def test_tasks_of_airflow_2_reach_the_database_and_nothing_reaches_tasks(self, airflow_2: Deployed) -> None:
        outputs = airflow_2.outputs
        assert airflow_2.ingress(airflow_2.resource("DatabaseSecurityGroup")) == {
            (5432, outputs.security_groups),
            (5432, outputs.scheduler_security_group),
        }
        assert airflow_2.ingress(outputs.security_groups) == set()
        assert airflow_2.ingress(outputs.scheduler_security_group) == set()

    def test_tasks_of_airflow_3_reach_the_api_server_and_not_the_database(self, airflow_3: Deployed) -> None:
        outputs = airflow_3.outputs
        assert airflow_3.ingress(airflow_3.resource("DatabaseSecurityGroup")) == {
            (5432, outputs.scheduler_security_group)
        }
        assert airflow_3.ingress(outputs.scheduler_security_group) == {(8080, outputs.security_groups)}


class TestDatabase:
    def test_it_is_private_encrypted_and_backed_up(self, airflow_2: Deployed) -> None:
        database = airflow_2.database()
        assert (database["Engine"], database["DBName"]) == ("postgres", "airflow_db")
        assert (database["PubliclyAccessible"], database["StorageEncrypted"]) == (False, True)
        assert database["BackupRetentionPeriod"] == 7

    def test_its_url_is_a_secret_with_the_generated_password(self, airflow_2: Deployed) -> None:
        outputs = airflow_2.outputs
        credentials = json.loads(airflow_2.secret(outputs.database_credentials_arn))
        assert credentials["username"] == "airflow" and len(credentials["password"]) == 40
        place = f"{airflow_2.database()['Endpoint']['Address']}:5432/airflow_db"
        url = airflow_2.secret(outputs.database_url_secret_arn)
        assert url == f"postgresql+psycopg2://airflow:{credentials['password']}@{place}"

    def test_the_fernet_key_is_one(self, airflow_2: Deployed) -> None:
        key = airflow_2.secret(airflow_2.outputs.fernet_key_secret_arn)
        assert len(key) == 44 and len(base64.urlsafe_b64decode(key)) == 32

    def test_a_fernet_key_that_was_there_is_used_and_none_is_made(self, local: Stack, network: dict[str, str]) -> None:
        """Moto's CloudFormation restores no snapshots, so the database here is a new one."""
        former = local.aws_client("secretsmanager").create_secret(Name="former", SecretString="a key")["ARN"]
        stack = Deployed(
            local, "restored", **network, Name="restored", DatabaseSnapshot="final", FernetKeySecretArn=former,
        )  # fmt: skip
        assert stack.outputs.fernet_key_secret_arn == former
        described = stack.client("cloudformation").describe_stack_resources(StackName=stack.name)["StackResources"]
        assert not {"FernetKey", "FernetKeyMaterial"} & {item.get("LogicalResourceId") for item in described}


class TestStorage:
    def test_the_bucket_is_private_encrypted_and_versioned(self, airflow_2: Deployed) -> None:
        s3, bucket = airflow_2.client("s3"), airflow_2.outputs.bucket_name
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}

    def test_the_repository_is_immutable(self, airflow_2: Deployed) -> None:
        outputs = airflow_2.outputs
        found = airflow_2.client("ecr").describe_repositories(repositoryNames=[outputs.repository_name])
        (repository,) = found["repositories"]
        assert repository["repositoryUri"] == outputs.repository_uri
        assert repository["imageTagMutability"] == "IMMUTABLE"

    def test_container_logs_expire(self, airflow_2: Deployed) -> None:
        (group,) = airflow_2.client("logs").describe_log_groups(logGroupNamePrefix="/airflow/worker")["logGroups"]
        assert group["retentionInDays"] == 30


class TestTaskDefinition:
    def test_that_of_airflow_2_gets_its_secrets_by_reference(self, airflow_2: Deployed) -> None:
        outputs = airflow_2.outputs
        (container,) = airflow_2.task_definition()["containerDefinitions"]
        assert container["image"] == f"{outputs.repository_uri}:2.11.2-python3.12-s3"
        assert {item["name"]: item["valueFrom"] for item in container["secrets"]} == {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": outputs.database_url_secret_arn,
            "AIRFLOW__CORE__FERNET_KEY": outputs.fernet_key_secret_arn,
        }
        password = json.loads(airflow_2.secret(outputs.database_credentials_arn))["password"]
        assert password not in json.dumps(airflow_2.task_definition(), default=str)

    def test_that_of_airflow_3_has_the_api_server_s_address_and_no_secret(self, airflow_3: Deployed) -> None:
        outputs = airflow_3.outputs
        (container,) = airflow_3.task_definition()["containerDefinitions"]
        assert not container.get("secrets")
        assert {item["name"]: item["value"] for item in container["environment"]} == {
            "S3_URI": outputs.dags_uri,
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": outputs.logs_uri,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": API_SERVER,
        }

    def test_its_container_logs_where_the_outputs_say(self, airflow_3: Deployed) -> None:
        (container,) = airflow_3.task_definition()["containerDefinitions"]
        options = container["logConfiguration"]["options"]
        assert options["awslogs-group"] == airflow_3.outputs.log_group_name == "/data-platform/worker"


def test_without_an_image_there_is_no_task_definition(local: Stack, network: dict[str, str]) -> None:
    Deployed(local, "imageless", **network, Name="imageless")
    families = local.aws_client("ecs").list_task_definition_families(familyPrefix="imageless")["families"]
    assert not families


def test_a_deleted_stack_leaves_the_bucket_and_the_fernet_key_and_no_other_secret(
    local: Stack, network: dict[str, str]
) -> None:
    stack = Deployed(local, "deleted", **network, Name="deleted")
    stack.client("cloudformation").delete_stack(StackName="deleted")
    left = {item["ARN"] for item in stack.client("secretsmanager").list_secrets()["SecretList"]}
    outputs = stack.outputs
    assert not {outputs.database_url_secret_arn, outputs.database_credentials_arn} & left
    assert outputs.fernet_key_secret_arn in left
    stack.client("s3").head_bucket(Bucket=stack.outputs.bucket_name)
