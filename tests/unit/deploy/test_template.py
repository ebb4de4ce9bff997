"""deploy/template.yaml as data: what no stand-in of AWS carries out, and what must hold of every policy in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import yaml

from tests.paths import DOCS, ROOT

TEXT = (ROOT / "deploy" / "template.yaml").read_text(encoding="utf-8")

WITHOUT_A_NARROWER_RESOURCE = {"Login", "Find", "Definition"}
"""Statements for which AWS knows no resource but ``*``."""


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as its long ones."""


def _short_form(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        value: Any = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        value = loader.construct_scalar(node)  # type: ignore[arg-type]
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _short_form)
TEMPLATE = yaml.load(TEXT, _Loader)
RESOURCES = TEMPLATE["Resources"]


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(resource: str) -> Iterator[dict[str, Any]]:
    """All statements of a role's or a policy's resource that permit something."""
    given = properties(resource)
    documents = [given["PolicyDocument"]] if "PolicyDocument" in given else []
    for policy in given.get("Policies", ()):
        documents.append(on_request(policy)["PolicyDocument"])
    for document in documents:
        yield from map(on_request, document["Statement"])


def on_request(item: dict[str, Any]) -> dict[str, Any]:
    """An item of a list; if it is there under a condition alone, as it then is."""
    if "Fn::If" not in item:
        return item
    _, found, otherwise = item["Fn::If"]
    assert otherwise == {"Ref": "AWS::NoValue"}
    return dict(found)


def named_in(value: Any) -> set[str]:
    """The resources to which a value refers, at any depth."""
    if isinstance(value, list):
        return {name for item in value for name in named_in(item)}
    if not isinstance(value, dict):
        return set()
    found = {name for item in value.values() for name in named_in(item)}
    for function, given in value.items():
        if function == "Ref":
            found.add(given)
        elif function == "Fn::GetAtt":
            found.add(given[0] if isinstance(given, list) else given.split(".")[0])
        elif function == "Fn::Sub":
            found |= {name.split(".")[0] for name in re.findall(r"\$\{([A-Za-z0-9.]+)\}", listed(given)[0])}
    return found & set(RESOURCES)


def made_before(name: str) -> set[str]:
    """The resources that CloudFormation makes before this one."""
    resource = RESOURCES[name]
    direct = named_in([resource["Properties"], resource.get("Metadata")]) | set(listed(resource.get("DependsOn", [])))
    return direct | {further for item in direct for further in made_before(item)}


def refused(**parameters: str) -> list[str]:
    """The rules that refuse a deployment with these parameters."""
    values = {name: parameter["Default"] for name, parameter in TEMPLATE["Parameters"].items()} | parameters

    def value(function: Any) -> Any:
        if not isinstance(function, dict):
            return function
        ((name, given),) = function.items()
        if name == "Ref":
            return values[given]
        items = [value(item) for item in given]
        known = {"Fn::Equals": items[0] == items[-1], "Fn::Not": not items[0], "Fn::And": all(items)}
        return known[name]

    return [
        name
        for name, rule in TEMPLATE["Rules"].items()
        if value(rule["RuleCondition"]) and not all(value(item["Assert"]) for item in rule["Assertions"])
    ]


def outlives_the_stack(name: str) -> bool:
    """Whether a resource stays, unless the stack's first deployment fails."""
    resource = RESOURCES[name]
    return (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


PERMISSIONS = [
    pytest.param(statement, id=f"{resource} {statement['Sid']}")
    for resource in ("ExecutionRole", "ExecutionSecrets", "TaskRole", "SchedulerPolicy")
    for statement in statements(resource)
]


class TestPermissions:
    """Least privilege, each with its reason."""

    @pytest.mark.parametrize("statement", PERMISSIONS)
    def test_a_statement_names_actions_and_what_they_are_for(self, statement: dict[str, Any]) -> None:
        assert statement["Effect"] == "Allow"
        assert not [action for action in listed(statement["Action"]) if "*" in action]
        everywhere = "*" in listed(statement["Resource"])
        assert everywhere == (statement["Sid"] in WITHOUT_A_NARROWER_RESOURCE)

    def test_every_statement_has_its_reason_beside_it(self) -> None:
        lines = TEXT.splitlines()
        found = [number for number, line in enumerate(lines) if re.match(r"\s+- (\{Sid:|Sid:|Effect:)", line)]
        assert len(found) > len(PERMISSIONS)
        for number in found:
            assert lines[number - 1].lstrip().startswith("#"), f"line {number + 1}: {lines[number].strip()}"

    def test_the_scheduler_may_do_what_the_executor_s_documentation_asks_for(self) -> None:
        text = (DOCS / "executor.md").read_text(encoding="utf-8")
        documented = json.loads(next(block for block in re.findall(r"```json\n(.*?)```", text, re.S) if "Sid" in block))
        asked = {action for statement in documented["Statement"] for action in listed(statement["Action"])}
        allowed = {action for statement in statements("SchedulerPolicy") for action in listed(statement["Action"])}
        assert asked <= allowed

    def test_only_ecs_takes_the_roles_of_tasks_and_that_of_dags_for_this_account_alone(self) -> None:
        for role in ("ExecutionRole", "TaskRole"):
            (trust,) = properties(role)["AssumeRolePolicyDocument"]["Statement"]
            assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        (trust,) = properties("TaskRole")["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}

    def test_the_airflow_host_reads_the_dags_that_tasks_read(self) -> None:
        read = [
            next(item["Resource"] for item in statements(resource) if item["Sid"] == "Dags")
            for resource in ("SchedulerPolicy", "TaskRole")
        ]
        assert read[0] == read[1]

    def test_the_stack_is_read_by_its_name(self) -> None:
        """IAM compares a call by name with ``stack/NAME/*``: aws-samples/aws-hpc-tutorials#271, aws/aws-cdk#7319."""
        (statement,) = (item for item in statements("SchedulerPolicy") if item["Sid"] == "Stack")
        assert statement["Resource"]["Fn::Sub"].endswith(":stack/${AWS::StackName}/*")

    def test_the_scheduler_hands_roles_to_nobody_but_ecs(self) -> None:
        (statement,) = (item for item in statements("SchedulerPolicy") if item["Action"] == "iam:PassRole")
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}

    @pytest.mark.parametrize("kind", ["Task", "Execution"])
    def test_both_roles_of_tasks_take_further_policies(self, kind: str) -> None:
        attached = properties(f"{kind}Role")["ManagedPolicyArns"]["Fn::If"]
        assert attached[:2] == [f"More{kind}Policies", {"Fn::Split": [",", {"Ref": f"{kind}PolicyArns"}]}]

    def test_only_tasks_of_airflow_2_get_secrets(self) -> None:
        assert RESOURCES["ExecutionSecrets"]["Condition"] == "Airflow2"
        assert properties("ExecutionSecrets")["Roles"] == [{"Ref": "ExecutionRole"}]
        assert "secretsmanager:GetSecretValue" not in [item["Action"] for item in statements("ExecutionRole")]
        container = properties("TaskDefinition")["ContainerDefinitions"][0]
        assert container["Secrets"]["Fn::If"][0] == "Airflow2"
        assert RESOURCES["TasksReachTheDatabase"]["Condition"] == "Airflow2"

    def test_only_tasks_of_airflow_3_reach_the_api_server(self) -> None:
        assert RESOURCES["TasksReachTheApiServer"]["Condition"] == "Airflow3"

    def test_both_roles_of_tasks_have_the_permissions_boundary(self) -> None:
        for role in ("ExecutionRole", "TaskRole"):
            boundary = properties(role)["PermissionsBoundary"]
            assert boundary["Fn::If"] == ["Boundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]

    def test_roles_and_policy_have_the_path_that_was_asked_for(self) -> None:
        """PassRole names the roles by their ARNs, in which the path is."""
        for name in ("ExecutionRole", "TaskRole", "SchedulerPolicy"):
            assert properties(name)["Path"] == {"Ref": "IamPath"}
        (passed,) = (item for item in statements("SchedulerPolicy") if item["Action"] == "iam:PassRole")
        assert passed["Resource"] == [{"Fn::GetAtt": "ExecutionRole.Arn"}, {"Fn::GetAtt": "TaskRole.Arn"}]


class TestCustomerKey:
    KEY: ClassVar = {"Fn::If": ["CustomerKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}

    def test_all_that_is_kept_is_encrypted_by_it(self) -> None:
        secrets = [name for name, item in RESOURCES.items() if item["Type"] == "AWS::SecretsManager::Secret"]
        assert secrets
        assert [properties(name)["KmsKeyId"] for name in (*secrets, "LogGroup")] == [self.KEY] * (len(secrets) + 1)
        assert properties("Database")["KmsKeyId"]["Fn::If"] == ["Restored", {"Ref": "AWS::NoValue"}, self.KEY]
        assert properties("Repository")["EncryptionConfiguration"]["Fn::If"] == [
            "CustomerKey",
            {"EncryptionType": "KMS", "KmsKey": {"Ref": "KmsKeyArn"}},
            {"EncryptionType": "AES256"},
        ]
        (rule,) = properties("Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["Fn::If"] == [
            "CustomerKey",
            {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "KmsKeyArn"}},
            {"SSEAlgorithm": "AES256"},
        ]

    @pytest.mark.parametrize(
        "resource, actions, services",
        [
            ("ExecutionSecrets", ["kms:Decrypt"], ["secretsmanager"]),
            ("TaskRole", ["kms:Decrypt", "kms:GenerateDataKey"], ["s3"]),
            ("SchedulerPolicy", ["kms:Decrypt", "kms:GenerateDataKey"], ["s3", "secretsmanager"]),
        ],
    )
    def test_it_is_used_through_the_services_that_the_policy_is_about(
        self, resource: str, actions: list[str], services: list[str]
    ) -> None:
        (statement,) = (item for item in statements(resource) if item["Sid"] == "Key")
        assert (listed(statement["Action"]), statement["Resource"]) == (actions, {"Ref": "KmsKeyArn"})
        through = statement["Condition"]["StringLike"]["kms:ViaService"]
        assert listed(through) == [{"Fn::Sub": f"{service}.${{AWS::Region}}.amazonaws.com*"} for service in services]


class TestBucket:
    def test_it_keeps_old_versions_for_pins_and_no_arguments_of_tasks(self) -> None:
        rules = {rule["Id"]: rule for rule in properties("Bucket")["LifecycleConfiguration"]["Rules"]}
        assert rules["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "OldVersionDays"}}
        assert "Prefix" not in rules["old-versions"]
        workloads = rules["workloads"]
        assert (workloads["Prefix"], workloads["ExpirationInDays"]) == ("workloads/", 2)
        assert workloads["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}

    def test_nothing_travels_unencrypted(self) -> None:
        (statement,) = properties("BucketPolicy")["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}

    def test_it_outlives_the_stack_with_its_policy(self) -> None:
        for name in ("Bucket", "BucketPolicy"):
            assert outlives_the_stack(name)


def test_the_api_server_has_a_name_in_the_vpc_once_its_address_is_known() -> None:
    assert RESOURCES["Zone"]["Condition"] == RESOURCES["ApiServerRecord"]["Condition"] == "ApiServerName"
    (network,) = properties("Zone")["VPCs"]
    assert network["VPCId"] == {"Fn::If": ["NewVpc", {"Ref": "Vpc"}, {"Ref": "VpcId"}]}
    record = properties("ApiServerRecord")
    assert record["Name"] == properties("Zone")["Name"] == {"Fn::Sub": "${Name}.internal"}
    assert (record["Type"], record["ResourceRecords"]) == ("A", [{"Ref": "ApiServerAddress"}])


class TestDatabase:
    def test_connections_are_encrypted(self) -> None:
        assert properties("DatabaseParameters")["Parameters"] == {"rds.force_ssl": "1"}

    def test_its_url_has_nothing_that_only_one_of_airflow_s_drivers_knows(self) -> None:
        assert properties("DatabaseUrl")["SecretString"]["Fn::Join"][1][-1] == "/airflow_db"

    def test_it_is_not_deleted_without_a_snapshot(self) -> None:
        database = RESOURCES["Database"]
        assert database["DeletionPolicy"] == database["UpdateReplacePolicy"] == "Snapshot"
        assert database["Properties"]["DeletionProtection"] == {"Ref": "DatabaseDeletionProtection"}
        assert TEMPLATE["Parameters"]["DatabaseDeletionProtection"]["Default"] == "true"

    def test_it_is_made_when_nothing_else_can_fail_that_is_easily_in_the_way(self) -> None:
        # RDS refuses to delete a protected database, so a deployment that has failed would stay half-made.
        assert {"Cluster", "LogGroup", "Repository", "TaskRole"} <= set(RESOURCES["Database"]["DependsOn"])
        seldom_fail = {
            "AWS::EC2::Route",
            "AWS::EC2::RouteTable",
            "AWS::EC2::SecurityGroupIngress",
            "AWS::EC2::Subnet",
            "AWS::EC2::SubnetRouteTableAssociation",
        }
        first = made_before("Database")
        for name, resource in RESOURCES.items():
            after = name == "Database" or "Database" in made_before(name)
            assert after or name in first or resource["Type"] in seldom_fail, name

    def test_its_major_version_can_be_raised(self) -> None:
        assert properties("Database")["AllowMajorVersionUpgrade"] is True

    def test_its_default_version_is_the_newest_that_every_airflow_is_tested_with(self) -> None:
        """Airflow tests 2.10 and 2.11 with 12 to 16, 3.0 and 3.1 with 13 to 17, 3.2 and 3.3 with 14 to 18.

        Source: Airflow's README, "Requirements", of each release. RDS names the family of parameters after the
        major version (postgres16).
        """
        version = TEMPLATE["Parameters"]["DatabaseVersion"]
        assert (version["AllowedValues"], version["Default"]) == (["15", "16", "17", "18"], "16")
        assert properties("DatabaseParameters")["Family"] == {"Fn::Sub": "postgres${DatabaseVersion}"}

    def test_what_its_snapshot_is_encrypted_with_outlives_the_stack(self) -> None:
        assert outlives_the_stack("FernetKey")

    @pytest.mark.parametrize(
        "name", ["DBName", "MasterUsername", "AllocatedStorage", "StorageType", "StorageEncrypted"]
    )
    def test_a_restored_one_has_what_its_snapshot_has(self, name: str) -> None:
        """AWS::RDS::DBInstance, DBSnapshotIdentifier: what must not be given beside it, or may not fit the snapshot."""
        assert properties("Database")[name]["Fn::If"][:2] == ["Restored", {"Ref": "AWS::NoValue"}]

    def test_a_restored_one_gets_the_stack_s_password_which_its_url_has(self) -> None:
        password = properties("Database")["MasterUserPassword"]
        assert password in properties("DatabaseUrl")["SecretString"]["Fn::Join"][1]

    def test_a_restored_one_comes_with_the_fernet_key_of_its_snapshot(self) -> None:
        (rule,) = TEMPLATE["Rules"]["ARestoredDatabaseHasItsFernetKey"]["Assertions"]
        assert rule["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "FernetKeySecretArn"}, ""]}]}
        key = {"Fn::If": ["NewFernetKey", {"Ref": "FernetKey"}, {"Ref": "FernetKeySecretArn"}]}
        assert TEMPLATE["Outputs"]["FernetKeySecretArn"]["Value"] == key
        readers = [item for policy in ("ExecutionSecrets", "SchedulerPolicy") for item in statements(policy)]
        secrets = [item["Resource"] for item in readers if item["Action"] == "secretsmanager:GetSecretValue"]
        assert secrets == [[{"Ref": "DatabaseUrl"}, key]] * 2
        (container,) = properties("TaskDefinition")["ContainerDefinitions"]
        assert {"Name": "AIRFLOW__CORE__FERNET_KEY", "ValueFrom": key} in container["Secrets"]["Fn::If"][1]

    def test_its_security_group_alone_is_in_front_of_it(self) -> None:
        assert properties("Database")["VPCSecurityGroups"] == [{"Fn::GetAtt": "DatabaseSecurityGroup.GroupId"}]


NETWORK = {"VpcId": "vpc-1", "SubnetIds": "subnet-1", "DatabaseSubnetIds": "subnet-2,subnet-3"}
RESTORED = {
    "DatabaseSnapshot": "final",
    "FernetKeySecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key",
}


class TestRules:
    """What a deployment is refused for before anything is made."""

    @pytest.mark.parametrize("parameters", [{}, {"Egress": "vpc-endpoints"}, NETWORK, RESTORED], ids=str)
    def test_parameters_that_belong_together_are_taken(self, parameters: dict[str, str]) -> None:
        assert refused(**parameters) == []

    @pytest.mark.parametrize(
        "parameters", [{"Egress": "vpc-endpoints"}, {"AvailabilityZones": "eu-west-1b,eu-west-1c"}], ids=str
    )
    def test_an_existing_vpc_takes_nothing_that_only_a_new_one_has(self, parameters: dict[str, str]) -> None:
        assert refused(**NETWORK, **parameters) == ["AnExistingVpcHasSubnets"]

    def test_a_new_vpc_takes_no_subnets(self) -> None:
        assert refused(SubnetIds="subnet-1") == ["ANewVpcHasItsOwnSubnets"]

    def test_a_snapshot_and_its_fernet_key_come_together(self) -> None:
        """The key alone would take the place of the one by which the stack's database is encrypted."""
        assert refused(DatabaseSnapshot="final") == ["ARestoredDatabaseHasItsFernetKey"]
        key = RESTORED["FernetKeySecretArn"]
        assert refused(FernetKeySecretArn=key) == ["AFernetKeyComesWithItsDatabase"]


@pytest.mark.parametrize("name", ["VpcId", "VpcPrefix", "AvailabilityZones", "KmsKeyArn"])
def test_a_parameter_whose_change_a_running_stack_cannot_follow_says_so(name: str) -> None:
    assert "It cannot be changed later." in TEMPLATE["Parameters"][name]["Description"]


def test_a_new_vpc_is_in_the_zones_that_are_named_or_else_in_the_region_s_first_two() -> None:
    """Not every zone has Fargate: AWS_Fargate-Regions in the Amazon ECS Developer Guide."""
    zones = {"Fn::If": ["NamedZones", {"Fn::Split": [",", {"Ref": "AvailabilityZones"}]}, {"Fn::GetAZs": ""}]}
    for kind in ("Public", "Private"):
        chosen = [properties(f"{kind}Subnet{letter}")["AvailabilityZone"] for letter in "AB"]
        assert chosen == [{"Fn::Select": [0, zones]}, {"Fn::Select": [1, zones]}]
    assert TEMPLATE["Parameters"]["AvailabilityZones"]["Default"] == ""


class TestEgress:
    """How the private subnets of a new VPC reach AWS."""

    @staticmethod
    def under(condition: str) -> set[str]:
        return {name for name, resource in RESOURCES.items() if resource.get("Condition") == condition}

    def test_by_default_through_a_nat_gateway(self) -> None:
        assert TEMPLATE["Parameters"]["Egress"]["Default"] == "nat-gateway"
        assert {"NatGateway", "PrivateRoute", "InternetGateway"} <= self.under("NatEgress")

    def test_with_endpoints_there_is_no_way_to_the_internet(self) -> None:
        for name in self.under("NewVpc") | self.under("EndpointEgress"):
            assert RESOURCES[name]["Type"] not in (
                "AWS::EC2::InternetGateway",
                "AWS::EC2::NatGateway",
                "AWS::EC2::Route",
            )

    @pytest.mark.parametrize(
        "service, prefix_in_china",
        [
            ("ecr.api", True),
            ("ecr.dkr", True),
            ("logs", False),
            ("secretsmanager", False),
            ("ecs", False),
            ("sts", True),
        ],
    )
    def test_an_endpoint_answers_for_its_service_in_both_subnets(self, service: str, prefix_in_china: bool) -> None:
        """Some services' endpoints begin with ``cn.`` in China, others do not: aws/aws-cdk#25333."""
        plain = f"com.amazonaws.${{AWS::Region}}.{service}"
        prefixed = [f"${{Cn}}{plain}", {"Cn": {"Fn::If": ["China", "cn.", ""]}}]
        name = {"Fn::Sub": prefixed if prefix_in_china else plain}
        found = [
            properties(item) for item in self.under("EndpointEgress") if properties(item).get("ServiceName") == name
        ]
        (endpoint,) = found
        assert endpoint["SubnetIds"] == [{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]
        assert (endpoint["VpcEndpointType"], endpoint["PrivateDnsEnabled"]) == ("Interface", True)
        assert endpoint["SecurityGroupIds"] == [{"Ref": "EndpointSecurityGroup"}]

    def test_tasks_and_scheduler_reach_the_endpoints(self) -> None:
        rules = properties("EndpointSecurityGroup")["SecurityGroupIngress"]
        assert [(rule["ToPort"], rule["SourceSecurityGroupId"]["Fn::GetAtt"]) for rule in rules] == [
            (443, "TaskSecurityGroup.GroupId"),
            (443, "SchedulerSecurityGroup.GroupId"),
        ]


def test_private_subnets_have_the_private_routes() -> None:
    for letter in "AB":
        assert properties(f"PrivateRoutes{letter}") == {
            "SubnetId": {"Ref": f"PrivateSubnet{letter}"},
            "RouteTableId": {"Ref": "PrivateRouteTable"},
        }


def test_the_repository_scans_what_is_pushed() -> None:
    assert properties("Repository")["ImageScanningConfiguration"] == {"ScanOnPush": True}


def test_the_repository_forgets_untagged_images_and_the_oldest() -> None:
    policy = properties("Repository")["LifecyclePolicy"]["LifecyclePolicyText"]["Fn::Sub"]
    rules = json.loads(policy.replace("${ImagesKept}", "100"))["rules"]
    assert [(rule["selection"]["tagStatus"], rule["selection"]["countType"]) for rule in rules] == [
        ("untagged", "sinceImagePushed"),
        ("any", "imageCountMoreThan"),
    ]


def test_the_cluster_offers_spot_as_well() -> None:
    assert properties("Cluster")["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]


def test_it_is_small_enough_to_be_deployed_without_a_bucket() -> None:
    """AWS CloudFormation User Guide, "Understand CloudFormation quotas": template body size in a request."""
    assert len(TEXT.encode()) <= 51_200


def test_every_parameter_says_what_it_is_and_stands_in_a_group() -> None:
    interface = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in interface for name in group["Parameters"]]
    assert sorted(grouped) == sorted(TEMPLATE["Parameters"])
    assert not [name for name, parameter in TEMPLATE["Parameters"].items() if not parameter.get("Description")]


def test_no_parameter_takes_a_secret_but_by_its_arn() -> None:
    named = {
        name: parameter
        for name, parameter in TEMPLATE["Parameters"].items()
        if re.search("password|secret|key", name, re.IGNORECASE)
    }
    assert named
    assert not [name for name, parameter in named.items() if not parameter["AllowedPattern"].startswith("|arn:")]


def test_descriptions_of_security_groups_are_of_the_characters_that_ec2_takes() -> None:
    allowed = re.compile(r"[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")  # EC2 API Reference, CreateSecurityGroup
    found = [item["Properties"] for item in RESOURCES.values() if item["Type"].startswith("AWS::EC2::SecurityGroup")]
    texts = [item.get("GroupDescription", item.get("Description")) for item in found]
    assert texts and all(allowed.fullmatch(text) for text in texts)
