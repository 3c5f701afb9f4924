"""The compiled build: what it covers, and that a run which is meant to test it does."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def hatch_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_module_that_is_to_be_compiled_exists():
    modules = hatch_build().MODULES
    assert len(modules) == len(set(modules)) > 40
    assert [name for name in modules if not (ROOT / name).is_file()] == []


def test_the_whole_engine_is_compiled_but_the_choice_of_the_loop():
    engine = {f"tidegate/wire/{path.name}" for path in (ROOT / "tidegate/wire").glob("*.py")}
    assert engine - set(hatch_build().MODULES) == {"tidegate/wire/__init__.py", "tidegate/wire/loop.py"}


@pytest.mark.parametrize(
    ("value", "wanted"), [(None, False), ("", False), ("0", False), ("false", False), ("1", True), ("true", True)]
)
def test_nothing_is_asked_for_unless_the_variable_says_so(monkeypatch, value, wanted):
    build = hatch_build()
    monkeypatch.delenv(build.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(build.VARIABLE, value)
    hook = object.__new__(build.CompiledBuildHook)
    assert bool(hook.dependencies()) == wanted
    if not wanted:
        data: dict[str, object] = {}
        hook.initialize("standard", data)
        assert data == {}


def test_an_editable_install_is_never_compiled(monkeypatch):
    build = hatch_build()
    monkeypatch.setenv(build.VARIABLE, "1")
    data: dict[str, object] = {}
    object.__new__(build.CompiledBuildHook).initialize("editable", data)
    assert data == {}


@pytest.mark.skipif("TIDEGATE_EXPECT_COMPILED" not in os.environ, reason="only `make compiled-test` runs compiled code")
@pytest.mark.parametrize("name", hatch_build().MODULES)
def test_this_run_uses_the_compiled_module(name):
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    assert module.__file__ is not None
    assert Path(module.__file__).suffix == (".pyd" if sys.platform == "win32" else ".so")
