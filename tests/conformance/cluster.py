"""The cluster that conformance is asked of: how it is configured, and where the runner says that it is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from loadtest.instance import UP_TIMEOUT_S, Instance
from tidegate.kube import connect
from tidegate.kube.client import Client

IMAGES = Path(__file__).parent / "images.yaml"
STATE = "TIDEGATE_CONFORMANCE_STATE"
"""`FOLDER:PORT` of an instance that runs already."""
RESULTS = "TIDEGATE_CONFORMANCE_RESULTS"
"""Folder for one line of JSON per test."""

CONFIG = {
    # Upstream's own cluster has these: error states are then told within two minutes.
    "config-deployment": {"progress-deadline": "120s"},
    "config-autoscaler": {"allow-zero-initial-scale": "true", "scale-to-zero-grace-period": "5s"},
    "config-network": {"autocreate-cluster-domain-claims": "true"},
    "config-features": {
        "kubernetes.podspec-volumes-emptydir": "Enabled",
        "kubernetes.podspec-persistent-volume-claim": "Enabled",
        "kubernetes.podspec-persistent-volume-write": "Enabled",
        "kubernetes.podspec-init-containers": "Enabled",
        "kubernetes.podspec-dryrun": "Enabled",
        "kubernetes.podspec-securitycontext": "Enabled",
        "kubernetes.podspec-nodeselector": "Enabled",
        "multi-container": "Enabled",
        "multi-container-probing": "Enabled",
        "tag-header-based-routing": "Enabled",
        "autodetect-http2": "Enabled",
    },
}


def start(instance: Instance, *flags: str) -> None:
    """Start an instance, with more flags of `tidegate up`, and configure it."""
    # The node reads its settings from the environment that it inherits.
    os.environ |= {"TIDEGATE_MEMORY_LIMITS": "true", "TIDEGATE_RUN_AS_USER": str(os.geteuid() == 0).lower()}
    # Containers with users of their own must get through to their folders.
    for folder in (instance.state.parent, instance.state):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
    instance.tidegate("up", "--port", str(instance.port), "--images", str(IMAGES), *flags, timeout_s=UP_TIMEOUT_S)
    asyncio.run(prepare(instance))


async def prepare(instance: Instance) -> None:
    """Configure a cluster that has just started."""
    async with Client(connect.load(instance.kubeconfig), user_agent="conformance") as client:
        instance.client = client
        for name, data in CONFIG.items():
            await instance.configure(name, data)
