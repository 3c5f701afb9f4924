"""`kubectl apply -k` in one step, and a server-side dry run of every overlay that says nothing but what it does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.cluster.api.conftest import Kubectl

OVERLAYS = Path(__file__).parents[2] / "manifests" / "overlays"


async def test_an_empty_cluster_takes_the_overlay_in_one_step_and_every_dry_run_is_clean(kubectl: Kubectl) -> None:
    applied = await kubectl("apply", "--server-side", "-k", str(OVERLAYS / "local"))
    assert "deployment.apps/controller serverside-applied" in applied
    for overlay in ("local", "cluster", "ha"):
        printed = await kubectl(
            "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(OVERLAYS / overlay)
        )
        lines = printed.splitlines()
        assert lines
        assert [line for line in lines if not line.endswith("serverside-applied (server dry run)")] == []


async def test_what_the_cluster_overlay_makes_can_be_taken_away_again(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-k", str(OVERLAYS / "ha"))
    printed = await kubectl("delete", "-k", str(OVERLAYS / "ha"), "--wait=false")
    assert "deleted" in printed
    async with asyncio.timeout(60):
        # Definitions go when the server has made sure that there is no object of their kind.
        while await ours(kubectl):
            await asyncio.sleep(0.05)


async def ours(kubectl: Kubectl) -> list[str]:
    """Return what is left of Tidegate outside of namespaces."""
    left = await kubectl("get", "clusterroles,clusterrolebindings,crds,mutatingwebhookconfigurations", "-o", "name")
    return [line for line in left.splitlines() if "tidegate" in line or "knative" in line]


@pytest.mark.parametrize("overlay", ["local"])
async def test_applying_the_old_way_works_too(kubectl: Kubectl, overlay: str) -> None:
    for _ in range(2):
        printed = await kubectl("apply", "-k", str(OVERLAYS / overlay))
    assert "configured" not in printed, printed
