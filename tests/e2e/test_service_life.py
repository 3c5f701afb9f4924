"""A service's life as a user sees it, by real kubectl: apply, Ready, zero, wake, revisions, traffic, tags, delete."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from loadtest import load, tools, waterfall
from loadtest.instance import Instance, eventually, example
from tidegate.contracts import wake

SHORT = {"autoscaling.knative.dev/window": "6s"}


async def deploy(instance: Instance, name: str, of: str = "hello", **changes: Any) -> str:
    """Apply an example under another name, wait until it is Ready, return its revision."""
    annotations = SHORT | changes.pop("annotations", {})
    await tools.apply(instance, example(of, service=name, annotations=annotations, **changes))
    await tools.wait_ready(instance, name)
    return await instance.revision_of(name)


def host(name: str) -> str:
    return f"{name}.default.localhost"


async def count_bodies(instance: Instance, name: str, requests: int) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    connection = load.Connection("127.0.0.1", instance.port)
    for _ in range(requests):
        reply = await connection.request(host(name))
        assert reply.status == 200, reply
        counts[reply.body] += 1
    await connection.close()
    return counts


async def test_a_service_goes_to_zero_and_one_request_wakes_it(instance: Instance, kubectl: str) -> None:
    revision = await deploy(instance, "life")
    shown = await instance.command(kubectl, "get", "ksvc", "life")
    assert "http://life.default.localhost" in shown
    await instance.wait_zero(revision)

    async def shows_zero() -> bool:
        row = (await instance.command(kubectl, "get", "revisions", revision)).splitlines()[1].split()
        return row[-2:] == ["0", "0"]

    await eventually(shows_zero, 60, "kubectl get revisions shows 0 actual and 0 desired replicas", poll_s=0.5)
    reply = await load.get(instance.port, host("life"))
    assert reply.status == 200
    assert reply.body == f"Hello World! ({revision})\n".encode()
    assert "x-tidegate-reason" not in reply.headers
    assert waterfall.read(await load.get(instance.port, host("life"))) == {}  # this one paid nothing
    await _check_wake(instance, kubectl, revision, waterfall.read(reply))


async def test_a_service_that_starts_at_zero_is_ready_without_a_pod_and_wakes(instance: Instance) -> None:
    await instance.configure("config-autoscaler", {"allow-zero-initial-scale": "true"})
    revision = await deploy(instance, "at-zero", annotations={"autoscaling.knative.dev/initial-scale": "0"})
    assert await instance.pods_of(revision) == []
    assert (await load.get(instance.port, host("at-zero"))).status == 200


async def _check_wake(instance: Instance, kubectl: str, revision: str, paid: dict[str, float]) -> None:
    """The answer, the Event and the command say the same of one cold start.

    Which phases are told apart is a matter of whose news came first (docs/operating.md); all are told, in order.
    """
    total = paid.pop("total")
    assert [phase for name in paid for phase in waterfall.phases_of(name)] == list(wake.PHASES)
    assert {"held", "first-byte"} <= paid.keys()
    assert sum(paid.values()) == pytest.approx(total)

    async def remembered() -> Any:
        """The activator tells the autoscaler of it, and the node writes the pod's Event, while the answer travels."""
        wakes = json.loads(await asyncio.to_thread(instance.tidegate, "why", "life", "--wake", "--json"))
        return wakes if wakes and wakes[-1]["way"] else None

    (found,) = await eventually(remembered, 60, "the autoscaler has heard of the wake", poll_s=0.5)
    told = {name: ms for name, ms in found["phases"].items() if ms is not None}
    told |= {f"{one['phases'][0]}-to-{one['phases'][-1]}": one["ms"] for one in found["together"]}
    assert (told, found["total_ms"], found["revision"]) == (pytest.approx(paid), pytest.approx(total), revision)
    assert found["way"] in wake.WAYS  # from the node's Event, as this app does not say

    async def is_told() -> bool:
        selector = f"reason=WokeUp,involvedObject.name={revision}"
        events = await instance.command(kubectl, "get", "events", "--field-selector", selector, "-o", "json")
        return any(f"by pod {found['pod']}" in event["message"] for event in json.loads(events)["items"])

    await eventually(is_told, 60, "an Event WokeUp on the revision", poll_s=0.2)


async def test_the_url_of_the_readme_works_in_curl(instance: Instance) -> None:
    await deploy(instance, "curled")
    answer = await instance.command("curl", "-sS", "-m", "60", f"http://curled.default.localhost:{instance.port}/")
    assert answer.startswith("Hello World!")


async def test_unknown_host_is_404_with_a_reason(instance: Instance) -> None:
    reply = await load.get(instance.port, "nobody.default.localhost")
    assert reply.status == 404
    assert reply.headers["x-tidegate-reason"] == "no_route"


async def test_traffic_is_split_exactly_and_a_tag_reaches_zero_percent(instance: Instance) -> None:
    first = await deploy(instance, "split")
    document = example("hello", service="split", annotations=SHORT, env={"TARGET": "second"})
    await tools.apply(instance, document)
    await tools.wait_ready(instance, "split")
    second = await instance.revision_of("split")
    assert [first, second] == ["split-00001", "split-00002"]

    document["spec"]["traffic"] = [
        {"revisionName": first, "percent": 80},
        {"revisionName": second, "percent": 20},
    ]
    await tools.apply(instance, document)
    await tools.wait_ready(instance, "split")
    assert sorted((await count_bodies(instance, "split", 1000)).values()) == [200, 800]

    document["spec"]["traffic"] = [
        {"revisionName": first, "percent": 100},
        {"revisionName": second, "percent": 0, "tag": "next"},
    ]
    await tools.apply(instance, document)
    await tools.wait_ready(instance, "split")
    reply = await load.get(instance.port, "next-split.default.localhost")
    assert (reply.status, second.encode() in reply.body) == (200, True)
    assert set(await count_bodies(instance, "split", 100)) == {f"Hello World! ({first})\n".encode()}


async def test_a_broken_revision_never_takes_traffic(instance: Instance) -> None:
    first = await deploy(instance, "careful")
    document = example("hello", service="careful", annotations=SHORT)
    container = document["spec"]["template"]["spec"]["containers"][0]
    container["command"] = ["/bin/sh", "-c", "echo no use >&2; exit 3"]
    await tools.apply(instance, document)

    async def second_exists() -> bool:
        obj = await instance.client.get(_ksvc(), "careful", "default")
        return obj["status"].get("latestCreatedRevisionName") == "careful-00002"

    await eventually(second_exists, 60, "the second revision is stamped")
    for _ in range(20):
        reply = await load.get(instance.port, host("careful"))
        assert reply.status == 200
        assert first.encode() in reply.body
        await asyncio.sleep(0.1)


def _ksvc() -> Any:
    from tidegate.kube import resources

    return resources.KNATIVE_SERVICES


async def test_admission_refuses_nonsense_with_the_field(instance: Instance, kubectl: str) -> None:
    document = example("hello", service="refused")
    document["spec"]["template"]["spec"]["containerConcurrency"] = -1
    path = instance.state / "refused.json"
    path.write_text(json.dumps(document))
    with pytest.raises(RuntimeError, match="containerConcurrency"):
        await instance.command(kubectl, "apply", "-f", str(path))


async def test_delete_leaves_nothing(instance: Instance, kubectl: str) -> None:
    await deploy(instance, "gone")
    await instance.command(kubectl, "delete", "ksvc", "gone", "--timeout=100s")

    async def nothing_left() -> bool:
        kinds = "ksvc,configurations,routes,revisions,kpa,deployments,pods,services,endpointslices"
        shown = await instance.command(kubectl, "get", kinds, "-o", "name")
        return not [line for line in shown.splitlines() if "/gone" in line]

    await eventually(nothing_left, 90, "everything of the service is gone", poll_s=0.5)

    async def is_unknown() -> bool:
        return (await load.get(instance.port, host("gone"))).status == 404

    await eventually(is_unknown, 60, "the gateway has heard of it")


async def test_why_status_and_logs_tell_what_happens(instance: Instance) -> None:
    revision = await deploy(instance, "told")
    assert (await load.get(instance.port, host("told"))).status == 200
    decisions = json.loads(await asyncio.to_thread(instance.tidegate, "why", "told", "--json"))
    assert decisions[-1]["revision"] == revision
    assert decisions[-1]["sentence"]
    text = await asyncio.to_thread(instance.tidegate, "why", "told", "--since", "1m")
    assert f"default/{revision}" in text

    async def all_ready() -> Any:
        told = json.loads(await asyncio.to_thread(instance.tidegate, "status", "--json"))
        return told if {component["ready"] for component in told["components"]} == {"1/1"} else None

    status = await eventually(all_ready, 60, "every component is ready", poll_s=0.5)
    assert [service["name"] for service in status["services"] if service["name"] == "told"]
    assert status["instance"]["pss_bytes"] > 0
    for name in ("gateway", "activator", "autoscaler", "controller", "api", "node", "supervisor"):
        await asyncio.to_thread(instance.tidegate, "logs", name)
