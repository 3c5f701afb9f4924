"""What a forked child makes of itself before the asked-for program runs: as if it had been started alone.

A session, environment, folder, search path and log descriptors of its own, default signals, limits, fresh random
state, no inherited descriptors; it dies with the template, which dies with the node. What remains of the template:
the imported modules and the secret of string hashes.

Runs under any interpreter: standard library only, and nothing of Tidegate.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import atexit
import ctypes
import marshal
import os
import random
import resource
import runpy
import signal
import sys
import threading
import time
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWNS = 0x20000
MS_BIND = 0x1000
TITLE_LIMIT_BYTES = 64 << 10
PROOF_SIZE = 256
MT19937_WORDS = 624
_LIBC = ctypes.CDLL(None)
# By the module in C: `signal` would make enumerations of all of them, in each child's own memory.
_HANDLERS = tuple(
    (int(number), signal.default_int_handler if number == signal.SIGINT else int(signal.SIG_DFL))
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}
)

started: tuple[int, float, float] | None = None
"""For the program itself, which may want to tell how its start went (`tidegate.process.start_clock`): its pid, and when
it was forked and when its first line ran, in seconds of its monotonic clock."""


def become(descriptors: list[int], template: int) -> NoReturn:
    """Turn the forked child into the asked-for program.

    `descriptors`: stdout, stderr and a file with what is asked for, which the template does not read since its later
    children would have it in their memory: kind (module, script, code), args, env, cwd, limits {name of RLIMIT_*:
    value}, view (pairs of folders), no_new_privileges and dropped (numbers of capabilities), which are what it gives
    up. `template`: the pid of the parent.
    """
    global started  # noqa: PLW0603 -- a process is started once
    code = 1
    forked_at = time.monotonic()
    try:
        request = _read(descriptors.pop())
        _detach(descriptors, template)
        _enter(request)
        started = os.getpid(), forked_at, time.monotonic()
        _run(request["kind"], request["args"])
        code = 0
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException:
        traceback.print_exc()
    finally:
        _leave(code)


def prove() -> NoReturn:
    """In a child that exists only for this: compute a little with what is imported, and end with 0."""
    code = 1
    try:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        if numpy := sys.modules.get("numpy"):
            square = numpy.ones((PROOF_SIZE, PROOF_SIZE))
            assert (square @ square)[0, 0] == PROOF_SIZE
        if torch := sys.modules.get("torch"):
            with torch.inference_mode():
                square = torch.ones(PROOF_SIZE, PROOF_SIZE)
                assert float((square @ square)[0, 0]) == PROOF_SIZE
                assert float(torch.ones(1 << 18).exp().sum()) > 0
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _read(descriptor: int) -> dict[str, Any]:
    found: dict[str, Any] = marshal.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
    return found


def _detach(descriptors: list[int], template: int) -> None:
    os.setsid()
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The template may have died before the line above.
    if os.getppid() != template:
        os._exit(137)
    signal.set_wakeup_fd(-1)
    for number, handler in _HANDLERS:
        _signal.signal(number, handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as the interpreter sets it at start
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    stdin = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((stdin, *descriptors)):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _enter(request: dict[str, Any]) -> None:
    zone = os.environ.get("TZ")
    for name in list(os.environ):
        del os.environ[name]
    os.environ.update(request["env"])
    if os.environ.get("TZ") != zone:
        time.tzset()
    os.chdir(request["cwd"])
    for name, value in request.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (value, value))
    look_at(request.get("view", []))
    give_up(request.get("no_new_privileges", False), request.get("dropped", []))
    kind, args = request["kind"], request["args"]
    sys.path[:] = _search_path(kind, args, request["cwd"])
    sys.argv = ["-c", *args[1:]] if kind == "code" else list(args)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    random.seed()
    if numpy := sys.modules.get("numpy"):
        _seed(numpy)
    if torch := sys.modules.get("torch"):
        # Not `torch.seed`: that of a GPU is new in each process anyway, and its module need not be touched.
        torch.default_generator.seed()
    _LIBC.prctl(PR_SET_NAME, args[0].rpartition("/")[2].encode()[:15])
    _show(" ".join(("python", *{"module": ("-m",), "code": ("-c",)}.get(kind, ()), *args)))


def look_at(view: Collection[Sequence[str]]) -> None:
    """See the first of each pair of folders in place of the second: a mount namespace of this process's own.

    Where that is refused, it sees what the node sees.
    """
    if view and _LIBC.unshare(CLONE_NEWNS) == 0:
        for source, target in view:
            _LIBC.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND, None)


def _seed(numpy: Any) -> None:
    # A whole random state, drawn anew at its first use: `seed()` makes one of as many bytes by way of objects that cost
    # each child 240 KB of pages.
    try:
        numpy.random.set_state(
            ("MT19937", numpy.frombuffer(os.urandom(MT19937_WORDS * 4), numpy.uint32), MT19937_WORDS)
        )
    except (AttributeError, TypeError, ValueError):  # another generator was made the global one
        numpy.random.seed()


def give_up(no_new_privileges: bool, dropped: list[int]) -> None:
    """Gain no privileges ever after, and lose the capabilities with these numbers for good.

    A process without the right to drop from the bounding set has nothing there to lose.
    """
    if no_new_privileges:
        _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if not dropped:
        return
    for number in dropped:
        _LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    _LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    # capget(2): effective, permitted and inheritable, first the lower 32 bits of each, then the upper ones.
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _LIBC.capget(header, sets)
    for number in dropped:
        for which in range(3):
            sets[number // 32 * 3 + which] &= ~(1 << number % 32) & 0xFFFFFFFF
    _LIBC.capset(header, sets)


def _search_path(kind: str, args: list[str], cwd: str) -> list[str]:
    """Return sys.path as the interpreter would have made it: program's folder, PYTHONPATH, installation."""
    own = str((Path(cwd) / args[0]).parent) if kind == "script" else {"module": cwd, "code": ""}[kind]
    wanted = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    # The first entry of the template's own path stands for the folder it was started in.
    return [own, *wanted, *sys.path[1:]]


def _run(kind: str, args: list[str]) -> None:
    if kind == "module":
        runpy.run_module(args[0], run_name="__main__", alter_sys=True)
    elif kind == "script":
        runpy.run_path(args[0], run_name="__main__")
    else:
        main = sys.modules["__main__"] = type(sys)("__main__")
        exec(compile(args[0], "<string>", "exec"), main.__dict__)  # noqa: S102 -- `python -c` is asked for


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


def _leave(code: int) -> NoReturn:
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for the program's threads, as the interpreter does
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
