"""Imports from a folder that is still being synced wait for it; all others do not."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import sys

import pytest
from airflow_ecs_entrypoint.starting.gate import Gate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on sys.path that is not synced yet, and that Python has already searched."""
    place = tmp_path / "dags"
    place.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(place), str(tmp_path / "elsewhere")])
    with pytest.raises(ImportError):
        importlib.import_module("gate_no_such_module")
    yield place
    for name in [name for name in sys.modules if name.startswith("gate_")]:
        del sys.modules[name]


class Sync:
    """A sync that is finished as soon as it is waited for."""

    def __init__(self, folder, name="gate_late.py", text="VALUE = 42\n"):
        self.waited = 0
        self._file = folder / name
        self._text = text

    def __call__(self):
        self.waited += 1
        self._file.parent.mkdir(exist_ok=True)
        self._file.write_text(self._text)


def test_an_import_from_the_folder_waits_for_the_sync(folder):
    sync = Sync(folder)
    with Gate([str(folder)], sync):
        assert sync.waited == 0
        assert importlib.import_module("gate_late").VALUE == 42
        assert sync.waited == 1
    assert sync.waited == 1


def test_an_import_that_is_found_before_the_folder_does_not_wait(folder):
    sync = Sync(folder)
    with Gate([str(folder)], sync):
        import colorsys  # noqa: F401
        import wave  # noqa: F401

        assert sync.waited == 0
    assert sync.waited == 1, "the end of the block waits"


def test_an_import_that_nobody_has_waits_first(folder):
    sync = Sync(folder)
    with Gate([str(folder)], sync), pytest.raises(ModuleNotFoundError):
        importlib.import_module("gate_nowhere")
    assert sync.waited == 1


def test_a_folder_inside_the_folder_is_guarded_too(folder, monkeypatch):
    inner = folder / "lib"
    sync = Sync(inner)
    monkeypatch.setattr(sys, "path", [str(inner), *sys.path])
    with Gate([str(folder)], sync):
        assert importlib.import_module("gate_late").VALUE == 42


def test_the_folder_shadows_as_it_does_without_a_gate(folder, tmp_path):
    """What comes later on sys.path is looked at only if the synced folder has no such module."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "gate_late.py").write_text("VALUE = 'elsewhere'\n")
    with Gate([str(folder)], Sync(folder)):
        assert importlib.import_module("gate_late").VALUE == 42


def test_entry_points_are_looked_up_after_the_sync(folder):
    text = "[gate.test]\nname = gate_late:VALUE\n"
    sync = Sync(folder, "gate_dist-1.0.dist-info/entry_points.txt", text)
    with Gate([str(folder)], sync):
        found = [distribution.entry_points for distribution in importlib.metadata.distributions(path=[str(folder)])]
        assert sync.waited == 1
    assert [point.group for points in found for point in points] == ["gate.test"]


def test_the_folder_itself_as_a_package_of_its_parent_is_waited_for(folder, tmp_path, monkeypatch):
    """For Airflow 3, the first entry of sys.path is AIRFLOW_HOME."""
    package = tmp_path / "gate_config"
    package.mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    sync = Sync(package, "__init__.py")
    with Gate([str(package)], sync):
        assert importlib.import_module("gate_config").VALUE == 42


def test_a_link_to_the_folder_is_guarded_too(folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "link")])
    sys.path.remove(str(folder))
    with Gate([str(folder)], Sync(folder)):
        assert importlib.import_module("gate_late").VALUE == 42


def test_modules_of_the_folder_can_be_listed(folder):
    with Gate([str(folder)], Sync(folder)):
        assert [found.name for found in pkgutil.iter_modules([str(folder)])] == ["gate_late"]


def test_nothing_is_left_behind(folder):
    before = list(sys.meta_path), list(sys.path_hooks)
    with Gate([str(folder)], Sync(folder)):
        importlib.import_module("gate_late")
    assert (list(sys.meta_path), list(sys.path_hooks)) == before
    assert type(sys.path_importer_cache.get(str(folder))).__name__ in ("FileFinder", "NoneType")
    (folder / "gate_later.py").write_text("")
    importlib.invalidate_caches()
    importlib.import_module("gate_later")
