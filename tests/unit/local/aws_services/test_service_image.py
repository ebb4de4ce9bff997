"""The image of the local services is built again when its files change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from local.aws_services import service_image


@pytest.mark.parametrize("name", ["Dockerfile", "registry.yaml", "requirements.txt"])
def test_a_changed_file_makes_a_new_image(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = service_image.image_name()
    shutil.copytree(service_image._FOLDER, tmp_path / "services")
    monkeypatch.setattr(service_image, "_FOLDER", tmp_path / "services")
    assert service_image.image_name() == before
    with (tmp_path / "services" / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert service_image.image_name() != before
