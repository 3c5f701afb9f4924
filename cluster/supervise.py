"""The supervisor of one local instance: starts API server and node, keeps them running, ends them in order.

It is the smallest process that can do this, because it runs as long as the instance does: one loop around one system
call (sigtimedwait), no asyncio, no threads. All it knows survives in run.json and instance.json.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from cluster import children, instance

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD]
HOUSEKEEPING_S = 10.0
KUBECONFIG_POLL_S = 0.02
NODE_GRACE_S = 40.0
API_GRACE_S = 4.0


class Supervisor:
    """One running instance."""

    def __init__(self, state: Path, api_port: int, images: str, strict: bool = False) -> None:
        self._state = state
        self._lock = instance.lock(state)
        instance.check_store(state)
        known = instance.remembered(state)
        self.octet, self._holder = instance.hold_octet(state, known.get("octet", 0))
        self.api_port = instance.choose_port(api_port, known.get("api_port", 0))
        instance.remember(state, self.octet, self.api_port)
        self._strict = strict
        token_file = _kubelet_token(state)
        logs = state / "logs"
        logs.mkdir(exist_ok=True, mode=0o700)
        self._logs = [logs / name for name in ("supervisor.log", "api.log", "node.log")]
        self._api = children.Child("api", self._api_command(token_file), logs / "api.log")
        self._node = children.Child("node", self._node_command(token_file, images), logs / "node.log")
        self._stopping = False

    def _api_command(self, token_file: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "cluster.api", "--state", str(self._state)),
            *("--host", instance.API_HOST, "--port", str(self.api_port)),
            *("--service-cidr", f"127.{self.octet}.128.0/17", "--kubelet-token-file", str(token_file)),
            *(("--strict", "true") if self._strict else ()),
        ]

    def _node_command(self, token_file: Path, images: str) -> list[str]:
        command = [
            *(sys.executable, "-m", "cluster.node", "--state", str(self._state)),
            *("--kubeconfig", str(self._state / "pki" / "node.kubeconfig"), "--name", "local"),
            *("--pod-cidr", f"127.{self.octet}.0.0/17", "--kubelet-token-file", str(token_file)),
        ]
        return [*command, "--images", images] if images else command

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        say(f"instance in {self._state}: network 127.{self.octet}.0.0/16, API server port {self.api_port}")
        try:
            while not self._stopping:
                self._start_due()
                self._wait()
        finally:
            self._end()

    def _start_due(self) -> None:
        now = time.monotonic()
        started = False
        for child in (self._api, self._node):
            if child.pid or now < child.due_s:
                continue
            if child is self._node and not (self._state / "kubeconfig").exists():
                child.due_s = now + KUBECONFIG_POLL_S
                continue
            child.start(now)
            started = True
        if started:
            self._write_run_file()

    def _wait(self) -> None:
        now = time.monotonic()
        dues = [child.due_s - now for child in (self._api, self._node) if not child.pid]
        received = children.next_signal(SIGNALS, max(0.0, min([HOUSEKEEPING_S, *dues])))
        if not received:
            for log in self._logs:
                children.rotate(log)
        elif received == signal.SIGCHLD:
            self._reap()
        else:
            say(f"{signal.Signals(received).name}: stopping")
            self._stopping = True

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in (self._api, self._node):
                if child.pid == pid:
                    pause_s = child.ended(time.monotonic())
                    code = os.waitstatus_to_exitcode(status)
                    say(f"{child.name} ended with {code}; starting it again in {pause_s:g} s")

    def _write_run_file(self) -> None:
        pids = {"supervisor": os.getpid(), "api": self._api.pid, "node": self._node.pid}
        document: dict[str, object] = {
            "pid": os.getpid(),
            "pids": {name: pid for name, pid in pids.items() if pid},
            "octet": self.octet,
            "api_port": self.api_port,
        }
        instance.write(self._state / "run.json", document)

    def _end(self) -> None:
        # The node first: it ends its pods in their own time, while the API server is still there to be told.
        self._node.end(NODE_GRACE_S)
        self._api.end(API_GRACE_S)
        (self._state / "run.json").unlink(missing_ok=True)
        say("stopped")


def _kubelet_token(state: Path) -> Path:
    folder = state / "pki"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / "kubelet.token"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(descriptor, os.urandom(32).hex().encode())
        os.close(descriptor)
    return path


def say(text: str) -> None:
    """Write one line to the supervisor's log, which is its standard error."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{stamp} supervisor: {text}", file=sys.stderr, flush=True)
