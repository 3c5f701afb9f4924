"""What a container finds around it: variables, working folder, kubeconfig, log pipes' place, command line.

It gathers what the pure modules need (ConfigMaps, Secrets, tokens) from the API and writes what they plan to disk.
Errors that the user can fix are `ConfigError`s with the message that the container's status will show.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from cluster.node import cgroup_plan, environment, images, preload, privileges, users, volume_files, volumes
from cluster.node.cgroup_plan import Amounts
from cluster.node.context import Context
from cluster.node.environment import ConfigError, PodFacts
from cluster.node.images import Image
from cluster.node.privileges import Privileges
from cluster.node.reaper import POD_VARIABLE, STATE_VARIABLE
from cluster.node.tokens import Kept
from cluster.node.users import User
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, name_of, namespace_of

INHERITED = (
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "CUDA_VISIBLE_DEVICES",
)
KUBECONFIG_NAME = "kubeconfig"
TOKEN_NAME = "token"
GROUP_READ = 0o040
CLAIMS = "claims"
"""Below the node's folder: a folder for each claim, by namespace and name."""


class UnknownImage(Exception):
    """The image stands for nothing on this node."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything needed to start a container but its log."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    preload: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    user: User | None = None
    privileges: Privileges = field(default_factory=Privileges)
    amounts: Amounts = field(default_factory=Amounts)


@dataclass(slots=True)
class PodFolder:
    """Where a pod's things are, and what its containers share."""

    root: Path
    facts: PodFacts
    sources: dict[tuple[str, str], dict[str, bytes] | None] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    api_env: dict[str, str] = field(default_factory=dict)
    projected: dict[volumes.Token, Kept] = field(default_factory=dict)
    """tokens in its volumes"""

    def log_path(self, container: str, restart: int) -> Path:
        """Return the log file of one run of a container."""
        return self.root / "logs" / container / f"{restart}.log"

    def remove(self) -> None:
        """Delete everything of the pod."""
        shutil.rmtree(self.root, ignore_errors=True)


async def prepare(context: Context, pod: Object, folder: PodFolder) -> None:
    """Fetch what the pod refers to and write its volumes and kubeconfig; raises `ConfigError` or `ApiError`."""
    folder.root.mkdir(parents=True, exist_ok=True)
    wanted = environment.sources_of(pod) | volumes.sources_of(pod)
    folder.sources = {key: await _source(context, *key, namespace_of(pod)) for key in sorted(wanted)}
    planned = volumes.plan(pod, folder.facts, folder.sources)
    await _project(context, pod, folder, planned)
    projected = {wanted: kept.token for wanted, kept in folder.projected.items()}
    folder.folders = volume_files.materialise(folder.root / "volumes", planned, projected, context.root / CLAIMS)
    token = await _token(context, pod)
    folder.api_env = _api_env(context, folder.root, token, namespace_of(pod))
    if context.run_as_user and (user := users.pod_user(pod)):
        _give(folder, planned, user, (pod["spec"].get("securityContext") or {}).get("fsGroup"))


def setting(context: Context, pod: Object, container: Object, folder: PodFolder) -> Setting:
    """Return how to start `container`; raises `ConfigError` or `UnknownImage`."""
    name = container.get("image") or ""
    image = images.resolve(name, context.catalog)
    if image is None and not container.get("command"):
        raise UnknownImage(images.advice(name))
    own = environment.build(container, pod, folder.facts, folder.sources)
    mounts = volumes.mounts_of(container, folder.folders)
    env = {**_base_env(context), **(image.env if image else {}), **folder.api_env, **own}
    env = {key: volumes.rewritten(value, mounts) for key, value in env.items()}
    env |= {STATE_VARIABLE: context.state, POD_VARIABLE: str(pod["metadata"]["uid"])}
    env.setdefault("HOSTNAME", pod["spec"].get("hostname") or name_of(pod))
    argv = [
        volumes.rewritten(environment.expand(word, own).replace(images.PYTHON, sys.executable), mounts)
        for word in images.command_line(container, image)
    ]
    limits, amounts = _limits(context, container)
    user, given_up = _rights(context, pod, container, image)
    cwd = _cwd(container, image, mounts, folder.root)
    if user is not None:
        users.check(user, folder.root)
        if cwd == str(_scratch(folder.root, container)):
            os.chown(cwd, user.uid, user.gid, follow_symlinks=False)
    return Setting(argv, env, cwd, _preload(pod, image), limits, user, given_up, amounts)


def _limits(context: Context, container: Object) -> tuple[dict[str, int], Amounts]:
    """Return the limits of each process, and those of the container's control group."""
    if context.groups is not None:
        own = users.is_component(container)
        return {}, Amounts() if own else cgroup_plan.amounts(container, context.pids_limit)
    return (environment.limits_of(container) if context.memory_limits else {}), Amounts()


def _rights(context: Context, pod: Object, container: Object, image: Image | None) -> tuple[User | None, Privileges]:
    """Return the container's user and what it gives up; raises `ConfigError` for a root that must not be."""
    if users.is_component(container):
        return None, Privileges()
    user = users.user_of(pod, container, image.user if image else None) if context.run_as_user else None
    users.check_not_root(pod, container, user)
    return user, privileges.of(container)


def _give(folder: PodFolder, planned: Mapping[str, volumes.Folder], user: User, fs_group: int | None) -> None:
    """Let the pod's user read its tokens, its fsGroup all files, and everybody write its empty folders."""
    for path in folder.root.iterdir():
        if path.is_file():
            os.chown(path, user.uid, user.gid)
    for name, one in planned.items():
        if one == volumes.Folder():
            Path(folder.folders[name]).chmod(0o777)
        for file, content in one.files.items():
            path = Path(folder.folders[name]) / file
            if isinstance(content, volumes.Token):
                os.chown(path, user.uid, user.gid)
            elif fs_group is not None:
                os.chown(path, -1, fs_group)
                path.chmod(path.stat().st_mode | GROUP_READ)


def beside(context: Context, pod: Object, container: Object, folder: PodFolder, command: list[str]) -> Setting:
    """Return how to run `command` beside a running container, word by word as given; raises like `setting`."""
    own = setting(context, pod, {**container, "command": ["true"], "args": []}, folder)
    mounts = volumes.mounts_of(container, folder.folders)
    return replace(own, argv=[volumes.rewritten(word, mounts) for word in command])


async def _source(context: Context, kind: str, name: str, namespace: str) -> dict[str, bytes] | None:
    if kind == volumes.CLAIM:
        return await _bound(context, name, namespace)
    resource = resources.SECRETS if kind == "secret" else resources.CONFIG_MAPS
    try:
        found = await context.api.get(resource, name, namespace)
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return environment.decoded({"kind": resource.kind, **found})


async def _bound(context: Context, name: str, namespace: str) -> dict[str, bytes] | None:
    """Return nothing but that the claim is there; the first pod that uses it binds it, as with WaitForFirstConsumer."""
    claims = resources.PERSISTENT_VOLUME_CLAIMS
    try:
        found = await context.api.get(claims, name, namespace)
        if (found.get("status") or {}).get("phase") != "Bound":
            spec = found.get("spec") or {}
            capacity = ((spec.get("resources") or {}).get("requests")) or {}
            status = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": capacity}
            await context.api.patch(claims, name, {"status": status}, namespace, subresource="status")
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return {}


def _preload(pod: Object, image: Image | None) -> tuple[str, ...]:
    wanted = (pod["metadata"].get("annotations") or {}).get(preload.ANNOTATION)
    if wanted is None:
        return image.preload if image else ()
    try:
        return preload.modules_of(wanted)
    except preload.PreloadError as error:
        raise ConfigError(str(error)) from error


def _wants_api(pod: Object) -> bool:
    return pod["spec"].get("automountServiceAccountToken") is not False


async def _project(context: Context, pod: Object, folder: PodFolder, planned: Mapping[str, volumes.Folder]) -> None:
    """Get the tokens that the pod's volumes project, and those anew that are due."""
    now = time.time()
    for wanted in {file for one in planned.values() for file in one.files.values() if isinstance(file, volumes.Token)}:
        kept = folder.projected.get(wanted)
        if kept is None or now >= kept.renew_unix_s:
            folder.projected[wanted] = await context.tokens.for_pod(pod, wanted.audience, wanted.expiration_s)


async def _token(context: Context, pod: Object) -> str:
    if not _wants_api(pod):
        return ""
    account = pod["spec"].get("serviceAccountName") or "default"
    try:
        return await context.tokens.token(namespace_of(pod), account)
    except ApiError as error:
        if not error.is_not_found:
            raise
        return ""  # a namespace without service accounts: the pod runs without access to the API


def _api_env(context: Context, root: Path, token: str, namespace: str) -> dict[str, str]:
    server = urlsplit(context.server)
    env = {
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port or 443),
    }
    if token:
        token_path = root / TOKEN_NAME
        volume_files.write_whole(token_path, token.encode(), 0o600)
        document = kubeconfig(context, token, str(token_path), namespace)
        volume_files.write_whole(root / KUBECONFIG_NAME, json.dumps(document).encode(), 0o600)
        env["KUBECONFIG"] = str(root / KUBECONFIG_NAME)
    return env


def kubeconfig(context: Context, token: str, token_path: str, namespace: str) -> Object:
    """Return a pod's kubeconfig (JSON is YAML): the token inline for simple readers, and as a file for the others."""
    cluster: Object = {"server": context.server}
    if context.ca_pem:
        cluster["certificate-authority-data"] = context.ca_data
    else:
        cluster["insecure-skip-tls-verify"] = context.server.startswith("https")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "pod",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "pod", "user": {"token": token, "tokenFile": token_path}}],
        "contexts": [{"name": "pod", "context": {"cluster": "cluster", "user": "pod", "namespace": namespace}}],
    }


def _base_env(context: Context) -> dict[str, str]:
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # `python` in a container is the interpreter of this installation.
    folder = str(Path(sys.executable).parent)
    env["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    env["PYTHONUNBUFFERED"] = "1"
    return env


def _scratch(root: Path, container: Object) -> Path:
    """Return the container's own working folder: the only one whose way there no container can change."""
    return root / "work" / str(container["name"])


def _cwd(container: Object, image: Image | None, mounts: Mapping[str, str], root: Path) -> str:
    wanted = container.get("workingDir") or (image.working_dir if image else "")
    if not wanted:
        folder = _scratch(root, container)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)
    real = volumes.rewritten(wanted, mounts)
    if not Path(real).is_dir():
        raise ConfigError(f"workingDir {wanted!r} does not exist on this machine")
    return real
