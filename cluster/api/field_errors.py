"""What is wrong with one field of an object, in the words and with the reasons of the Kubernetes API.

Pure. Clients print `path: message` and read `reason`, so each kind of finding has one constructor here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Values longer than this are cut in messages; they name the culprit, they do not repeat it.
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class FieldError:
    """One finding: dotted path, message as Kubernetes phrases it, and reason (`FieldValueInvalid`, ...)."""

    path: str
    message: str
    reason: str


def shown(value: Any) -> str:
    """Return a value as messages quote it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def required(path: str, detail: str = "") -> FieldError:
    """Report that the field is missing or empty."""
    return FieldError(path, f"Required value{': ' if detail else ''}{detail}", "FieldValueRequired")


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """Report that the value breaks a rule."""
    return FieldError(path, f"Invalid value: {shown(value)}: {detail}", "FieldValueInvalid")


def wrong_type(path: str, value: Any, wanted: str) -> FieldError:
    """Report that the JSON type is another than the schema's."""
    kind = type_name(value)
    message = f'Invalid value: "{kind}": {path} in body must be of type {wanted}: "{kind}"'
    return FieldError(path, message, "FieldValueTypeInvalid")


def duplicate(path: str, value: Any) -> FieldError:
    """Report that another item has the same value or key."""
    return FieldError(path, f"Duplicate value: {shown(value)}", "FieldValueDuplicate")


def unsupported(path: str, value: Any, supported: Iterable[Any]) -> FieldError:
    """Report that the value is none of those allowed."""
    choices = ", ".join(shown(choice) for choice in supported)
    return FieldError(path, f"Unsupported value: {shown(value)}: supported values: {choices}", "FieldValueNotSupported")


def forbidden(path: str, detail: str) -> FieldError:
    """Report that the field may not be set, or not be changed."""
    return FieldError(path, f"Forbidden: {detail}", "FieldValueForbidden")


def not_found(path: str, value: Any) -> FieldError:
    """Report that the value refers to something that is not there."""
    return FieldError(path, f"Not found: {shown(value)}", "FieldValueNotFound")


def too_long(path: str, limit: int) -> FieldError:
    """Report that text or data takes more bytes than allowed."""
    return FieldError(path, f"Too long: may not be more than {limit} bytes", "FieldValueTooLong")


def type_name(value: Any) -> str:
    """Return the JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
