"""The models of this server: loads each once, measures it, labels it, evicts it, hands out its servable.

`find` is the quick way for a version in memory. `acquire` waits for one that must be loaded first: many callers cause
one load (single flight), and which load comes next and what goes for it says `swap_plan.py`. A version that fails to
load leaves those that serve alone. Loads run in a thread, one at a time, so that what a model costs can be measured.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from runtimes.failures import InferenceError, Kind, not_found
from runtimes.isolation import process_memory
from runtimes.isolation.isolation import Isolation, OpenFailed
from runtimes.isolation.remote_model import RemoteModel
from runtimes.repository import layout, loading
from runtimes.repository.catalog import RETRY_AFTER_S, Catalog
from runtimes.repository.layout import LayoutError, ModelFolder
from runtimes.repository.slots import Control, Entry, NotResident, Slot, State
from runtimes.repository.swap_plan import Drain, Evict, Load, Refuse, Resident, SwapLimits, SwapPlan, Wait
from runtimes.servable import Servable
from tidegate.process import tasks

log = logging.getLogger(__name__)

_UNLIMITED = SwapLimits()


class Repository(Catalog):
    """A catalog whose models are loaded, labelled and evicted."""

    def __init__(
        self,
        open_model: loading.Open,
        *,
        isolation: Isolation | None = None,
        complete: Callable[[layout.ModelConfig], layout.ModelConfig] = lambda model: model,
        root: Path | None = None,
        control: Control = Control.ALL,
        limits: SwapLimits = _UNLIMITED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(control, clock)
        self.loads = 0
        self._is_closed = False
        self.evictions = 0
        self._open = open_model
        self._isolation = isolation
        self._complete = complete
        self._root = root
        self._plan = SwapPlan(limits)
        self._loading: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, "load")

    # What changes

    @property
    def waiting(self) -> int:
        """How many requests wait for a load."""
        return self._plan.waiting

    @property
    def worker_ends(self) -> Mapping[tuple[str, str, str], int]:
        """How often workers ended though nobody asked them to, by model, version and how."""
        return self._isolation.ended if self._isolation is not None else {}

    def rescan(self) -> None:
        """Read the repository folder again: new models and versions appear, vanished ones are unloaded by `settle`."""
        if self._root is None:
            return
        found = layout.scan(self._root)
        self.broken = {name: str(each) for name, each in found.items() if isinstance(each, LayoutError)}
        for name, folder in found.items():
            if isinstance(folder, ModelFolder):
                self._take_folder(name, folder)

    def _take_folder(self, name: str, folder: ModelFolder) -> Entry:
        entry = self.entries.setdefault(name, Entry(name, is_wanted=self.control is Control.ALL))
        folder = entry.folder = dataclasses.replace(folder, config=self._complete(folder.config))
        for label, version in folder.labels.items():
            if entry.labels.of.get(label) != version:
                entry.labels.move(label, version)
        for version in folder.served():
            slot = entry.slots.setdefault(version, Slot(name, version, is_pinned=folder.config.is_pinned))
            if not slot.size_bytes:
                slot.size_bytes = loading.files_bytes(folder.versions[version])
        for version in [known for known in entry.slots if known not in folder.served()]:
            tasks.spawn(self._retire(entry, version), f"retire {name}/{version}")
        return entry

    def put_folder(self, path: Path, name: str, overrides: Mapping[str, Any] | None = None) -> Entry:
        """Serve the model of one folder; raises LayoutError."""
        entry = self._take_folder(name, layout.read(path, name, overrides))
        entry.is_wanted = True
        return entry

    async def load_wanted(self) -> None:
        """Load everything that is wanted at start; what fails is logged and stays UNAVAILABLE with its reason."""
        for slot in [slot for entry in self.entries.values() if entry.is_wanted for slot in entry.slots.values()]:
            if slot.servable is None:
                try:
                    await self._single(slot)
                except InferenceError as error:
                    log.error("%s", error)

    async def load(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        """Load (or load anew) what the folder of this name holds; the old keeps serving until the new is ready.

        Raises a 404 for a name without a folder, LOAD_FAILED with the reason.
        """
        self.rescan()
        entry = self.entry(name)
        if entry.folder is None:
            return  # an object of this process: it is there already
        try:
            folder = layout.read(entry.folder.path, name, overrides)
        except (LayoutError, OSError) as error:
            raise InferenceError(Kind.LOAD_FAILED, f"model {name!r}: {error}") from error
        entry = self._take_folder(name, folder)
        entry.is_wanted = True
        for version in folder.served():
            await self._single(entry.slots[version])

    async def unload(self, name: str) -> None:
        """Unload every version of a model; raises a 404. Requests inside end first."""
        entry = self.entry(name)
        entry.is_wanted = False
        for slot in list(entry.slots.values()):
            await self._evict(slot)

    def label(self, name: str, label: str, version: str) -> None:
        """Let a label mean a version from the next request on, here and on disk; raises a 404."""
        entry = self.entry(name)
        if version and version not in entry.slots:
            raise not_found(f"model {name!r} has no version {version!r}; it has {', '.join(entry.slots)}")
        entry.labels.move(label, version)
        log.info("model %s: label %s now means version %s", name, label, version or "nothing")
        if entry.folder is not None:
            layout.write_labels(entry.folder.path, entry.labels.of)

    async def acquire(self, name: str, version: str = "", label: str = "") -> Servable:
        """Return a version, loaded for this request when it is not in memory; raises what `find` raises, QUEUE_FULL."""
        while True:
            try:
                return self.find(name, version, label)
            except NotResident:
                slot = self.slot(name, version, label)
            ticket = self._plan.want(slot.key, self._expected_bytes(slot), self._clock())
            if ticket is None:
                raise InferenceError(Kind.QUEUE_FULL, "too many requests wait for models to be loaded")
            changed = self._changed  # before the turn: it may announce at once
            try:
                self._turn()
                await changed.wait()
            finally:
                self._plan.leave(ticket)

    async def close(self) -> None:
        """Unload everything."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_closed = True
        await tasks.cancel(*self._loading.values())
        for slot in list(self.slots()):
            await self._evict(slot)
        if self._isolation is not None:
            self._isolation.close()
        self._thread.shutdown(wait=False)

    # How it is done

    def _turn(self) -> None:
        """Do what the plan says until it says to wait."""
        while True:
            now = self._clock()
            loading_bytes = sum(self._expected_bytes(self.slot(*key)) for key in self._loading)
            step = self._plan.next(self._residents(), self._loading.keys(), loading_bytes, now)
            if isinstance(step, Wait):
                self._arm(step.until - now)
                return
            if isinstance(step, Load):
                self._begin(self.slot(*_key(step.key)), [self.slot(*_key(each)) for each in step.evict])
            elif isinstance(step, Evict):
                for victim in [self.slot(*_key(key)) for key in step.keys]:
                    victim.begin_unloading()
                    tasks.spawn(self._make_room(victim), f"unload {victim.model}/{victim.version}")
            elif isinstance(step, Drain):
                self.slot(*_key(step.key)).is_draining = True
                self._arm(math.inf)
                return
            elif isinstance(step, Refuse):
                self._refuse(step)

    def _arm(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_s < math.inf:
            self._timer = asyncio.get_running_loop().call_later(max(delay_s, 0.0), self._turn)

    def _refuse(self, step: Refuse) -> None:
        slot = self.slot(*_key(step.key))
        slot.reason = f"needs {step.needed_bytes:.0f} bytes, the memory budget leaves {step.possible_bytes:.0f}"
        slot.retry_at = self._clock() + RETRY_AFTER_S
        self._plan.settle(slot.key, self._clock())
        self._announce()

    def _expected_bytes(self, slot: Slot) -> float:
        """What a load will take: what it took before; for a new one its files, or what others took on average."""
        if slot.is_measured:
            return slot.size_bytes
        known = [each.size_bytes for each in self.slots() if each.is_measured]
        return max(slot.size_bytes, sum(known) / len(known) if known else 0.0)

    def _residents(self) -> list[Resident]:
        return [
            Resident(
                slot.key,
                slot.size_bytes,
                -math.inf if slot.is_draining else slot.loaded_at,
                slot.last_used,
                is_in_use=slot.servable.pending > 0,
                is_pinned=slot.is_pinned,
                is_leaving=slot.state is State.UNLOADING,
            )
            for slot in self.slots()
            if slot.servable is not None
        ]

    def _begin(self, slot: Slot, evicted: list[Slot]) -> asyncio.Task[None]:
        # The victims leave `find` in this very step: nobody can enter between the plan and its doing.
        for victim in evicted:
            victim.begin_unloading()
        if slot.servable is None or slot.state is not State.READY:
            slot.state = State.LOADING  # else what is there keeps serving until the new one is ready
        task = tasks.spawn(self._swap(slot, evicted), f"load {slot.model}/{slot.version}")
        self._loading[slot.key] = task
        return task

    async def _swap(self, slot: Slot, evicted: list[Slot]) -> None:
        try:
            for victim in evicted:
                await self._evict(victim)
                self.evictions += 1
            await self._load(slot)
        finally:
            del self._loading[slot.key]
            self._plan.settle(slot.key, self._clock())
            self._announce()
            self._turn()

    async def _make_room(self, victim: Slot) -> None:
        self.evictions += 1
        try:
            await self._evict(victim)
        finally:
            self._announce()
            self._turn()

    def _announce(self) -> None:
        # Everyone who waits for any model looks again; loads are rare beside requests.
        self._changed.set()
        self._changed = asyncio.Event()

    async def _single(self, slot: Slot) -> None:
        task = self._loading.get(slot.key) or self._begin(slot, [])
        await asyncio.shield(task)
        if slot.servable is None or slot.reason:
            text = f"model {slot.model!r} version {slot.version} failed to load: {slot.reason}"
            raise InferenceError(Kind.LOAD_FAILED, text)

    async def _load(self, slot: Slot) -> None:
        folder = self.entries[slot.model].folder
        assert folder is not None, "models without a folder are never loaded"
        old = slot.servable
        loop = asyncio.get_running_loop()
        try:
            began = self._clock()
            if self._isolation is not None and self._isolation.wants(folder.config):
                servable, size_bytes = await self._load_isolated(self._isolation, folder, slot)
            else:
                load = functools.partial(loading.load, self._open, folder, slot.version)
                servable, size_bytes = await loop.run_in_executor(self._thread, load)
            servable.load_s = self._clock() - began
        except Exception as error:
            log.warning("model %s/%s failed to load: %r", slot.model, slot.version, error, exc_info=error)
            slot.reason = str(error) if isinstance(error, OpenFailed) else f"{type(error).__name__}: {error}"
            slot.retry_at = self._clock() + RETRY_AFTER_S
            slot.state = State.READY if old is not None else State.UNAVAILABLE
            return
        self.loads += 1
        slot.servable = servable
        slot.size_bytes = max(size_bytes, slot.size_bytes if old is not None else 0)
        slot.is_measured = True
        slot.loaded_at = slot.last_used = self._clock()
        slot.state, slot.reason, slot.is_draining = State.READY, "", False
        servable.on_idle = self._has_fallen_idle
        name, megabytes = f"{slot.model}/{slot.version}", slot.size_bytes / 1e6
        log.info("model %s loaded in %.0f ms, %.1f MB", name, servable.load_s * 1e3, megabytes)
        if old is not None:
            await old.close()

    async def _load_isolated(self, isolation: Isolation, folder: ModelFolder, slot: Slot) -> tuple[Servable, float]:
        made: list[Servable] = []

        def ended(how: str) -> None:
            if made:
                self._has_lost_worker(slot, made[0], how)

        path, version = folder.versions[slot.version], slot.version
        model, settings, memory, size_bytes = await isolation.open(path, folder.config, version, ended)
        made.append(Servable(folder.name, version, model, settings))
        made[0].memory = memory
        return made[0], size_bytes

    def _has_lost_worker(self, slot: Slot, servable: Servable, how: str) -> None:
        if slot.servable is not servable or slot.state is State.UNLOADING:
            return
        now = self._clock()
        pause_s = slot.restarts.ended(now - slot.loaded_at)
        servable.is_leaving = True
        slot.servable, slot.state = None, State.UNAVAILABLE
        slot.retry_at = math.inf if pause_s is None else now + pause_s
        again = "load it again by the repository API" if pause_s is None else f"it is started again after {pause_s:g} s"
        slot.reason = f"its worker process {how}; {again}"
        tasks.spawn(servable.close(), f"leave {slot.model}/{slot.version}")
        if pause_s is not None and self.control is not Control.ON_DEMAND:
            tasks.spawn(self._restart(slot, pause_s), f"restart {slot.model}/{slot.version}")
        self._announce()
        self._turn()

    async def _restart(self, slot: Slot, pause_s: float) -> None:
        next_s: float | None = pause_s
        while next_s is not None:
            await asyncio.sleep(next_s)
            entry = self.entries.get(slot.model)
            is_ours = entry is not None and entry.is_wanted and entry.slots.get(slot.version) is slot
            if not is_ours or slot.servable is not None or slot.key in self._loading or self._is_closed:
                return
            try:
                await self._single(slot)
                return
            except InferenceError:  # the reason stands in the slot
                next_s = slot.restarts.ended(0.0)

    async def weigh(self) -> None:
        """Measure the models in workers anew; what grew beyond the budget pushes others out. Call now and then."""
        for slot in list(self.slots()):
            servable = slot.servable
            if servable is not None and isinstance(servable.model, RemoteModel):
                servable.model.link.arena.trim()
                memory = await asyncio.to_thread(process_memory.of, servable.model.link.pid)
                if slot.servable is servable and memory.rss:
                    servable.memory = memory
                    slot.size_bytes = servable.model.size_bytes(memory)
        if self._is_over_budget():
            self._turn()

    def _has_fallen_idle(self) -> None:
        if self._plan.waiting or self._is_over_budget():
            self._turn()

    def _is_over_budget(self) -> bool:
        budget = self._plan.limits.budget_bytes
        return budget < math.inf and sum(slot.size_bytes for slot in self.slots() if slot.servable) > budget

    async def _evict(self, slot: Slot) -> None:
        servable = slot.servable
        if servable is None:
            return
        slot.begin_unloading()
        try:
            await servable.close()
        finally:
            slot.servable = None
            loading.give_memory_back()
            slot.state, slot.is_draining = State.UNAVAILABLE, False

    async def _retire(self, entry: Entry, version: str) -> None:
        slot = entry.slots.pop(version)
        await self._evict(slot)


def _key(key: Any) -> tuple[str, str]:
    model, version = key
    return model, version
