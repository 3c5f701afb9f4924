"""What a template must have done before a Python program can be forked from it, and which programs can be.

Pure. A template is known by its interpreter, the modules it imported and those variables that imports read: a program
that wants other threads for OpenMP needs another template. `PYTHONPATH` is not one of them: pods have folders of their
own in it, so it is put in place after the fork. Nor is a token: a template is remembered in a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ANNOTATION = "tidegate.dev/preload"
OFF = "none"
MODULES_LIMIT = 32
READ_BY_IMPORTS = (
    "CUDA_",
    "GLIBC_TUNABLES",
    "HF_",
    "JAX_",
    "KMP_",
    "LD_",
    "MALLOC_",
    "MKL_",
    "NUMEXPR_",
    "NVIDIA_",
    "OMP_",
    "OPENBLAS_",
    "ORT_",
    "PYTHON",
    "PYTORCH_",
    "TF_",
    "TORCH_",
    "XLA_",
)
"""Variables that begin with one of these are in place before a template imports anything."""
SET_AFTERWARDS = ("HF_TOKEN", "PYTHONPATH", "PYTHONUNBUFFERED")
OF_THE_NODE = ("HOME", "LANG", "LC_ALL", "PATH", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")
"""What a template for pods has of the node's own variables: its children can read them in /proc/self/environ."""
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class PreloadError(ValueError):
    """The list of modules cannot be used; the message names the annotation and the word."""


@dataclass(frozen=True, slots=True)
class Template:
    """What one template process is: its interpreter, its imports in order, its variables."""

    python: str
    modules: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """What people read about it."""
        return ", ".join(name.removesuffix(".__main__") for name in self.modules)


@dataclass(frozen=True, slots=True)
class Program:
    """A Python program: `kind` is module, script or code; `args` begin with its name or text."""

    kind: str
    args: tuple[str, ...]


def modules_of(text: str, where: str = ANNOTATION) -> tuple[str, ...]:
    """Read `torch, numpy`: an empty tuple for nothing or `none`; raises `PreloadError`."""
    words = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if words == (OFF,):
        return ()
    if len(words) > MODULES_LIMIT:
        raise PreloadError(f"{where}: {len(words)} modules are more than {MODULES_LIMIT}")
    for word in words:
        if not _MODULE.fullmatch(word):
            raise PreloadError(f"{where}: {word!r} is not the name of a Python module (write for example torch,numpy)")
    return words


def template_for(python: str, modules: Sequence[str], env: Mapping[str, str]) -> Template:
    """Return the template from which a program with these variables can be forked."""
    kept = {key: value for key, value in env.items() if key.startswith(READ_BY_IMPORTS) and key not in SET_AFTERWARDS}
    return Template(python, tuple(modules), tuple(sorted(kept.items())))


def program_of(argv: Sequence[str]) -> Program | None:
    """Return the Python program that `argv` (the interpreter first) runs; None for one that cannot be forked.

    Only `-u` may stand before `-m NAME`, `-c TEXT` or a file: every other option changes the interpreter itself.
    """
    words = list(argv[1:])
    while words and words[0] == "-u":
        words.pop(0)
    if not words or words == ["-"]:
        return None
    if words[0] in ("-m", "-c"):
        return Program("module" if words[0] == "-m" else "code", tuple(words[1:])) if len(words) > 1 else None
    return None if words[0].startswith("-") else Program("script", tuple(words))


def names_to_find(modules: Sequence[str]) -> list[str]:
    """Return the file names under which the modules' packages would lie in a folder of the search path."""
    packages = dict.fromkeys(name.partition(".")[0] for name in modules)
    return [file for package in packages for file in (package, f"{package}.py")]
