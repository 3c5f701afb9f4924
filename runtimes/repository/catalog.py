"""What the repository knows: which models there are, what an address means, which are ready. It loads nothing.

`find` is the quick way for a version in memory; whatever is not there is said by the error: unknown, not ready, failed
with its reason, or `NotResident` where a load would help.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from runtimes.failures import InferenceError, Kind, not_found
from runtimes.repository.slots import Control, Entry, NotResident, Slot, State
from runtimes.servable import Servable

RETRY_AFTER_S = 30.0


class Catalog:
    """All models of the server by name."""

    def __init__(self, control: Control, clock: Callable[[], float] = time.monotonic) -> None:
        self.entries: dict[str, Entry] = {}
        self.broken: dict[str, str] = {}
        self.control = control
        self._clock = clock

    def add(self, servable: Servable) -> None:
        """Serve a model that is in memory already; it is never evicted."""
        entry = self.entries.setdefault(servable.name, Entry(servable.name))
        now = self._clock()
        slot = Slot(servable.name, servable.version, State.READY, servable=servable, loaded_at=now, is_pinned=True)
        entry.slots[servable.version] = slot

    def slots(self) -> Iterator[Slot]:
        """All versions of all models."""
        for entry in self.entries.values():
            yield from entry.slots.values()

    def servables(self) -> list[Servable]:
        """Everything in memory."""
        return [slot.servable for slot in self.slots() if slot.servable is not None]

    def entry(self, name: str) -> Entry:
        """Return the entry of a name; raises a 404 that lists what there is (the first twenty)."""
        found = self.entries.get(name)
        if found is None:
            if name in self.broken:
                raise InferenceError(Kind.LOAD_FAILED, f"model {name!r} cannot be used: {self.broken[name]}")
            known = ", ".join(sorted(self.entries)[:20]) or "none"
            raise not_found(f"model {name!r} is unknown; models here: {known}")
        return found

    def by_id(self, identity: str) -> tuple[str, str] | None:
        """Return name and version of the model whose manifest has this id, None when none has."""
        for name, entry in self.entries.items():
            for version, said in (entry.folder.manifests if entry.folder is not None else {}).items():
                if said.id == identity and version in entry.slots:
                    return name, version
        return None

    def slot(self, name: str, version: str = "", label: str = "") -> Slot:
        """Return the version that an address means; raises a 404."""
        entry = self.entry(name)
        chosen = entry.labels.resolve(entry.slots, version, label)
        if chosen is None:
            what = f"label {label!r}" if label else f"version {version!r}" if version else "a version"
            have = ", ".join(sorted(entry.labels.of)) if label else ", ".join(entry.slots)
            raise not_found(f"model {name!r} has not {what}; it has {have or 'none'}")
        return entry.slots[chosen]

    def find(self, name: str, version: str = "", label: str = "") -> Servable:
        """Return a version in memory; raises a 404, or NotResident or a 503 with the reason where it is not ready."""
        slot = self.slot(name, version, label)
        servable = slot.servable
        if servable is not None and slot.state is State.READY and not slot.is_draining:
            slot.last_used = self._clock()
            return servable
        text = f"model {name!r} version {slot.version} is {slot.state.value}"
        if slot.reason:
            text += f": {slot.reason}"
        has_failed = slot.reason and self._clock() < slot.retry_at
        if self.control is Control.ON_DEMAND and not has_failed:
            raise NotResident(Kind.NOT_READY, text)
        raise InferenceError(Kind.LOAD_FAILED if slot.reason else Kind.NOT_READY, text)

    def is_ready(self, name: str = "", version: str = "") -> bool:
        """Whether a model (or with no name: every wanted one) answers; one that is loaded on demand counts as ready."""
        if name:
            return self._can_answer(self.slot(name, version))
        wanted = [slot for entry in self.entries.values() if entry.is_wanted for slot in entry.slots.values()]
        return not self.broken and all(self._can_answer(slot) for slot in wanted)

    def _can_answer(self, slot: Slot) -> bool:
        if slot.servable is None:
            return self.control is Control.ON_DEMAND and not slot.reason
        return slot.state is State.READY and slot.servable.model.is_healthy()

    def index(self, *, only_ready: bool = False) -> list[dict[str, str]]:
        """Return the repository extension's index."""
        lines = [{"name": name, "state": State.UNAVAILABLE.value, "reason": why} for name, why in self.broken.items()]
        for slot in self.slots():
            lines.append(
                {"name": slot.model, "version": slot.version, "state": slot.state.value, "reason": slot.reason}
            )
        return [line for line in lines if not only_ready or line["state"] == State.READY.value]
