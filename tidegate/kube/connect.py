"""Where the API server is, and with which credentials: a kubeconfig file, $KUBECONFIG, or the files of a pod.

Order: an explicit path, `$KUBECONFIG`, the service-account files of a pod, `~/.kube/config`. Only what a token or a
client certificate needs is read; exec plug-ins are refused with a message that says what to do. Tokens are never
logged.
"""

from __future__ import annotations

import base64
import contextlib
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_REREAD_S = 60.0


class ConnectError(Exception):
    """No usable credentials: the message names the file and the fix."""


@dataclass(frozen=True)
class Connection:
    """How to reach one API server. `token` is the bearer token; the certificate fields hold PEM text.

    `token_file` is where the token came from, when it came from a file: a pod's token is written anew before it ends.
    """

    server: str
    token: str = field(default="", repr=False)
    ca_pem: str = ""
    client_cert_pem: str = ""
    client_key_pem: str = field(default="", repr=False)
    verify: bool = True
    namespace: str = "default"
    token_file: str = ""

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context for this server, None for plain HTTP."""
        if not self.server.startswith("https://"):
            return None
        context = ssl.create_default_context(cadata=self.ca_pem or None)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert_pem:
            self._load_client_certificate(context)
        return context

    def _load_client_certificate(self, context: ssl.SSLContext) -> None:
        # The ssl module reads key pairs from files only: this one is in memory, and needs no folder to write to.
        descriptor = os.memfd_create("client-certificate")
        try:
            with open(descriptor, "w", closefd=False) as pair:
                pair.write(self.client_cert_pem + "\n" + self.client_key_pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)


class Bearer:
    """The token to send now: read again from its file now and then, because a cluster replaces it within the hour."""

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = connection.token
        self._file = connection.token_file
        self._clock = clock
        self._read_at = clock()

    def token(self) -> str:
        """Return the token; empty for none. A file that cannot be read leaves the one that was."""
        now = self._clock()
        if self._file and now - self._read_at >= TOKEN_REREAD_S:
            self._read_at = now
            with contextlib.suppress(OSError):
                self._token = Path(self._file).read_text().strip() or self._token
        return self._token


def load(path: str | Path | None = None) -> Connection:
    """Return the connection from `path` or the usual places; raises `ConnectError`."""
    if path:
        return from_kubeconfig(Path(path))
    if os.environ.get("KUBECONFIG"):
        return from_kubeconfig(Path(os.environ["KUBECONFIG"].split(os.pathsep)[0]))
    if (SERVICE_ACCOUNT_DIR / "token").exists():
        return from_service_account(SERVICE_ACCOUNT_DIR)
    home = os.environ.get("HOME", "")  # a container's user need not have one
    if home and (usual := Path(home) / ".kube" / "config").exists():
        return from_kubeconfig(usual)
    raise ConnectError("no kubeconfig found: pass one, or set KUBECONFIG to its path")


def from_service_account(folder: Path) -> Connection:
    """Return the connection a pod has by its mounted service account."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConnectError("service account files exist, but KUBERNETES_SERVICE_HOST is not set")
    if ":" in host:
        host = f"[{host}]"
    return Connection(
        server=f"https://{host}:{port}",
        token=(folder / "token").read_text().strip(),
        ca_pem=(folder / "ca.crt").read_text(),
        namespace=(folder / "namespace").read_text().strip(),
        token_file=str(folder / "token"),
    )


def from_kubeconfig(path: Path) -> Connection:
    """Return the connection of the file's current context; raises `ConnectError` with the missing field."""
    try:
        document: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise ConnectError(f"kubeconfig {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConnectError(f"kubeconfig {path} is not YAML: {error}") from error
    context = _named(document, "contexts", document.get("current-context", ""), "context", path)
    cluster = _named(document, "clusters", context.get("cluster", ""), "cluster", path)
    user = _named(document, "users", context.get("user", ""), "user", path) if context.get("user") else {}
    if "exec" in user or "auth-provider" in user:
        raise ConnectError(f"kubeconfig {path}: user uses an exec or auth-provider plug-in; give it a token instead")
    token_file = str(user.get("tokenFile") or "")
    return Connection(
        server=str(cluster.get("server", "")).rstrip("/"),
        token=str(user.get("token") or (Path(token_file).read_text().strip() if token_file else "")),
        ca_pem=_pem(cluster, "certificate-authority", path),
        client_cert_pem=_pem(user, "client-certificate", path),
        client_key_pem=_pem(user, "client-key", path),
        verify=not cluster.get("insecure-skip-tls-verify", False),
        namespace=context.get("namespace", "default"),
        token_file="" if user.get("token") else token_file,
    )


def _named(document: dict[str, Any], section: str, name: str, field_name: str, path: Path) -> dict[str, Any]:
    for entry in document.get(section) or []:
        if entry.get("name") == name:
            value: dict[str, Any] = entry.get(field_name) or {}
            return value
    raise ConnectError(f"kubeconfig {path}: no entry {name!r} under {section!r}")


def _pem(section: dict[str, Any], key: str, path: Path) -> str:
    if data := section.get(f"{key}-data"):
        return base64.b64decode(str(data)).decode()
    if file := section.get(key):
        return (path.parent / str(file)).read_text()
    return ""
