"""(pure) Who calls, and how: the user behind a request and the options every write takes.

The options travel as one value from the HTTP layer (or the in-process `LocalApi`) to the verbs and to admission.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated user, as RBAC and webhooks see it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""

    @property
    def is_master(self) -> bool:
        """Whether authorization is skipped for this user."""
        return MASTERS in self.groups


ADMIN = User("kubernetes-admin", (MASTERS, AUTHENTICATED))
APISERVER = User("system:apiserver", (MASTERS, AUTHENTICATED))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def service_account(namespace: str, name: str, uid: str) -> User:
    """Return the user that a service account's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}", groups, uid)


def node(name: str) -> User:
    """Return the user that the node of that name is."""
    return User(f"{NODE_PREFIX}{name}", (NODES, AUTHENTICATED))


def may_not(user: User, verb: str, resource: str, group: str) -> str:
    """Return the words of a refusal."""
    return f'User "{user.name}" cannot {verb} resource "{resource}" in API group "{group}"'


@dataclass(frozen=True, slots=True)
class Call:
    """How a verb is called: by whom and with which options. `warnings` collects texts for the `Warning` header."""

    user: User
    manager: str = "unknown"
    dry_run: bool = False
    field_validation: str = "Ignore"
    force: bool = False
    warnings: list[str] = field(default_factory=list)
