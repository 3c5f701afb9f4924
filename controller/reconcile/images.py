"""Which images of a revision are looked up, and what its pods run then. Pure.

What was found once is written into the status and never looked up again: the tag may move, the revision does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.digests import reference
from controller.reconcile.outcome import Object
from tidegate.contracts.config.deployment import DeploymentConfig

ALL = "*"
"""In `registries-skipping-tag-resolving`: no registry is asked."""

CONTAINERS, INITS = "containers", "initContainers"
_STATUS_OF = {CONTAINERS: "containerStatuses", INITS: "initContainerStatuses"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """How far the look-up of a revision's images is: `digests` by image once all are found, or what failed."""

    digests: Mapping[str, str] = field(default_factory=dict)
    failed_image: str = ""
    failure: str = ""

    @property
    def message(self) -> str:
        """What people are told of a failure."""
        return f'Unable to fetch image "{self.failed_image}": failed to resolve image to digest: {self.failure}'


def wanted(revision: Object, config: DeploymentConfig) -> list[str]:
    """Return the images that are to be looked up, each once; none when the status says what was found."""
    if _is_told(revision):
        return []
    found = [str(one.get("image") or "") for kind in _STATUS_OF for one in revision["spec"].get(kind) or []]
    return [image for image in dict.fromkeys(found) if not _is_skipped(image, config)]


def statuses(revision: Object, digests: Mapping[str, str]) -> Object:
    """Return the part of a Revision's status that tells the digests: as it is, or made of what was found."""
    status = revision.get("status") or {}
    if _is_told(revision):
        return {key: status[key] for key in _STATUS_OF.values() if key in status}
    spec = revision["spec"]
    told = {_STATUS_OF[CONTAINERS]: [_status(one, digests) for one in spec.get(CONTAINERS) or []]}
    if spec.get(INITS):
        told[_STATUS_OF[INITS]] = [_status(one, digests) for one in spec[INITS]]
    return told


def pinned(revision: Object) -> Object:
    """Return the revision with every image replaced by what its status says was found."""
    status, spec = revision.get("status") or {}, revision["spec"]
    changed: Object = {}
    for kind, key in _STATUS_OF.items():
        digests = {one.get("name"): one.get("imageDigest") for one in status.get(key) or []}
        if any(digests.values()):
            changed[kind] = [
                one | {"image": digests.get(one.get("name")) or one.get("image")} for one in spec.get(kind) or []
            ]
    return revision | {"spec": spec | changed} if changed else revision


def _is_told(revision: Object) -> bool:
    status, spec = revision.get("status") or {}, revision["spec"]
    return all(len(status.get(key) or []) == len(spec.get(kind) or []) for kind, key in _STATUS_OF.items())


def _status(container: Object, digests: Mapping[str, str]) -> Object:
    image = str(container.get("image") or "")
    digest = image if "@" in image else digests.get(image)
    return {"name": container.get("name", "")} | ({"imageDigest": digest} if digest else {})


def _is_skipped(image: str, config: DeploymentConfig) -> bool:
    if "@" in image or ALL in config.registries_without_digests:
        return True
    try:
        parsed = reference.parse(image)
    except ValueError:
        return False  # the look-up says what is wrong with it
    named = {parsed.registry} | ({"docker.io"} if parsed.registry == reference.HUB else set())
    return bool(named & config.registries_without_digests)
