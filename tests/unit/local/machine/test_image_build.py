from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from local.machine import image_build
from local.machine.image_build import ca_bundle, trust


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Certificates of a name, and this machine's own in the folder too."""
    system = tmp_path / "system.pem"
    system.touch()
    monkeypatch.setattr(image_build, "_CA_BUNDLE", system)
    return lambda name: tmp_path / name


def test_builds_trust_the_users_certificates_before_the_systems(
    certificates: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = certificates("own.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert ca_bundle() == certificates("system.pem"), "the user's file is not there"
    own.touch()
    assert ca_bundle() == own
    monkeypatch.delenv("SSL_CERT_FILE")
    assert ca_bundle() == certificates("system.pem")
    certificates("system.pem").unlink()
    assert ca_bundle() is None
    assert trust("--ca-bundle") == []


def test_a_flag_names_the_certificates(certificates: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    system = certificates("system.pem")
    assert trust("--ca-bundle") == ["--ca-bundle", str(system)]
    assert trust("--secret", "id=ca,src={}") == ["--secret", f"id=ca,src={system}"]
