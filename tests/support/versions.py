"""Every version of one object, in order, by a watch: what was true for a moment only is seen however late we look."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from tidegate.kube.api import Object, Resource
from tidegate.kube.client import Client


async def later_versions(client: Client, resource: Resource, found: Object) -> AsyncIterator[Object]:
    """Yield each version of an object after the one that was found; goes on where the server ends a watch early.

    Ends when the object is deleted; raises `ApiError` when the server has forgotten what comes next.
    """
    metadata = found["metadata"]
    since, fields = str(metadata["resourceVersion"]), f"metadata.name={metadata['name']}"
    while True:
        watch = client.watch(resource, metadata["namespace"], fields=fields, since=since)
        async with contextlib.aclosing(watch) as events:  # type: ignore[type-var]
            async for event in events:
                since = str(event.object["metadata"]["resourceVersion"])
                if event.type == "DELETED":
                    return
                if event.type != "BOOKMARK":
                    yield event.object
