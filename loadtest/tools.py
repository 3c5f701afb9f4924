"""The tools a person would use, `kubectl` and `hey`, and what stands in for each where it is missing.

A stand-in does the same thing by Tidegate's own client or load generator, and the story says so and how to get the
tool.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import yaml

from loadtest import load
from loadtest.figures import ROOT
from loadtest.instance import Instance
from tidegate.kube.api import Object

HAVE_KUBECTL = shutil.which("kubectl") is not None
HAVE_HEY = shutil.which("hey") is not None
HEY_TIMEOUT_S = 90.0


def missing() -> list[str]:
    """Return one line for each tool that is missing: what happens instead, and how to get it."""
    lines = []
    if not HAVE_KUBECTL:
        lines.append(
            "kubectl is missing: the built-in client does its part (get it: https://kubernetes.io/docs/tasks/tools/)"
        )
    if not HAVE_HEY:
        lines.append("hey is missing: the built-in load generator does its part (get it: apt-get install hey)")
    return lines


async def apply_file(instance: Instance, path: Path) -> str:
    """Apply a YAML file as a user would; returns what was done, as a command line."""
    if HAVE_KUBECTL:
        await instance.command("kubectl", "apply", "-f", str(path))
        return f"kubectl apply -f {_short(path)}"
    for document in _documents(path):
        await instance.apply(document)
    return f"applied {_short(path)} by the built-in client"


async def apply(instance: Instance, document: Object) -> None:
    """Apply one object, by kubectl where there is one."""
    if not HAVE_KUBECTL:
        await instance.apply(document)
        return
    path = instance.state / f"apply-{document['metadata']['name']}.json"
    path.write_text(json.dumps(document))
    await instance.command("kubectl", "apply", "-f", str(path))
    path.unlink()


async def wait_ready(instance: Instance, service: str, timeout_s: int = 90) -> None:
    """Wait for a Knative Service's Ready condition."""
    if HAVE_KUBECTL:
        await instance.command("kubectl", "wait", "--for=condition=Ready", f"ksvc/{service}", f"--timeout={timeout_s}s")
    else:
        await instance.wait_service_ready(service, timeout_s)


async def hey(instance: Instance, host: str, target: str, *, connections: int, seconds: int) -> Counter[int]:
    """Load `host` for `seconds` with `connections` in flight; returns answers by status (0: no answer)."""
    if not HAVE_HEY:
        return (await load.steady(instance.port, host, target, connections=connections, seconds=seconds)).statuses
    url = f"http://127.0.0.1:{instance.port}{target}"
    # -t 0: a request that waits for a pod must show as slow, not as an error of the tool.
    command = ["hey", "-z", f"{seconds}s", "-c", str(connections), "-t", "0", "-host", host, url]
    return parse_hey(await instance.command(*command, timeout_s=seconds + HEY_TIMEOUT_S))


def parse_hey(text: str) -> Counter[int]:
    """Return hey's status code distribution; its errors count as status 0."""
    statuses: Counter[int] = Counter()
    for status, count in re.findall(r"^\s*\[(\d{3})\]\s+(\d+) responses", text, re.MULTILINE):
        statuses[int(status)] += int(count)
    _, _, errors = text.partition("Error distribution:")
    for count in re.findall(r"^\s*\[(\d+)\]", errors, re.MULTILINE):
        statuses[0] += int(count)
    return statuses


def _documents(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text()))


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
