"""config-observability as a process finds it when it starts: where spans go is fixed for its life.

A server that does not answer soon, or has no such ConfigMap, means the defaults: no process waits for its traces.
"""

from __future__ import annotations

import asyncio
import logging

from tidegate.contracts import names, problems
from tidegate.contracts.config import observability
from tidegate.contracts.config.observability import Observability
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError

log = logging.getLogger(__name__)

PATIENCE_S = 2.0


async def read(api: Api, system_namespace: str) -> Observability:
    """Return the values; the defaults when they cannot be had, which is logged unless there simply are none."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            config_map = await api.get(resources.CONFIG_MAPS, names.CONFIG_OBSERVABILITY, system_namespace)
    except (ApiError, TimeoutError) as error:
        if not (isinstance(error, ApiError) and error.is_not_found):
            log.warning("config-observability cannot be read, so there are no spans: %s", error or "no answer")
        return Observability()
    values, found = observability.parse(config_map)
    if found:
        log.error("config-observability is not used: %s", problems.render(found))
        return Observability()
    return values
