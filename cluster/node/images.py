"""The image catalog: what command an image name stands for on this machine.

Pure. A process node pulls nothing; an image is a name for a command of this installation. Patterns are tried in order,
the user's before the built-in ones: an exact name, a prefix ending in `*`, or a regular expression after `re:`. Tag and
digest are ignored unless the pattern has them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.node import preload

FIELDS = frozenset({"image", "command", "args", "env", "workingDir", "preload", "user"})
PYTHON = "{python}"
"""Stands for the interpreter of this installation in a command."""


class CatalogError(ValueError):
    """The catalog file is not usable; the message names the entry and the field."""


@dataclass(frozen=True, slots=True)
class Image:
    """What an image brings along: entrypoint, default arguments, environment, working directory, imports."""

    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    preload: tuple[str, ...] = ()
    """modules of a template from which a Python program of this image may be forked"""
    user: int | None = None
    """number of the user that its containers run as when their security context names none"""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One catalog entry; `{1}`, `{2}`... in the command are the groups of a regular expression."""

    name: str
    image: Image


OWN = "tidegate.dev/"
"""How the names of our own images begin."""
COMPONENTS = ("gateway", "activator", "autoscaler", "controller", "queueproxy")
EXAMPLE_IMPORTS = ("asyncio", "json", "logging", "urllib.parse")
"""Small programs spend most of their start on these."""
RUNTIME_IMPORTS = {
    "storage": ("runtimes.storage.__main__",),
    "torch": ("runtimes.frame", "torch", "runtimes.torch.opener", "runtimes.torch.rehearsal"),
    "sklearn": ("runtimes.frame", "joblib", "skops.io", "runtimes.sklearn.opener"),
    "onnx": ("runtimes.frame", "onnxruntime", "runtimes.onnx.opener"),
    "xgboost": ("runtimes.frame", "xgboost", "runtimes.xgboost.opener"),
    "lightgbm": ("runtimes.frame", "lightgbm", "runtimes.lightgbm.opener"),
    "triton": ("tritonclient.http.aio", "runtimes.triton.__main__"),
}
BUILT_IN: tuple[Pattern, ...] = (
    *(Pattern(f"tidegate.dev/{name}", Image((PYTHON, "-m", name))) for name in COMPONENTS),
    Pattern(
        r"re:tidegate\.dev/examples/([a-z][a-z0-9_]*)", Image((PYTHON, "-m", "examples.{1}"), preload=EXAMPLE_IMPORTS)
    ),
    *(
        Pattern(f"tidegate.dev/runtimes/{name}", Image((PYTHON, "-m", f"runtimes.{name}"), preload=imports))
        for name, imports in RUNTIME_IMPORTS.items()
    ),
    Pattern(
        r"re:tidegate\.dev/runtimes/([a-z][a-z0-9_]*)",
        Image((PYTHON, "-m", "runtimes.{1}"), preload=("runtimes.frame",)),
    ),
)


def parse(document: Any) -> list[Pattern]:
    """Read a catalog: `images: [{image, command, args, env, workingDir, preload}]`; raises `CatalogError`."""
    entries = (document or {}).get("images") if isinstance(document or {}, dict) else None
    if (entries is None and document) or not isinstance(entries or [], list):
        raise CatalogError("the image catalog needs a list under 'images'")
    return [_pattern(index, entry) for index, entry in enumerate(entries or [])]


def resolve(image: str, patterns: Sequence[Pattern]) -> Image | None:
    """Return what `image` stands for, None when no pattern matches."""
    for pattern in patterns:
        for name in (image, untagged(image)):
            if (groups := _match(pattern.name, name)) is not None:
                return _filled(pattern.image, groups)
    return None


def untagged(image: str) -> str:
    """Return the image's name without digest and tag."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


def command_line(container: dict[str, Any], image: Image | None) -> list[str]:
    """Return the command by Kubernetes' rule: `command` replaces entrypoint and arguments, `args` only the latter."""
    command, args = container.get("command") or [], container.get("args") or []
    if command:
        return [*command, *args]
    if image is None:
        return []
    return [*image.command, *(args or image.args)]


def advice(image: str) -> str:
    """Return the message for an image that stands for nothing here."""
    return (
        f'image "{image}" is not in the image catalog of this node, which runs processes and pulls nothing: '
        "give the container a command, or add the image to the catalog file (--images)"
    )


def _match(pattern: str, image: str) -> tuple[str, ...] | None:
    if pattern.startswith("re:"):
        found = re.fullmatch(pattern[3:], image)
        return found.groups(default="") if found else None
    if pattern.endswith("*"):
        return (image[len(pattern) - 1 :],) if image.startswith(pattern[:-1]) else None
    return () if pattern == image else None


def _filled(image: Image, groups: tuple[str, ...]) -> Image:
    def fill(text: str) -> str:
        for number, group in enumerate(groups, 1):
            text = text.replace(f"{{{number}}}", group)
        return text

    command, args = tuple(map(fill, image.command)), tuple(map(fill, image.args))
    env = {key: fill(value) for key, value in image.env.items()}
    return Image(command, args, env, fill(image.working_dir), image.preload, image.user)


def _pattern(index: int, entry: Any) -> Pattern:
    where = f"images[{index}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str) or not entry["image"]:
        raise CatalogError(f"{where}: 'image' must be a name, a prefix ending in '*', or 're:' and a pattern")
    if unknown := set(entry) - FIELDS:
        known = ", ".join(sorted(FIELDS))
        raise CatalogError(f"{where}: unknown field {sorted(unknown)[0]!r}; there are {known}")
    command, args = _words(entry, "command", where), _words(entry, "args", where)
    if not command:
        raise CatalogError(f"{where}: 'command' must be a list with at least one word")
    if entry["image"].startswith("re:"):
        try:
            re.compile(entry["image"][3:])
        except re.error as error:
            raise CatalogError(f"{where}: 'image': {entry['image']!r} is no regular expression: {error}") from error
    working_dir = entry.get("workingDir") or ""
    if not isinstance(working_dir, str) or not (working_dir == "" or working_dir.startswith(("/", "{"))):
        raise CatalogError(f"{where}: 'workingDir' must be an absolute path")
    try:
        modules = preload.modules_of(str(entry.get("preload") or ""), f"{where}: preload")
    except preload.PreloadError as error:
        raise CatalogError(str(error)) from error
    user = entry.get("user")
    if user is not None and (isinstance(user, bool) or not isinstance(user, int) or user < 0):
        raise CatalogError(f"{where}: 'user' must be the number of a user")
    return Pattern(entry["image"], Image(command, args, _env(entry, where), working_dir, modules, user))


def _words(entry: dict[str, Any], field_name: str, where: str) -> tuple[str, ...]:
    words = entry.get(field_name) or []
    if not isinstance(words, list) or any(isinstance(word, dict | list) or word is None for word in words):
        raise CatalogError(f"{where}: '{field_name}' must be a list of words")
    return tuple(map(str, words))


def _env(entry: dict[str, Any], where: str) -> dict[str, str]:
    env = entry.get("env") or {}
    if not isinstance(env, dict):
        raise CatalogError(f"{where}: 'env' must map names to values")
    for key, value in env.items():
        if not isinstance(key, str) or value is None or isinstance(value, dict | list):
            raise CatalogError(f"{where}: 'env': the value of {key!r} must be a text")
    return {key: str(value) for key, value in env.items()}
