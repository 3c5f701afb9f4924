"""A template process of the fork server: imports once, proves that it can be forked, forks on request.

`python template.py FD MODULE...`; FD is its end of the socket pair. It runs under the interpreter of the programs that
it stands for, so it imports nothing but the standard library.

One thread, no event loop, no sockets but the one to the node: what it holds, every child inherits. It tells the node
when it has become stale (an imported file changed, its memory grew); it then forks no more, and ends after its last
child. What a child finds around itself is `forked_child`'s matter.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.node import forked_child, shared_pages
else:
    # The interpreter may be one in which Tidegate is not installed; this file's folder leads its search path.
    import forked_child
    import shared_pages

    # No import of a program may meet our neighbours' names.
    sys.path[0] = ""

MESSAGE_LIMIT_BYTES = 4 << 10
DESCRIPTORS = 3
PROOF_TIMEOUT_S = 20.0
LOOK_EVERY_S = 2.0
GROWTH_LIMIT = 1.25
GROWTH_FLOOR_BYTES = 32 << 20


def main() -> None:
    """Import, prove, report, then serve until the node's end of the socket closes."""
    link = socket.socket(fileno=int(sys.argv[1]))
    began = time.monotonic()
    imported, failed = preload(sys.argv[2:])
    shared_pages.empty_caches()
    rehearse(imported)
    forget_folders()
    imports_s = time.monotonic() - began
    service = Service(link)
    shared_pages.settle()
    flaw = flaw_of_imports() or flaw_of_fork()
    _send(link, {"ready": imported, "failed": failed, "flaw": flaw, "imports_s": imports_s, "rss": rss_bytes()})
    service.serve()


def preload(modules: list[str]) -> tuple[list[str], dict[str, str]]:
    """Import each module without running it as a program; return those that worked, and why others did not."""
    imported: list[str] = []
    failed: dict[str, str] = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except BaseException as error:  # a module may even call exit() on import
            failed[module] = f"{type(error).__name__}: {error}"[:500]
        else:
            imported.append(module)
        if module.endswith(".__main__"):
            # runpy executes it again as `__main__`; a leftover entry would only make it warn.
            sys.modules.pop(module, None)
    # What nearly every child would import by itself, and have a copy of: name resolution, numpy's seed.
    for module in ("encodings.idna", *(("numpy.random",) if "numpy" in sys.modules else ())):
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    return imported, failed


def rehearse(imported: list[str]) -> None:
    """Call `before_forks` of the imported modules that have one: what it makes, children need not make again.

    What it may have left behind (threads, a GPU) is a flaw as it is of imports; that it failed is none.
    """
    for name in imported:
        function = getattr(sys.modules.get(name), "before_forks", None)
        try:
            if callable(function):
                function()
        except (Exception, SystemExit):
            traceback.print_exc()


def forget_folders() -> None:
    """Forget the folder for temporary files: a child may have another one in its environment."""
    if tempfile := sys.modules.get("tempfile"):
        tempfile.tempdir = None  # type: ignore[attr-defined]


def flaw_of_imports() -> str:
    """Return why this process must not be forked, empty when nothing speaks against it.

    A thread of Python does not exist in a child, though its locks do; a CUDA context is useless there. Threads of
    native libraries are judged by `flaw_of_fork`, since some libraries (OpenBLAS) take care of forks.
    """
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        return f"an import started a thread ({others[0]})"
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("/dev/nvidia"):
            return f"an import opened the GPU ({target})"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "an import initialised CUDA"
    return ""


def flaw_of_fork() -> str:
    """Fork a child that computes with what is imported; return what went wrong with it."""
    pid = os.fork()
    if pid == 0:
        forked_child.prove()
    deadline = time.monotonic() + PROOF_TIMEOUT_S
    pause_s = 0.001
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            code = os.waitstatus_to_exitcode(status)
            return f"a forked child failed its first computation (exit code {code})" if code else ""
        time.sleep(pause_s)
        pause_s = min(0.05, pause_s * 2)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "a forked child hung in its first computation"


def imported_files() -> dict[str, int]:
    """Return the modification times in ns of the imported files, and of the folders of installed packages.

    Installed packages are watched by their folder (an installer writes there), everything else file by file; the
    standard library does not change while we live.
    """
    found: dict[str, int] = {}
    library = str(Path(os.__file__).parent)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or not file.startswith("/"):
            continue
        head, marker, _ = file.partition("site-packages")
        if marker:
            file = head + marker
        elif file.startswith(library) or file == __file__:
            continue
        # A copy, which lies beside the others: to look at the file writes to no module's page.
        found[os.fsdecode(os.fsencode(file))] = _mtime(file)
    return found


def rss_bytes() -> int:
    """Return this process's resident memory in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Service:
    """Forks on request, reports the ends of children, notices when the template has become stale."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._children: set[int] = set()
        self._is_retired = False
        self._is_stale = False
        self._files = imported_files()
        self._rss_limit = max(rss_bytes() * GROWTH_LIMIT, rss_bytes() + GROWTH_FLOOR_BYTES)

    def serve(self) -> None:
        """Work until the node's end closes, or until retired and childless."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._link, selectors.EVENT_READ)
            selector.register(wake_read, selectors.EVENT_READ)
            while not (self._is_retired and not self._children):
                ready = {key.fd for key, _ in selector.select(None if self._is_stale else LOOK_EVERY_S)}
                if not ready:
                    self._look()
                if wake_read in ready:
                    os.read(wake_read, 4096)
                    self._report_ended()
                if self._link.fileno() in ready and not self._take_request():
                    return

    def _look(self) -> None:
        changed = [file for file, before in self._files.items() if _mtime(file) != before]
        if changed:
            self._stale(f"{changed[0]} changed")
        elif rss_bytes() > self._rss_limit:
            self._stale("its memory grew")

    def _stale(self, reason: str) -> None:
        self._is_stale = True
        _send(self._link, {"stale": reason})

    def _take_request(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._link, MESSAGE_LIMIT_BYTES, DESCRIPTORS)
        if not message:
            return False
        request = json.loads(message)
        if request.get("retire"):
            self._is_retired = self._is_stale = True
            return True
        template = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _send(self._link, {"id": request["id"], "error": str(error)})
            pid = -1
        if pid == 0:
            forked_child.become(descriptors, template)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            self._children.add(pid)
            # Not by `_send`: what this process writes to after a fork, the child has alone.
            self._link.send(b'{"id": %d, "pid": %d}' % (request["id"], pid))
        return True

    def _report_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._children.discard(pid)
            _send(self._link, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _mtime(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns  # noqa: PTH116 -- a Path touches the names of all its parts
    except OSError:
        return 0


def _send(link: socket.socket, message: dict[str, Any]) -> None:
    link.send(json.dumps(message).encode())


if __name__ == "__main__":
    main()
