"""Prepares the model repository that Triton reads: links to what is there, and configurations of our own.

A source is never changed. It may be a model repository (`<model>/<version>/...`), one model (`<version>/...` or with a
config.pbtxt), or the bare files of one version; links keep large weights where they are. What a model needs that this
Triton has not (a backend, the leave to run code) is an error of that model before Triton is asked.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from runtimes.repository.config_text import ConfigTextError
from runtimes.triton import model_config

CONFIG, SETTINGS = "config.pbtxt", "model-settings.json"
CONFIG_LIMIT_BYTES = 1 << 20
_VERSION = re.compile(r"[1-9][0-9]*")
_UNREADABLE = (OSError, ConfigTextError, ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""What files can raise that another has written, none of it a reason to stop serving the other models."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


class LayoutError(Exception):
    """A model that cannot be prepared; the message names the file or field and the fix."""


@dataclass(frozen=True)
class Prepared:
    """A model that Triton may load."""

    name: str
    is_complete: bool


class Layout:
    """The models of one source folder, and the repository folder that is made of them.

    `backends` are the names of those that this Triton has. `model_name` is the name of a source that is one model;
    with `is_repository` it never is.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        backends: Collection[str],
        *,
        model_name: str = "model",
        is_repository: bool = False,
        allow_code: bool = True,
    ) -> None:
        self.target = target
        self._source = source
        self._backends = backends
        self._model_name = model_name
        self._is_repository = is_repository or _is_repository(source)
        self._allow_code = allow_code
        target.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Return the models there are now."""
        if not self._is_repository:
            return [self._model_name]
        return [each.name for each in sorted(self._source.iterdir()) if is_name(each.name) and _is_model(each)]

    def has(self, name: str) -> bool:
        """Whether there is such a model now."""
        if not self._is_repository:
            return name == self._model_name
        return is_name(name) and _is_model(self._source / name)

    def prepare(self, name: str) -> Prepared:
        """Make or renew the folder of a model; raises LayoutError."""
        source = self._source / name if self._is_repository else self._source
        try:
            config, settings = _read(source / CONFIG), _settings(source)
            versions = _versions(source)
            files = {each.name for folder in versions.values() for each in folder.iterdir()}
            done = model_config.complete(config, name, files, settings)
            self._check(name, versions, done.backend)
            links = dict(versions)
            if source not in versions.values():
                links |= {each.name: each for each in source.iterdir() if each.name not in (CONFIG, *versions)}
            if not self._allow_code:
                _must_be_data(name, model_config.code_in(done.text, done.backend, {*files, *links}))
            _make(self.target / name, done.text, {each: path.resolve() for each, path in links.items()})
        except _UNREADABLE as error:
            raise LayoutError(f"model {name}: {source / CONFIG}: {error}") from error
        return Prepared(name, done.is_complete)

    def _check(self, name: str, versions: dict[str, Path], backend: str) -> None:
        if not versions and backend:
            raise LayoutError(f"model {name}: no version folder (1, 2, ...) with a model file in it")
        if backend and backend not in self._backends:
            known = ", ".join(sorted(self._backends)) or "none"
            raise LayoutError(f"model {name}: it needs the backend {backend!r}; this Triton has: {known}")


def _must_be_data(name: str, code: str) -> None:
    if code:
        raise LayoutError(f"model {name}: {code} is code; if you trust its origin, set --allow-code true")


def _make(folder: Path, config: str, links: dict[str, Path]) -> None:
    """Write a model's folder, or leave it when nothing changed: Triton loads a changed one anew."""
    if folder.is_dir():
        there = {each.name: each.readlink() for each in folder.iterdir() if each.name != CONFIG}
        if there == links and (folder / CONFIG).read_text() == config:
            return
        shutil.rmtree(folder)
    folder.mkdir()
    (folder / CONFIG).write_text(config)
    for name, path in links.items():
        (folder / name).symlink_to(path)


def is_name(name: str) -> bool:
    """Whether a model may be called this: nothing that leads to another folder."""
    return _NAME.fullmatch(name) is not None


def _is_model(folder: Path) -> bool:
    return folder.is_dir() and ((folder / CONFIG).is_file() or bool(_numbered(folder)))


def _is_repository(source: Path) -> bool:
    """Whether the folder holds models: it is none itself, and there is one in it."""
    is_bare = any((source / name).exists() for name in model_config.BACKEND_OF_FILE)
    if _is_model(source) or is_bare:
        return False
    return any(_is_model(each) for each in source.iterdir() if is_name(each.name))


def _numbered(folder: Path) -> dict[str, Path]:
    return {each.name: each for each in folder.iterdir() if each.is_dir() and _VERSION.fullmatch(each.name)}


def _versions(source: Path) -> dict[str, Path]:
    """Return the version folders; bare model files are version 1."""
    found = _numbered(source)
    if not found and any((source / name).exists() for name in model_config.BACKEND_OF_FILE):
        return {"1": source}
    return found


def _read(file: Path) -> str:
    if not file.is_file():
        return ""
    if file.stat().st_size > CONFIG_LIMIT_BYTES:
        raise ConfigTextError(f"larger than {CONFIG_LIMIT_BYTES} bytes")
    return file.read_text()


def _settings(source: Path) -> dict[str, object]:
    try:
        document = json.loads(_read(source / SETTINGS) or "{}")
    except (ValueError, RecursionError) as error:
        raise LayoutError(f"{source / SETTINGS}: {error}") from error
    if not isinstance(document, dict):
        raise LayoutError(f"{source / SETTINGS}: an object was expected")
    return document
