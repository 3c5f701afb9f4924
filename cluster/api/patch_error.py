"""The error of all patch types. Pure; in a module of its own because `patch` imports `strategic`."""

from __future__ import annotations


class PatchError(ValueError):
    """The patch is malformed or does not fit the object; the message is safe to show."""
