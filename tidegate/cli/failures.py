"""Errors for people: what is wrong, which field or flag, what to do; and the exit codes.

0 success, 1 failure, 2 wrong usage (click's own), 3 no instance runs or no API server answers, 4 not in time.
"""

from __future__ import annotations

import click


class Failure(click.ClickException):
    """The command cannot do what was asked: exit code 1."""

    exit_code = 1


class NotRunning(Failure):
    """No instance runs there, or its API server does not answer: exit code 3."""

    exit_code = 3


class Late(Failure):
    """It did not happen in time: exit code 4."""

    exit_code = 4
