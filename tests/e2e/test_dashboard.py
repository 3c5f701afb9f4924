"""Every metric that the Grafana dashboard draws exists where it looks for it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from loadtest import load, tools
from loadtest.instance import Instance, eventually, example, is_leaving, is_ready
from tidegate.contracts import names
from tidegate.kube import resources

DASHBOARD = Path(__file__).parents[2] / "manifests" / "components" / "grafana" / "tidegate.json"


def drawn() -> set[str]:
    """Return the metrics of all panels' expressions."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    return set(re.findall(r"\b(?:tidegate|http|process)_[a-z_]+", expressions))


async def test_what_is_drawn_is_there(instance: Instance) -> None:
    await tools.apply(instance, example("hello", service="drawn"))
    await tools.wait_ready(instance, "drawn")
    assert (await load.get(instance.port, "drawn.default.localhost")).status == 200
    revision, missing = await instance.revision_of("drawn"), drawn()
    assert len(missing) > 10

    async def is_there() -> bool:
        missing.difference_update(await served(instance, revision))
        return not missing

    try:
        await eventually(is_there, 60, "all metrics are there", poll_s=0.5)
    except TimeoutError:
        assert missing == set()


async def served(instance: Instance, revision: str) -> set[str]:
    """Return the metrics of all components, and of the queueproxy of a pod of a revision."""
    found: set[str] = set()
    pods = (await instance.client.list(resources.PODS, names.SYSTEM_NAMESPACE)).items
    places = [(pod, names.METRICS_PORT) for pod in pods]
    places += [(pod, names.QUEUEPROXY_METRICS_PORT) for pod in await instance.pods_of(revision)]
    for pod, port in places:
        if is_ready(pod) and not is_leaving(pod):
            path = (
                f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}:{port}/proxy/metrics"
            )
            text = (await instance.client.raw("GET", path)).decode()
            found |= {re.split(r"[{ ]", line.removeprefix("# TYPE "))[0] for line in text.splitlines() if line}
    return found
