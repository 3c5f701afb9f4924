"""`python -m cluster.node`: parse, build, run. The only module of the node that constructs."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from cluster.node import catalog_file, cgroups, cluster_names, images, kernel_mounts, reaper, registration
from cluster.node.addresses import Addresses, Ports
from cluster.node.agent import Agent
from cluster.node.cgroups import ControlGroups
from cluster.node.config import Config
from cluster.node.context import Context
from cluster.node.forkserver import ForkServer
from cluster.node.kubelet import Kubelet
from cluster.node.service_proxy import ServiceProxy
from cluster.node.splice import Splicer
from cluster.node.tokens import Tokens
from tidegate.kube import connect
from tidegate.kube.client import Client
from tidegate.process import logs, run, settings, tasks

log = logging.getLogger("cluster.node")


def main() -> None:
    """Run the process node until SIGTERM."""
    config = settings.load(Config, program="python -m cluster.node")
    logs.configure("node", config.log_level)
    state = _settle(config)

    async def serve(stopping: asyncio.Event) -> None:
        connection = _connection(config)
        async with Client(connection, user_agent="tidegate-node") as client:
            await _serve(config, client, stopping, state)

    run.run(serve)


@dataclass(frozen=True, slots=True)
class _Settled:
    """What of this machine the node could make its own."""

    has_names: bool
    groups: ControlGroups | None
    isolation: dict[str, str]
    """of each kind of isolation, why there is none; empty where there is"""


def _settle(config: Config) -> _Settled:
    """Take control groups and a view of the machine for this process and all it starts. Before any thread starts."""
    config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if config.run_as_user:
        config.folder.chmod(0o711)
    # First: what is opened now stays writable when the view gets read-only.
    groups = cgroups.find(str(config.folder)) if config.control_groups else None
    has_names = _enter_names(config)
    refusal = kernel_mounts.protect() if has_names else "pods have the machine's mounts (see cluster_names)"
    missing = groups.missing if groups else "switched off (control_groups)"
    isolation = {registration.CONTROL_GROUPS: missing, registration.READ_ONLY_KERNEL: refusal}
    for kind, why in isolation.items():
        log.log(logging.INFO if why else logging.DEBUG, "%s: %s", kind, why)
    return _Settled(has_names, groups if groups and not groups.missing else None, isolation)


def _enter_names(config: Config) -> bool:
    if not config.cluster_names or not config.service_proxy:
        return False
    refusal = cluster_names.enter(config.names_file)
    if refusal:
        log.warning("pods do not resolve the names of Services: %s", refusal)
    return not refusal


async def _serve(config: Config, client: Client, stopping: asyncio.Event, settled: _Settled) -> None:
    began = time.monotonic()
    state = str(config.folder)
    if killed := reaper.kill_marked(reaper.STATE_VARIABLE, state):
        log.warning("killed %d processes that an earlier node left behind", killed)
    if settled.groups and (swept := settled.groups.sweep()):
        log.info("removed the control groups of %d pods that an earlier node left behind", swept)
    fork_server = ForkServer(config.fork_modules.replace(",", " ").split(), state, config.fork_templates)
    context = _context(config, client, fork_server, settled)
    agent = Agent(context)
    kubelet = Kubelet(agent, _kubelet_token(config))
    port = await kubelet.start(config.kubelet_port)
    node = registration.Registration(client, config, port, settled.isolation)
    background = [tasks.spawn(fork_server.run(), "forkserver")]
    proxy = ServiceProxy(client, context.splicer, config.names_file if settled.has_names else None)
    starting = tasks.spawn(_start(config, node, agent, proxy, background), "start")
    try:
        # A server that does not answer must not keep the node from stopping.
        await _either(starting, stopping)
        log.info("node %s is up after %.0f ms", config.name, (time.monotonic() - began) * 1000)
        run.freeze_start_up()
        await stopping.wait()
    finally:
        await tasks.cancel(starting)
        await agent.stop()
        await kubelet.stop()
        await tasks.cancel(*background)
        await context.splicer.close()
        reaper.kill_marked(reaper.STATE_VARIABLE, state)
        if settled.groups:
            settled.groups.sweep()
            settled.groups.close()


async def _start(
    config: Config,
    node: registration.Registration,
    agent: Agent,
    proxy: ServiceProxy,
    background: list[asyncio.Task[None]],
) -> None:
    await node.register()
    background.append(tasks.spawn(node.run(), "registration"))
    if config.service_proxy:
        background.append(tasks.spawn(proxy.run(), "service-proxy"))
    await agent.start()


async def _either(task: asyncio.Task[None], stopping: asyncio.Event) -> None:
    """Return when `task` has ended (raising its error) or the process is to stop."""
    stop = tasks.spawn(stopping.wait(), "stopping")
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    await tasks.cancel(stop)
    if task.done():
        task.result()


def _context(config: Config, client: Client, fork_server: ForkServer, settled: _Settled) -> Context:
    connection = client.connection
    state = str(config.folder)
    return Context(
        node_name=config.name,
        root=config.folder,
        state=state,
        server=connection.server,
        ca_pem=connection.ca_pem,
        log_limit_bytes=config.log_limit_bytes,
        catalog=[*_catalog(config), *images.BUILT_IN],
        allocatable=registration.capacity(config),
        memory_limits=config.memory_limits,
        run_as_user=config.run_as_user,
        pids_limit=config.pids_limit,
        has_views=settled.groups is not None and not settled.isolation[registration.READ_ONLY_KERNEL],
        groups=settled.groups,
        api=client,
        tokens=Tokens(client),
        addresses=Addresses(config.pod_cidr),
        ports=Ports(int.from_bytes(hashlib.sha256(state.encode()).digest()[:4], "big")),
        splicer=Splicer(),
        fork_server=fork_server,
    )


def _connection(config: Config) -> connect.Connection:
    try:
        return connect.load(config.kubeconfig or None)
    except connect.ConnectError as error:
        raise settings.SettingsError(str(error)) from error


def _catalog(config: Config) -> list[images.Pattern]:
    if not config.images:
        return []
    try:
        return catalog_file.load(config.images)
    except images.CatalogError as error:
        raise settings.SettingsError(f"images: {error}") from error


def _kubelet_token(config: Config) -> str:
    if not config.kubelet_token_file:
        return ""
    try:
        return Path(config.kubelet_token_file).read_text().strip()
    except OSError as error:
        raise settings.SettingsError(f"kubelet_token_file: {error}") from error


if __name__ == "__main__":
    main()
