"""ResourceQuota and LimitRange: rules as tables, and the words and status that clients of a real server see."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import quantities
from cluster.api import limit_ranges, pod_amounts, quotas
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, Resource
from tidegate.kube.client import Client

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
RANGES = Resource("", "v1", "limitranges", "LimitRange")


def container(requests: Object | None = None, limits: Object | None = None, name: str = "c") -> Object:
    own = {"requests": requests or {}, "limits": limits or {}}
    return {"name": name, "image": "x", "resources": {field: value for field, value in own.items() if value}}


def pod(name: str, *containers: Object, **spec: object) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": list(containers), **spec}}


def quota(**hard: str) -> Object:
    return {
        "metadata": {"name": "q", "namespace": "default"},
        "spec": {"hard": {k.replace("_", "."): v for k, v in hard.items()}},
    }


@pytest.mark.parametrize(
    ("value", "like", "expected"),
    [("0.5", "1", "500m"), ("1000", "", "1k"), ("1024", "", "1024"), ("1024", "1Gi", "1Ki"), ("1536", "1Ki", "1536"),
     ("0", "1Gi", "0"), ("1.5", "1Gi", "1500m"), ("0.0000001", "", "100n"), ("2e9", "", "2G")],
)  # fmt: skip
def test_canonical_quantities(value: str, like: str, expected: str) -> None:
    assert quantities.text(Decimal(value), like) == expected


@given(st.integers(0, 10**15), st.sampled_from(["", "1Gi", "1m"]))
def test_a_quantitys_text_reads_back(thousandths: int, like: str) -> None:
    value = Decimal(thousandths) / 1000
    assert quantities.parse(quantities.text(value, like)) == value


def test_a_pods_amounts_are_its_containers_or_its_largest_init_container() -> None:
    spec = {
        "containers": [container({"cpu": "100m"}), container({"cpu": "200m", "memory": "1Gi"})],
        "initContainers": [
            container({"cpu": "1"}),
            container({"cpu": "50m"}) | {"restartPolicy": "Always"},
            container({"memory": "10Mi"}),
        ],
    }
    assert pod_amounts.of_pod(spec, "requests") == {"cpu": Decimal(1), "memory": Decimal(2**30)}
    spec["initContainers"] = spec["initContainers"][1:]
    assert pod_amounts.of_pod(spec, "requests")["cpu"] == Decimal("0.35")


@pytest.mark.parametrize(
    ("scopes", "spec", "expected"),
    [
        ([], {}, True),
        (["BestEffort"], {"containers": [container()]}, True),
        (["BestEffort"], {"containers": [container({"cpu": "1"})]}, False),
        (["NotBestEffort"], {"containers": [container(None, {"memory": "1"})]}, True),
        (["Terminating"], {"activeDeadlineSeconds": 5}, True),
        (["NotTerminating", "BestEffort"], {"activeDeadlineSeconds": 5}, False),
    ],
)
def test_scopes(scopes: list[str], spec: Object, expected: bool) -> None:
    assert quotas.concerns({"spec": {"scopes": scopes}}, "pods", "", {"spec": spec}) is expected
    assert quotas.concerns({"spec": {"scopes": scopes}}, "secrets", "", {}) is (not scopes)


async def refused(awaitable) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await awaitable
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    return caught.value


async def test_a_quota_refuses_what_does_not_fit_and_frees_what_goes(client: Client) -> None:
    await client.create(QUOTAS, quota(pods="2", requests_cpu="1", requests_memory="1Gi"))
    small = container({"cpu": "600m", "memory": "512Mi"})
    await client.create(resources.PODS, pod("a", small))
    error = await refused(client.create(resources.PODS, pod("b", small)))
    assert error.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    )
    error = await refused(client.create(resources.PODS, pod("b", container({"cpu": "1m"}))))
    assert error.message == 'pods "b" is forbidden: failed quota: q: must specify requests.memory for: c'
    await client.create(resources.PODS, pod("b", container({"cpu": "1m", "memory": "1Mi"})))
    error = await refused(client.create(resources.PODS, pod("c", container({"cpu": "1m", "memory": "1Mi"}))))
    assert "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2" in error.message
    await client.delete(resources.PODS, "a", "default")
    await client.create(resources.PODS, pod("c", container({"cpu": "1m", "memory": "1Mi"})))


async def test_the_status_of_a_quota_follows(client: Client) -> None:
    await client.create(QUOTAS, quota(**{"configmaps": "3", "limits_memory": "2Gi", "count/deployments_apps": "1"}))
    await client.create(resources.CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
    await client.create(resources.PODS, pod("a", container(None, {"memory": "1536Mi"})))
    wanted = {"configmaps": "1", "limits.memory": "1536Mi", "count/deployments.apps": "0"}
    async with asyncio.timeout(30):
        async for event in client.watch(QUOTAS, "default"):
            if (event.object.get("status") or {}).get("used") == wanted:
                break
    assert event.object["status"]["hard"] == event.object["spec"]["hard"]


async def test_many_at_once_never_exceed_a_quota(client: Client) -> None:
    await client.create(QUOTAS, quota(configmaps="5"))
    made = await asyncio.gather(
        *(
            client.create(resources.CONFIG_MAPS, {"metadata": {"name": f"m{n}", "namespace": "default"}})
            for n in range(12)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, dict) for one in made) == 5
    assert len((await client.list(resources.CONFIG_MAPS, "default")).items) == 5


async def test_a_limit_range_completes_and_bounds_pods(client: Client) -> None:
    items = [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}},
        {"type": "Pod", "max": {"cpu": "1200m"}},
    ]
    await client.create(RANGES, {"metadata": {"name": "l", "namespace": "default"}, "spec": {"limits": items}})
    made = await client.create(resources.PODS, pod("a", container()))
    assert made["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}}
    error = await refused(client.create(resources.PODS, pod("b", container(None, {"cpu": "2"}))))
    assert "maximum cpu usage per Container is 1, but limit is 2" in error.message
    assert "maximum cpu usage per Pod is 1200m, but limit is 2" in error.message
    error = await refused(client.create(resources.PODS, pod("b", *(container(name=f"c{n}") for n in range(3)))))
    assert error.message == 'pods "b" is forbidden: maximum cpu usage per Pod is 1200m, but limit is 1500m'


@pytest.mark.parametrize(
    ("item", "spec", "expected"),
    [
        ({"type": "Container", "min": {"cpu": "100m"}}, {"containers": [container({"cpu": "50m"})]},
         ["minimum cpu usage per Container is 100m, but request is 50m"]),
        ({"type": "Container", "max": {"memory": "1Gi"}}, {"containers": [container()]},
         ["maximum memory usage per Container is 1Gi.  No limit is specified"]),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
         {"containers": [container({"cpu": "1"}, {"cpu": "3"})]},
         ["cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"]),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
         {"resources": {"requests": {"storage": "2Gi"}}},
         ["maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"]),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}, {"containers": [container()]}, []),
    ],
)  # fmt: skip
def test_the_words_of_limit_ranges(item: Object, spec: Object, expected: list[str]) -> None:
    assert limit_ranges.problems({"spec": spec}, item) == expected
