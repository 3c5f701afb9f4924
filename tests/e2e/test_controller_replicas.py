"""Two controllers: one leads, the other stands by and answers the webhook; the leader's death costs no change."""

from __future__ import annotations

from loadtest import tools
from loadtest.instance import Instance, eventually, example, is_leaving, is_ready
from tidegate.contracts import names
from tidegate.kube import resources

LABEL = "app.kubernetes.io/component=controller"


async def living(instance: Instance) -> set[str]:
    """Return the names of the controller pods that are ready."""
    pods = (await instance.client.list(resources.PODS, names.SYSTEM_NAMESPACE, LABEL)).items
    return {pod["metadata"]["name"] for pod in pods if is_ready(pod) and not is_leaving(pod)}


async def leader(instance: Instance) -> str:
    lease = await instance.client.get(resources.LEASES, "controller", names.SYSTEM_NAMESPACE)
    return str(lease["spec"].get("holderIdentity") or "")


async def scale(instance: Instance, replicas: int) -> None:
    patch = {"spec": {"replicas": replicas}}
    await instance.client.patch(resources.DEPLOYMENTS, "controller", patch, names.SYSTEM_NAMESPACE, subresource="scale")

    async def is_so() -> bool:
        return len(await living(instance)) == replicas

    await eventually(is_so, 90, f"{replicas} controllers are ready", poll_s=0.2)


async def test_the_leaders_pod_is_deleted_and_another_goes_on(instance: Instance) -> None:
    await scale(instance, 2)
    try:

        async def one_leads() -> str:
            found = await leader(instance)
            return found if found in await living(instance) else ""

        before = await eventually(one_leads, 60, "a living controller leads", poll_s=0.2)
        await instance.client.delete(resources.PODS, before, names.SYSTEM_NAMESPACE, grace_s=0)

        async def applied() -> bool:
            await tools.apply(instance, example("hello", service="under-new-lead"))
            return True

        async def has_another() -> bool:
            return await leader(instance) in await living(instance) - {before}

        # Written while nobody may lead: the one that leads next finds it by its look at all there is. The webhook may
        # be asked for at the pod that is gone, until its endpoint is.
        await eventually(applied, 60, "the webhook answers", poll_s=0.2)
        await eventually(has_another, 90, "another controller leads", poll_s=0.2)
        await tools.wait_ready(instance, "under-new-lead")
    finally:
        await scale(instance, 1)

    async def has_one() -> bool:
        return await leader(instance) in await living(instance)

    await eventually(has_one, 90, "the one controller leads", poll_s=0.2)
