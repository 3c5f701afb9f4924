"""A standby pod answers what wakes its service, and pods in rotation take over."""

from __future__ import annotations

import re

from loadtest import load
from loadtest.instance import Instance, eventually, example, is_leaving, is_ready
from loadtest.wake_standby import ready_standby_pods
from tidegate.contracts import names
from tidegate.kube import resources

ANNOTATIONS = {"autoscaling.knative.dev/window": "6s", "tidegate.dev/standby-pods": "1"}


async def taken_by_standby_pods(instance: Instance) -> float:
    """Read the activator's counter."""
    label = "app.kubernetes.io/component=activator"
    pods = (await instance.client.list(resources.PODS, names.SYSTEM_NAMESPACE, label)).items
    name = next(pod["metadata"]["name"] for pod in pods if is_ready(pod) and not is_leaving(pod))
    path = f"/api/v1/namespaces/{names.SYSTEM_NAMESPACE}/pods/{name}:{names.METRICS_PORT}/proxy/metrics"
    page = (await instance.client.raw("GET", path)).decode()
    found = re.search(r"^tidegate_activator_standby_requests_total (\S+)$", page, re.MULTILINE)
    assert found is not None, page[:500]
    return float(found[1])


async def test_a_standby_pod_answers_at_zero_and_stays_out_of_rotation(instance: Instance) -> None:
    host = "standing.default.localhost"
    await instance.apply(example("hello", service="standing", annotations=ANNOTATIONS))
    await instance.wait_service_ready("standing")
    revision = await instance.revision_of("standing")
    await instance.wait_zero(revision)

    async def stands_by() -> bool:
        return await ready_standby_pods(instance, revision) == 1

    await eventually(stands_by, 90, "one pod stands by")
    before = await taken_by_standby_pods(instance)
    assert (await load.get(instance.port, host)).status == 200
    assert await taken_by_standby_pods(instance) == before + 1  # counted before it is sent on

    async def has_pod() -> bool:
        return await instance.ready_pods(revision) == 1

    await eventually(has_pod, 90, "a pod in rotation came for it")

    async def is_past_the_standby_pod() -> bool:
        seen = await taken_by_standby_pods(instance)
        assert (await load.get(instance.port, host)).status == 200
        return await taken_by_standby_pods(instance) == seen

    await eventually(is_past_the_standby_pod, 60, "the pod in rotation takes the requests")
    await instance.wait_zero(revision)
    await eventually(stands_by, 60, "one pod stands by again")

    await instance.client.delete(resources.KNATIVE_SERVICES, "standing", "default")

    async def is_gone() -> bool:
        label = f"{names.STANDBY_LABEL}={revision}"
        kinds = (resources.DEPLOYMENTS, resources.SERVICES, resources.PODS)
        return not [item for kind in kinds for item in (await instance.client.list(kind, "default", label)).items]

    await eventually(is_gone, 90, "its standby pods are gone with it")
