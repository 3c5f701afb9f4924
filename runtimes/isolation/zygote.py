"""The process that workers are forked from: one thread, frameworks imported, no event loop, no model.

It is forked from the server before that has threads, or started by its `start`. `Fork` messages bring a worker's socket
and memory; the module that a worker will need is imported here first, so all workers of a server share its pages. It
ends when the server's end of the socket closes, and the kernel ends it with the server in any case.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import random
import selectors
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

from runtimes.isolation import frames
from runtimes.isolation.frames import Ended, Fork, Forked

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
MESSAGE_LIMIT_BYTES = 64 << 10
_LIBC = ctypes.CDLL(None)


def serve(link: socket.socket, parent: int) -> NoReturn:
    """Fork workers for the server (process `parent`) at the other end of `link`, until it is gone."""
    code = 1
    try:
        _die_with(parent)
        # Whoever ends a container signals its whole group; a worker ends when its server has drained. No SIG_IGN: what
        # a model starts would inherit that.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        _Zygote(link).serve()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> NoReturn:
    """`python -c ... zygote.main()` with the socket's descriptor and the parent's process as arguments."""
    from tidegate.process import logs

    logs.configure("runtimes.isolation", sys.argv[3])
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))


def flaw() -> str:
    """Return why this process must not be forked any more, empty when nothing speaks against it.

    A thread of Python does not exist in a child, though its locks do; a GPU that is open is useless there.
    """
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        return f"it has another thread ({others[0]})"
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("/dev/nvidia"):
            return f"it has opened the GPU ({target})"
    return ""


class _Zygote:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._children: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        self._selector.register(self._link, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._link:
                    self._report(int(key.fd))
                elif not self._take():
                    return

    def _take(self) -> bool:
        content, descriptors, _, _ = socket.recv_fds(self._link, MESSAGE_LIMIT_BYTES, 2)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # what a model starts has no business with them
        if not content:
            return False
        asked = frames.decode_fork(content)
        try:
            self._fork(asked, descriptors)
        except Exception as error:
            self._send(Forked(asked.number, error=f"{type(error).__name__}: {error}"))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _fork(self, asked: Fork, descriptors: list[int]) -> None:
        if asked.module and asked.module not in sys.modules:
            importlib.import_module(asked.module)
            gc.collect()
            gc.freeze()  # keeps the collector from touching, and so copying, the pages that workers share
        if reason := flaw():
            raise RuntimeError(f"{asked.module} cannot be imported before a fork: {reason}")
        zygote = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(asked, descriptors, zygote)
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = pid
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._send(Forked(asked.number, pid))

    def _become(self, asked: Fork, descriptors: list[int], zygote: int) -> NoReturn:
        code = 1
        try:
            _die_with(zygote)
            link, arena = socket.socket(fileno=descriptors[0]), descriptors[1]
            self._selector.close()
            self._link.close()
            for descriptor in self._children:
                os.close(descriptor)
            _LIBC.prctl(PR_SET_NAME, asked.title.encode()[:15])
            random.seed()
            if numpy := sys.modules.get("numpy"):
                numpy.random.seed()
            from runtimes.isolation import worker

            worker.main(link, arena)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _report(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        pid = self._children.pop(descriptor)
        _, status = os.waitpid(pid, 0)
        self._send(Ended(pid, os.waitstatus_to_exitcode(status)))

    def _send(self, message: Forked | Ended) -> None:
        self._link.send(frames.bare(message))


def _die_with(parent: int) -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the line above
        os._exit(137)
