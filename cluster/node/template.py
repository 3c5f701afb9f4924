"""The template process of the fork server: imports once, forks on request.

`python -m cluster.node.template FD MODULE...`; FD is its end of the socket pair.

One thread, no event loop, no sockets but the one to the node: what it holds, every child inherits. A child gets its
own session, environment, folder and log descriptors, default signals, fresh random state, and dies with the template,
which dies with the node.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import traceback
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
MESSAGE_LIMIT_BYTES = 128 << 10
TITLE_LIMIT_BYTES = 64 << 10
_LIBC = ctypes.CDLL(None)


def main() -> None:
    """Import, report, then serve until the node's end of the socket closes."""
    link = socket.socket(fileno=int(sys.argv[1]))
    imported, failed = preload(sys.argv[2:])
    gc.collect()
    # Keeps the collector from touching, and so copying, the pages that children share.
    gc.freeze()
    _send(link, {"ready": imported, "failed": failed})
    serve(link)


def preload(modules: list[str]) -> tuple[list[str], dict[str, str]]:
    """Import each module's `__main__` without running it; return those that worked, and why others did not."""
    imported: list[str] = []
    failed: dict[str, str] = {}
    for module in modules:
        try:
            importlib.import_module(f"{module}.__main__")
        except BaseException as error:  # a module may even call exit() on import
            failed[module] = f"{type(error).__name__}: {error}"[:500]
        else:
            imported.append(module)
        # runpy executes it again as `__main__`; a leftover entry would only make it warn.
        sys.modules.pop(f"{module}.__main__", None)
    return imported, failed


def serve(link: socket.socket) -> None:
    """Fork on request and report the ends of children."""
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(link, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if wake_read in ready:
                os.read(wake_read, 4096)
                _report_ended(link)
            if link.fileno() in ready and not _take_request(link):
                return


def _take_request(link: socket.socket) -> bool:
    message, descriptors, _, _ = socket.recv_fds(link, MESSAGE_LIMIT_BYTES, 2)
    if not message:
        return False
    request = json.loads(message.decode("utf-8", "surrogateescape"))
    template = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        _send(link, {"id": request["id"], "error": str(error)})
        pid = -1
    if pid == 0:
        _become(request, descriptors, template)
    for descriptor in descriptors:
        os.close(descriptor)
    if pid > 0:
        _send(link, {"id": request["id"], "pid": pid})
    return True


def _report_ended(link: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _send(link, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _send(link: socket.socket, message: dict[str, Any]) -> None:
    link.send(json.dumps(message).encode())


def _become(request: dict[str, Any], descriptors: list[int], template: int) -> None:
    """Turn the forked child into the asked-for program; never returns."""
    code = 1
    try:
        _detach(descriptors, template)
        _enter(request)
        runpy.run_module(request["argv"][0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException:
        traceback.print_exc()
    finally:
        _leave(code)


def _detach(descriptors: list[int], template: int) -> None:
    os.setsid()
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The template may have died before the line above.
    if os.getppid() != template:
        os._exit(137)
    signal.set_wakeup_fd(-1)
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as the interpreter sets it at start
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    stdin = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((stdin, *descriptors)):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _enter(request: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv = list(request["argv"])
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    _LIBC.prctl(PR_SET_NAME, request["argv"][0].encode()[:15])
    _show("python -m " + " ".join(request["argv"]))


def _show(title: str) -> None:
    """Let `ps` show what runs here instead of the template's command line, in the room that line has."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    if 0 < room < TITLE_LIMIT_BYTES:
        text = title.encode("utf-8", "replace")[: room - 1]
        ctypes.memmove(start, text.ljust(room, b"\0"), room)


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _leave(code: int) -> None:
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
