"""One config class per process: file < environment < flag, every field with its default, unit and meaning in one place.

A config class is a frozen dataclass whose fields carry `setting("meaning", env=...)`. A field `drain_timeout_s` is read
from `drain_timeout_s:` of the YAML file given by `--config`, from the environment variable
`TIDEGATE_DRAIN_TIMEOUT_S` (or the name given with `env`), and from the flag `--drain-timeout-s`; the later one wins.
Fields marked `secret` are never printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class SettingsError(Exception):
    """A setting that cannot be used: the message names it, where it came from, and what would be right."""


def setting(meaning: str, *, default: Any = dataclasses.MISSING, env: str = "", secret: bool = False) -> Any:
    """Declare a field: its one-line `meaning` (with unit), `default`, and the environment variable when it has a name
    of its own."""
    metadata = {"meaning": meaning, "env": env, "secret": secret}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def load(
    config: type[T],
    *,
    program: str,
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> T:
    """Return a `config` from file, environment and flags; prints help and exits on `--help`.

    Raises `SettingsError` for a value that does not parse or a required one that is missing; and whatever ValueError
    the class's
    `__post_init__` raises becomes one too.
    """
    environ = os.environ if environ is None else environ
    words = sys.argv[1:] if argv is None else argv
    flags = plain_flags(config, words)
    if flags is None:
        flags = vars(_parser(config, program).parse_args(words))
    values = _from_file(config, flags.pop("config", None))
    hints = _hints(config)  # type: ignore[arg-type]
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        if (text := environ.get(env_name(field))) is not None:
            values[field.name] = _parse(text, hints[field.name], env_name(field))
        if (text := flags.get(field.name)) is not None:
            values[field.name] = _parse(text, hints[field.name], flag_name(field))
        elif field.name not in values and field.default is dataclasses.MISSING:
            raise SettingsError(f"{field.name} is required: pass {flag_name(field)} or set {env_name(field)}")
    try:
        return config(**values)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def describe(config: Any) -> dict[str, Any]:
    """Return the effective values for `/config` and the start log, secrets replaced by `***`."""
    return {
        field.name: "***" if field.metadata.get("secret") else getattr(config, field.name)
        for field in dataclasses.fields(config)
    }


def env_name(field: dataclasses.Field[Any]) -> str:
    """Return the environment variable a field is read from."""
    return field.metadata.get("env") or "TIDEGATE_" + field.name.upper()


def flag_name(field: dataclasses.Field[Any]) -> str:
    """Return the command-line flag a field is read from."""
    return "--" + field.name.replace("_", "-")


def plain_flags(config: Any, words: Sequence[str]) -> dict[str, str | None] | None:
    """Return the values of a command line that is nothing but pairs `--name value` with whole names, else None.

    Such lines are what controllers write. To read them needs no parser of command lines, whose 3 ms each pod would wait
    for at its start, and whose megabyte each would keep.
    """
    if len(words) % 2:
        return None
    names = {"--config": "config"} | {flag_name(field): field.name for field in dataclasses.fields(config)}
    found: dict[str, str | None] = {}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        if flag not in names or value.startswith("-"):
            return None
        found[names[flag]] = value
    return found


@functools.cache
def _hints(config: Any) -> dict[str, Any]:
    return typing.get_type_hints(config)


def _parser(config: Any, program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=(config.__doc__ or "").split("\n")[0])
    parser.add_argument("--config", metavar="FILE", help="YAML file with any of the settings below")
    for field in dataclasses.fields(config):
        default = "required" if field.default is dataclasses.MISSING else f"default {field.default!r}"
        text = f"{field.metadata.get('meaning', '')} [{default}; ${env_name(field)}]".replace("%", "%%")
        parser.add_argument(flag_name(field), dest=field.name, metavar="VALUE", help=text)
    return parser


def _from_file(config: Any, path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    import yaml  # only for who uses a file: it costs 15 ms at start

    try:
        document = yaml.safe_load(Path(path).read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"config file {path}: {error}") from error
    hints = _hints(config)
    unknown = sorted(set(document) - set(hints))
    if unknown:
        raise SettingsError(f"config file {path}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(hints))}")
    return {name: _parse(str(value), hints[name], f"{path}: {name}") for name, value in document.items()}


def _parse(text: str, hint: Any, origin: str) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    try:
        if hint is bool:
            return _parse_bool(text)
        return hint(text)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{origin}: {text!r} is not a valid {getattr(hint, '__name__', hint)}") from error


def _parse_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(text)
