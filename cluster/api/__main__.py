"""`python -m cluster.api`: builds the API server of a local cluster and runs it until SIGTERM.

The only module here that constructs. A lock on the state folder keeps a second server away from the same store.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO

from aiohttp import web

from cluster.api import bootstrap, crd_cleanup, crds, credentials, housekeeping, strategies, strictness, users
from cluster.api.authorize import Authorizer
from cluster.api.backend import Backend, Chain
from cluster.api.builtin_kinds import builtin_kinds
from cluster.api.connect import Connector
from cluster.api.guards import Guards
from cluster.api.kinds import Registry
from cluster.api.limit_ranges import LimitRanges
from cluster.api.metrics import Metrics
from cluster.api.quota_admission import Quotas
from cluster.api.server import ApiServer
from cluster.api.service_addresses import ServiceAddresses
from cluster.api.shadow import shadow_maker
from cluster.api.tokens import Authenticator
from cluster.api.webhook_client import WebhookClient
from cluster.api.webhooks import WebhookAdmission
from cluster.config import ApiConfig, StateFolder
from cluster.controllers import manager
from cluster.controllers.usage import Meter
from cluster.store import Store
from cluster.store_format import OtherFormat
from tidegate.process import logs, run, settings, tasks

log = logging.getLogger(__name__)

NODE_NAME = "local"
SHUTDOWN_TIMEOUT_S = 0.25
PAUSE_FIRST_S = 0.1
PAUSE_LAST_S = 30.0


def build_backend(folder: StateFolder, service_cidr: str) -> Backend:
    """Return the backend on the store of that folder. Raises `SettingsError` for a store of another format."""
    registry = Registry(builtin_kinds())
    try:
        store = Store(folder.store, shadow_maker(registry))
    except OtherFormat as error:
        raise settings.SettingsError(str(error)) from error
    crds.follow(store, registry)
    backend = Backend(store, registry)
    addresses = ServiceAddresses(store, service_cidr)
    backend.strategies = strategies.all_strategies(backend, addresses)
    addresses.move_in()
    return backend


@contextlib.asynccontextmanager
async def serving(config: ApiConfig) -> AsyncIterator[tuple[ApiServer, str]]:
    """Run an API server as long as the block lasts; yields it and its URL."""
    folder = StateFolder(_absolute(config.state))
    folder.root.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder)
    backend = build_backend(folder, config.service_cidr)
    backend.strictness = strictness.STRICT if config.strict else strictness.NORMAL
    keys = credentials.ensure(folder.pki, config.host)
    connector = Connector(backend, config.kubelet_token_file)
    tokens = {keys.admin_token: users.ADMIN, keys.node_token: users.node(NODE_NAME)}
    authenticator = Authenticator(backend.store, tokens, keys.signing_key)
    authorizer = Authorizer(backend.store)
    meter = Meter(connector.usage)
    server = ApiServer(backend, authenticator, authorizer, connector, Metrics(backend, meter))
    await bootstrap.ensure(backend)
    runner = web.AppRunner(
        server.application(), access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S, handler_cancellation=True
    )
    await runner.setup()
    webhook_client = WebhookClient(backend.store)
    webhooks = WebhookAdmission(backend.store, backend.registry, webhook_client)
    limits = Quotas(backend)
    backend.admission = Chain(LimitRanges(backend), Guards(backend, authorizer), webhooks, limits)
    background = [
        tasks.spawn(_again_and_again(lambda: housekeeping.run(backend)), "housekeeping"),
        tasks.spawn(_again_and_again(lambda: crd_cleanup.run(backend)), "crd-cleanup"),
        tasks.spawn(_again_and_again(limits.run), "quotas"),
    ]
    try:
        site = web.TCPSite(runner, config.host, config.port, ssl_context=keys.server_context(), backlog=512)
        await site.start()
        url = f"https://{config.host}:{runner.addresses[0][1]}"
        credentials.write_private(folder.node_kubeconfig, credentials.kubeconfig(url, keys, keys.node_token))
        credentials.write_private(folder.kubeconfig, credentials.kubeconfig(url, keys, keys.admin_token))
        if config.controllers:
            background += _controllers(server, keys.ca_pem, meter)
        server.ready = True
        yield server, url
    finally:
        await tasks.cancel(*background)
        await runner.cleanup()
        await webhook_client.close()
        await connector.close()
        backend.store.close()
        lock.close()


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def _lock(folder: StateFolder) -> IO[str]:
    file = (folder.root / "api.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise settings.SettingsError(f"another API server already uses {folder.root}") from None
    return file


def _controllers(server: ApiServer, root_ca_pem: str, meter: Meter) -> list[asyncio.Task[None]]:
    def start() -> Awaitable[None]:
        return manager.run(server.local, root_ca_pem=root_ca_pem, meter=meter)

    return [tasks.spawn(_again_and_again(start), "controllers")]


async def _again_and_again(start: Callable[[], Awaitable[None]]) -> None:
    """Run what must not end; start it again with a growing pause when it does. All of it is level-triggered."""
    pause_s = PAUSE_FIRST_S
    while True:
        try:
            await start()
        except Exception:
            log.exception("a background part of the API server failed; starting it again in %g s", pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(PAUSE_LAST_S, pause_s * 2)


async def main(stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set."""
    config = settings.load(ApiConfig, program="python -m cluster.api")
    logs.configure("api", config.log_level)
    os.umask(0o077)  # the store holds Secrets; a state folder that was there before may be open to others
    credentials.make_apart(StateFolder(_absolute(config.state)).pki, config.host)
    async with serving(config) as (_, url):
        log.info("listening on %s", url)
        run.freeze_start_up()
        await stopping.wait()


if __name__ == "__main__":
    run.run(main)
