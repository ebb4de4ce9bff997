"""How task definitions write sizes, and images in Amazon ECR."""

from __future__ import annotations

import pytest

from local.ecs.notation import path_in_ecr, units


class TestSizes:
    @pytest.mark.parametrize(
        ("text", "value"),
        [("512", 512), (".5 vCPU", 512), ("1 vcpu", 1024), ("0.25vCPU", 256), ("2 GB", 2048), ("1GB", 1024),
         (" 256 ", 256)],
    )  # fmt: skip
    def test_are_numbers_or_have_a_unit(self, text: str, value: int) -> None:
        assert units(text) == value

    @pytest.mark.parametrize("text", ["", "much", "1 MB", "-1", "1 2", "vCPU"])
    def test_of_another_form_are_none(self, text: str) -> None:
        assert units(text) is None


class TestImages:
    @pytest.mark.parametrize(
        ("image", "path"),
        [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker:1", "team/worker:1"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/worker@sha256:abc", "worker@sha256:abc"),
        ],
    )
    def test_of_ecr_have_a_path_there(self, image: str, path: str) -> None:
        assert path_in_ecr(image) == path

    @pytest.mark.parametrize(
        "image", ["debian", "public.ecr.aws/debian:1", "mirror/123456789012.dkr.ecr.eu-west-1.amazonaws.com/x"]
    )
    def test_of_elsewhere_have_none(self, image: str) -> None:
        assert path_in_ecr(image) is None
