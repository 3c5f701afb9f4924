"""`manifest.json` of a version folder: what a model was made of, held against what is there.

All of its fields are optional: `id` (another address of this version), `version`, `codeVersion` (of the code that these
weights belong to), `files` (name → SHA-256), and `provenance` (whatever tells where the model comes from: it is shown
with the model's metadata). It reads files and runs nothing; what does not agree refuses the model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "manifest.json"
LIMIT_BYTES = 1 << 20
_TEXTS = ("id", "version", "codeVersion")
_KNOWN = frozenset({*_TEXTS, "files", "provenance"})


class ManifestError(ValueError):
    """A manifest that cannot be used, or does not agree with what it is about: the message names file and field."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one manifest says; empty where it says nothing."""

    id: str = ""
    version: str = ""
    code_version: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return what is shown of it with the model's metadata."""
        said = {"id": self.id, "version": self.version, "codeVersion": self.code_version}
        return {**self.provenance, **{name: value for name, value in said.items() if value}}


def read(folder: Path) -> Manifest | None:
    """Return the manifest of a version folder, None where there is none; raises ManifestError."""
    file = folder / FILE
    if not file.is_file():
        return None
    if file.stat().st_size > LIMIT_BYTES:
        raise ManifestError(f"{file}: larger than {LIMIT_BYTES} bytes")
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"{file}: {error}") from error
    if not isinstance(document, dict):
        raise ManifestError(f"{file}: an object was expected")
    if unknown := sorted(set(document) - _KNOWN):
        raise ManifestError(f"{file}: {unknown[0]} is not known here; put further facts under provenance")
    for name in ("files", "provenance"):
        if not isinstance(document.get(name, {}), dict):
            raise ManifestError(f"{file}: {name} is not an object")
    said = [document.get(name, "") for name in _TEXTS]
    if wrong := [name for name, value in zip(_TEXTS, said, strict=True) if type(value) not in (str, int)]:
        raise ManifestError(f"{file}: {wrong[0]} is not a text")
    identity, version, code = map(str, said)
    return Manifest(identity, version, code, document.get("files", {}), document.get("provenance", {}))


def check_files(manifest: Manifest, folder: Path) -> None:
    """Raise ManifestError for a listed file that is missing, lies elsewhere or has other bytes."""
    for name, wanted in manifest.files.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
            raise ManifestError(f"{folder / FILE}: files: {name} is not in the folder")
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != str(wanted).lower().removeprefix("sha256:"):
            raise ManifestError(f"{folder / FILE}: files: {name} has SHA-256 {found}, not {wanted}")


def check_code(manifest: Manifest, target: Any, folder: Path) -> None:
    """Raise ManifestError unless the code that opens these weights says the version that they were made with."""
    wanted = manifest.code_version
    if not wanted:
        return
    found = getattr(target, "code_version", None)
    if found is None:
        text = "its code says no version to compare: give the class an attribute code_version"
        raise ManifestError(f"{folder / FILE}: codeVersion is {wanted!r}; {text}")
    if str(found) != wanted:
        raise ManifestError(f"{folder / FILE}: these weights belong to code {wanted!r}, this code is {str(found)!r}")
