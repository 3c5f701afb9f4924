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
    *(f"gateway/{name}.py" for name in ("affinity", "pick", "pipeline", "probes")),
    *(f"activator/{name}.py" for name in ("demand", "pipeline", "placement", "waiting_room")),
)
NEEDED = ["mypy[mypyc]>=1.13", "setuptools"]
VARIABLE = "TIDEGATE_COMPILE"


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
            extensions = mypycify(options, opt_level="3", target_dir=scratch, group_name="tidegate")
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
