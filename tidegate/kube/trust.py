"""The certificates that our processes trust when they call each other: ConfigMaps of the system namespace with a label.

It collects; checking certificates is `tidegate.wire`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.contracts import internal_tls
from tidegate.kube import resources
from tidegate.kube.api import Api, Object
from tidegate.kube.cache import Cache


def bundle(config_maps: list[Object]) -> str:
    """Return every value of the ConfigMaps in one text, in a fixed order (pure)."""
    found = {text.strip() for one in config_maps for text in (one.get("data") or {}).values() if "CERTIFICATE" in text}
    return "\n".join(sorted(found))


def watch(api: Api, system_namespace: str, on_change: Callable[[str], None]) -> Cache:
    """Return a cache, to be run by the caller, that tells the bundle whenever it may have changed."""
    cache = Cache(api, resources.CONFIG_MAPS, system_namespace, labels=internal_tls.TRUST_SELECTOR)
    cache.on_change(lambda _kind, _old, _new: on_change(bundle(list(cache.objects.values()))))
    return cache
