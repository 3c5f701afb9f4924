"""(pure) How hard the API server is on its clients: as Kubernetes by default, harder than any cluster with `--strict`.

Permissions, namespaces, field validation as asked, generations and conflicts are enforced in both. Strict adds what a
client may meet on some cluster or after some hours, at once and all the time, so that tests meet it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strictness:
    """The limits of one mode.

    A watch ends after `watch_s` to twice that many seconds, whatever it asked for when `caps_watches`; changes older
    than `history_s` cannot be watched from (None: as long as memory holds them); `field_validation` is what a write
    that does not say gets; `guards_owners` asks for `update` on an owner's `finalizers` before blocking its deletion.
    """

    watch_s: float = 1800.0
    caps_watches: bool = False
    history_s: float | None = None
    field_validation: str = "Warn"
    guards_owners: bool = False


NORMAL = Strictness()
STRICT = Strictness(watch_s=10.0, caps_watches=True, history_s=15.0, field_validation="Strict", guards_owners=True)
