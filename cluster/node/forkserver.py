"""Starts Python programs by forking a template process that has their imports done.

The pool of templates: one for the components' own modules, kept from the start, and one for every set of imports that
pods ask for (`tidegate.dev/preload`, or the image catalog), made after the first such pod and kept while there is room.
Sets that were used lately are remembered in a file, so that a restarted node has them again. Whatever goes wrong here
is a reason to start plainly, never a reason not to start.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.node import preload, process
from cluster.node.preload import Program, Template
from cluster.node.process import Command, Process
from cluster.node.reaper import STATE_VARIABLE
from cluster.node.template_link import CannotFork, Link
from tidegate.process import tasks

log = logging.getLogger(__name__)

__all__ = ["CannotFork", "ForkServer"]

READY_TIMEOUT_S = 60.0
RETRY_PAUSE_S = (1.0, 2.0, 5.0, 15.0, 60.0)
PREPARE_DELAY_S = 1.0
"""The pod that asks for a template first starts plainly; the template's imports leave it that much of a lead."""
REMEMBERED_FOR_S = 7 * 86400.0
FILE_NAME = "templates.json"
PREPARING = "the template is being prepared"


@dataclass(slots=True)
class _Entry:
    """One set of imports: its template if there is one, and its history."""

    link: Link | None = None
    used_unix_s: float = 0.0
    failures: int = 0
    is_due: bool = False
    is_scheduled: bool = False
    not_before: float = 0.0
    """monotonic time before which a template that failed is not tried again"""
    why_not: str = PREPARING


class ForkServer:
    """Forks `python -m X` for X in `modules`, and every Python program whose command names modules to preload.

    `state` marks the processes as this node's and is the folder of the memory; `limit` is the most templates of pods.
    """

    def __init__(self, modules: Sequence[str], state: str, limit: int = 8) -> None:
        self._modules = frozenset(modules)
        self._state = state
        self._limit = limit
        self._own = Template(sys.executable, tuple(f"{name}.__main__" for name in sorted(modules)))
        self._entries: dict[Template, _Entry] = {}
        self._retired: set[Link] = set()
        self._work = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int:
        """The process of the components' template, 0 when there is none."""
        link = self._entry(self._own).link
        return link.pid if link and not link.is_gone else 0

    async def run(self) -> None:
        """Keep the templates that are wanted, one preparation at a time, until cancelled."""
        try:
            if self._modules:
                self._entry(self._own).is_due = True
            for template in self._recall():
                self._entry(template).is_due = True
            while True:
                self._work.clear()
                for template, entry in list(self._entries.items()):
                    if entry.is_due and template in self._entries:
                        await self._prepare(template, entry)
                await self._work.wait()
        finally:
            await tasks.cancel(*self._tasks)
            for link in [*self._retired, *(entry.link for entry in self._entries.values() if entry.link)]:
                link.kill()

    async def wait_ready(self, timeout_s: float = READY_TIMEOUT_S, modules: Sequence[str] | None = None) -> None:
        """Return once the template works; raises TimeoutError.

        It is the components' own, or the one of `modules` for programs that set no variables imports read.
        """
        wanted = self._own if modules is None else Template(sys.executable, tuple(modules))
        async with asyncio.timeout(timeout_s):
            while not ((link := self._entry(wanted).link) and link.ready.is_set()):
                self._news.clear()
                await self._news.wait()

    async def fork(self, command: Command) -> Process:
        """Start `command` from a template; raises `CannotFork`."""
        link, program = self.template_of(command)
        return await link.fork(command, program)

    def template_of(self, command: Command) -> tuple[Link, Program]:
        """Return the template for `command` and the program to run in it; raises `CannotFork`.

        A set of imports that is asked for the first time is noted, and its template prepared.
        """
        program = preload.program_of(command.argv) if command.argv else None
        if program is None or not _is_python(command.argv[0]):
            raise CannotFork("only plain Python programs can be forked" if command.preload else "")
        if program.kind == "module" and program.args[0] in self._modules and _is_this_python(command.argv[0]):
            return self._link(self._own, f"{program.args[0]}.__main__"), program
        if not command.preload or not self._limit:
            name = program.args[0] if program.kind == "module" else ""
            raise CannotFork(f"{name} is not in the template's list" if name and self._modules else "")
        for folder in (_folder_of(program, command), *command.env.get("PYTHONPATH", "").split(os.pathsep)):
            for name in preload.names_to_find(command.preload) if folder else ():
                if (Path(folder) / name).exists():
                    raise CannotFork(f"{name} in {folder} may be another than the template's")
        template = preload.template_for(_interpreter(command), command.preload, command.env)
        return self._link(template), program

    def _link(self, template: Template, module: str = "") -> Link:
        entry = self._entry(template)
        entry.used_unix_s = time.time()
        link = entry.link
        if link is None or not link.is_useful:
            if template != self._own and self._limit and not entry.is_due and time.monotonic() >= entry.not_before:
                self._later(template, PREPARE_DELAY_S)
            raise CannotFork(f"{entry.why_not} ({template.title})")
        if not link.ready.is_set():
            raise CannotFork(f"{PREPARING} ({template.title})")
        if module in link.failed:
            raise CannotFork(f"the template could not import {module.removesuffix('.__main__')}: {link.failed[module]}")
        return link

    def _entry(self, template: Template) -> _Entry:
        return self._entries.setdefault(template, _Entry())

    def _later(self, template: Template, delay_s: float) -> None:
        entry = self._entry(template)
        if entry.is_scheduled:
            return
        entry.is_scheduled = True

        async def due() -> None:
            await asyncio.sleep(delay_s)
            entry.is_scheduled, entry.is_due = False, True
            self._work.set()

        task = tasks.spawn(due(), "template-due")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepare(self, template: Template, entry: _Entry) -> None:
        entry.is_due = False
        if entry.link is not None and entry.link.is_useful:
            return
        self._make_room(template)
        try:
            link = entry.link = Link(template, self._environment(template), self._changed)
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not (link.ready.is_set() or link.is_gone):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            link.flaw = f"its imports took longer than {READY_TIMEOUT_S:g} s"
        except OSError as error:
            self._failed(template, entry, f"the template cannot be started: {error}")
            return
        if template == self._own and not link.is_gone:
            _warn_of_missing(link)
        elif link.flaw or link.failed or link.is_gone:
            name, text = next(iter(link.failed.items()), ("", ""))
            reason = f"it could not import {name}: {text}" if name else link.flaw or "it ended"
            entry.link = None
            link.kill()
            self._failed(template, entry, f"the template cannot be used: {reason}")
            return
        entry.failures, entry.why_not = 0, link.flaw or PREPARING
        self._remember()
        log.info("template %s: ready after %.2f s, %d MB", template.title, link.imports_s, link.rss_bytes >> 20)

    def _failed(self, template: Template, entry: _Entry, why: str) -> None:
        entry.link, entry.why_not = None, why
        pause_s = RETRY_PAUSE_S[min(entry.failures, len(RETRY_PAUSE_S) - 1)]
        entry.failures += 1
        entry.not_before = time.monotonic() + pause_s
        log.warning("%s (%s); its programs start plainly", why, template.title)
        if template == self._own:
            self._later(template, pause_s)

    def _changed(self, link: Link) -> None:
        """A template is ready, stale or gone."""
        self._news.set()
        entry = self._entries.get(link.template)
        if link.is_gone:
            self._retired.discard(link)
        if entry is None or entry.link is not link or link.is_useful or not link.ready.is_set():
            return
        if link.flaw and not link.is_gone:
            return
        entry.link = None
        if link.is_gone:
            log.warning("the template of %s ended; its programs end too, and another is made", link.template.title)
            self._later(link.template, RETRY_PAUSE_S[0])
            return
        log.info("the template of %s is made anew: %s", link.template.title, link.stale)
        self._retire(link)
        self._later(link.template, 0.0)

    def _retire(self, link: Link) -> None:
        self._retired.add(link)
        link.retire()

    def _make_room(self, template: Template) -> None:
        """Retire the template that was not used for the longest time when there are too many."""
        if template == self._own:
            return
        others = [key for key, entry in self._entries.items() if entry.link and key not in (self._own, template)]
        while len(others) >= self._limit:
            oldest = min(others, key=lambda key: self._entries[key].used_unix_s)
            others.remove(oldest)
            link = self._entries.pop(oldest).link
            if link is not None:
                log.info("the template of %s makes room", oldest.title)
                self._retire(link)

    def _environment(self, template: Template) -> dict[str, str]:
        if template == self._own:
            return {**os.environ, STATE_VARIABLE: self._state}
        base = {key: os.environ[key] for key in preload.OF_THE_NODE if key in os.environ}
        return {**base, **dict(template.env), STATE_VARIABLE: self._state}

    # Memory across restarts

    def _remember(self) -> None:
        kept = [
            {"python": one.python, "modules": one.modules, "env": one.env, "used": entry.used_unix_s}
            for one, entry in self._entries.items()
            if one != self._own and entry.link is not None
        ]
        path = Path(self._state) / FILE_NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".new").touch(0o600)  # some variables that imports read may be secrets
            path.with_suffix(".new").write_text(json.dumps(kept))
            path.with_suffix(".new").replace(path)
        except OSError as error:
            log.warning("%s: %s", path, error)

    def _recall(self) -> list[Template]:
        try:
            found = json.loads((Path(self._state) / FILE_NAME).read_text())
            templates = []
            for one in sorted(found, key=lambda one: -float(one["used"]))[: self._limit]:
                if float(one["used"]) > time.time() - REMEMBERED_FOR_S and _is_python(one["python"]):
                    env = tuple((str(key), str(value)) for key, value in one["env"])
                    template = Template(one["python"], preload.modules_of(" ".join(one["modules"])), env)
                    self._entry(template).used_unix_s = float(one["used"])
                    templates.append(template)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s is not readable (%s); templates are made when they are asked for", FILE_NAME, error)
            return []
        return templates


def _warn_of_missing(link: Link) -> None:
    for module, text in link.failed.items():
        log.warning("template: %s cannot be imported (%s); it will be started plainly", module, text)


def _folder_of(program: Program, command: Command) -> str:
    """Return the folder that leads the program's search path."""
    return str((Path(command.cwd) / program.args[0]).parent) if program.kind == "script" else command.cwd


def _interpreter(command: Command) -> str:
    if _is_this_python(command.argv[0]):
        return sys.executable
    try:
        return process.find(command)
    except process.StartError as error:
        raise CannotFork(str(error)) from error


def _is_python(name: str) -> bool:
    return Path(name).name.startswith("python")


def _is_this_python(name: str) -> bool:
    return name in (sys.executable, "python", "python3")
