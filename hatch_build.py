"""The optional compiled build: the HTTP engine and the directors as C extensions made by mypyc from the same source.

`TIDEGATE_COMPILE=1 pip install .` makes a wheel with them; without the variable the wheel is pure Python and nothing
here runs. `python hatch_build.py FOLDER` writes sources and extensions to a folder, for tests and benchmarks. Needs
mypy, setuptools and a C compiler. An editable install is never compiled: it would go on running old code.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent
PACKAGES = ("tidegate", "gateway", "activator", "queueproxy")
MODULES = (
    *(
        f"tidegate/wire/{path.name}"
        for path in sorted((ROOT / "tidegate/wire").glob("[a-z]*.py"))
        if path.stem != "loop"
    ),
    "tidegate/process/level.py",
    *(f"queueproxy/{name}.py" for name in ("limiter", "meter", "pipeline")),
    *(f"gateway/{name}.py" for name in ("affinity", "pick", "pipeline", "probes", "routes")),
    *(f"activator/{name}.py" for name in ("demand", "pipeline", "placement", "waiting_room")),
)
NEEDED = ["mypy>=2.0", "setuptools>=75"]
"""What the compiling itself needs: mypyc, and a driver for the C compiler."""
VARIABLE = "TIDEGATE_COMPILE"

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a command, or read by a test
    BuildHookInterface = object


class CompiledBuildHook(BuildHookInterface):  # type: ignore[misc, valid-type]
    """Adds the extensions to a wheel when the environment asks for them."""

    PLUGIN_NAME = "custom"

    def _is_wanted(self) -> bool:
        return os.environ.get(VARIABLE, "0") not in ("", "0", "false")

    def dependencies(self) -> list[str]:
        """Ask for the tools only where they are used."""
        return NEEDED if self._is_wanted() else []

    def initialize(self, version: str, build_data: dict[str, object]) -> None:
        """Compile into a scratch folder and name what the wheel takes from it."""
        if version == "editable" or not self._is_wanted():
            return
        self._scratch = tempfile.TemporaryDirectory()
        folder = Path(self._scratch.name)
        build_data["force_include"] = {str(folder / name): name.as_posix() for name in compile_into(folder)}
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_into(folder: Path) -> list[Path]:
    """Compile `MODULES` and write the extensions below `folder`; returns them, relative to it. Raises SystemExit when
    the source is not fit for mypyc, and setuptools' errors when the compiler fails."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    before = Path.cwd()
    os.chdir(ROOT)  # mypyc names modules by their path from here
    try:
        with tempfile.TemporaryDirectory() as scratch:
            options = ["--follow-imports=silent", "--ignore-missing-imports", *MODULES]
            extensions = mypycify(options, opt_level="2", target_dir=scratch, group_name="tidegate")
            command = build_ext(Distribution({"name": "tidegate", "ext_modules": extensions}))
            command.build_lib, command.build_temp = str(folder), scratch
            command.parallel = os.cpu_count() or 1
            command.ensure_finalized()
            command.run()
    finally:
        os.chdir(before)
    return sorted(path.relative_to(folder) for path in folder.rglob("*.so"))


def main() -> None:
    """Write a compiled copy of the packages to the folder named on the command line."""
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for extension in compile_into(folder):
        print(extension)


if __name__ == "__main__":
    main()
