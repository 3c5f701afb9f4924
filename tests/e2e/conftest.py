"""One real instance for all end-to-end tests: started by `tidegate up`, real processes, real kubectl and hey.

With TIDEGATE_E2E_KUBECONFIG it is the cluster of that kubeconfig instead, with a gateway at TIDEGATE_E2E_GATEWAY
(127.0.0.1:port); what needs the local instance is then skipped and says so (docs/cluster.md, `make e2e`).
Tests use services of their own names, so that their order does not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from loadtest.foreign import Foreign, NotHere
from loadtest.instance import UP_TIMEOUT_S, Instance, eventually, example, free_port
from tidegate.kube import connect, resources
from tidegate.kube.client import Client

KUBECONFIG, GATEWAY = "TIDEGATE_E2E_KUBECONFIG", "TIDEGATE_E2E_GATEWAY"
FOREIGN = pytest.StashKey[bool]()
AUTOSCALING = {"scale-to-zero-grace-period": "1s", "allow-zero-initial-scale": "true"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(300))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        return (yield)
    except NotHere as error:
        if item.config.stash.get(FOREIGN, False):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session")
def running_instance(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Instance]:
    if kubeconfig := os.environ.get(KUBECONFIG):
        pytestconfig.stash[FOREIGN] = True
        foreign = _foreign(tmp_path_factory.mktemp("foreign"), Path(kubeconfig))
        asyncio.run(_configure(foreign))
        yield foreign
        return
    instance = Instance(tmp_path_factory.mktemp("instance") / "state", free_port())
    os.environ["TIDEGATE_CAPACITY"] = "nvidia.com/gpu=1"  # what a node with one GPU says of itself
    try:
        # Strict: watches end soon, history is short, every right is checked (docs/api-server.md).
        instance.tidegate("up", "--strict", "--port", str(instance.port), timeout_s=UP_TIMEOUT_S)
        asyncio.run(_configure(instance))
        yield instance
    finally:
        del os.environ["TIDEGATE_CAPACITY"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            instance.tidegate("down", timeout_s=UP_TIMEOUT_S)


def _foreign(folder: Path, kubeconfig: Path) -> Foreign:
    host, _, port = os.environ.get(GATEWAY, "").rpartition(":")
    if host != "127.0.0.1" or not port.isdigit():
        pytest.fail(f"{GATEWAY} must say where the gateway answers on this machine, as 127.0.0.1:PORT", pytrace=False)
    return Foreign(folder, int(port), kubeconfig.absolute())


async def _configure(instance: Instance) -> None:
    # Knative's grace of 30 s before zero is right for users and long for tests; windows are set per service.
    async with Client(connect.load(instance.kubeconfig), user_agent="e2e") as client:
        instance.client = client
        await instance.configure("config-autoscaler", AUTOSCALING)
        at_zero = example("hello", annotations={"autoscaling.knative.dev/initial-scale": "0"})
        at_zero["metadata"]["namespace"] = "default"
        # The webhook hears of it a moment later, and refuses such services until then.
        taken = functools.partial(client.create, resources.KNATIVE_SERVICES, at_zero, dry_run=True)
        await eventually(taken, 60, "the webhook takes services that start at zero", poll_s=0.1)


@pytest.fixture
async def instance(running_instance: Instance) -> AsyncIterator[Instance]:
    async with Client(connect.load(running_instance.kubeconfig), user_agent="e2e") as client:
        running_instance.client = client
        yield running_instance


@pytest.fixture(scope="session")
def kubectl() -> str:
    found = shutil.which("kubectl")
    if not found:
        pytest.skip("kubectl is not installed")
    return found


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    suffix = ".pt" if _has_torch() else ".pickle"
    file = tmp_path_factory.mktemp("model") / f"digits{suffix}"
    subprocess.run([sys.executable, "-m", "examples.digits.train", "--out", str(file)], check=True, timeout=120)
    return file


def _has_torch() -> bool:
    from examples.digits import model

    return model.has_torch()
