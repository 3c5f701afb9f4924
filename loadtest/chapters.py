"""The chapters of the demo between `up` and `down`: each does one thing to a running instance and checks that it
happened."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from loadtest import load, tools, wake
from loadtest.figures import ROOT
from loadtest.instance import Instance, eventually, example
from tidegate.cli import memory
from tidegate.kube import resources

WINDOW = {"autoscaling.knative.dev/window": "6s"}
SLEEP = "/?sleep=100"
HEY_SECONDS = 30
SETTLE_S = 8.0
BURST = 50
COMPONENTS = ("activator", "gateway", "controller", "autoscaler", "cluster.api")


class Broken(Exception):
    """A step's claim did not hold."""


@dataclass(frozen=True)
class Told:
    """What a step has to say, with its figures."""

    line: str
    figures: dict[str, Any] = field(default_factory=dict)


def check(condition: bool, otherwise: str) -> None:
    """Raise `Broken` with `otherwise` unless the condition holds."""
    if not condition:
        raise Broken(otherwise)


async def deploy(instance: Instance) -> Told:
    """Apply hello as a user would and wait for it."""
    await instance.configure("config-autoscaler", {"scale-to-zero-grace-period": "1s", "stable-window": "6s"})
    begin = time.perf_counter()
    done = await tools.apply_file(instance, ROOT / "examples" / "hello" / "service.yaml")
    await tools.wait_ready(instance, "hello")
    seconds = time.perf_counter() - begin
    obj = await instance.client.get(resources.KNATIVE_SERVICES, "hello", "default")
    return Told(f"{done}; Ready after {seconds:.1f} s at {obj['status']['url']}", {"ready_s": round(seconds, 2)})


async def go_to_zero(instance: Instance) -> Told:
    """Wait until hello has no pod."""
    revision = await instance.revision_of("hello")
    begin = time.perf_counter()
    await instance.wait_zero(revision)
    seconds = time.perf_counter() - begin
    shown = await _shown_replicas(instance, revision)
    return Told(f"{revision} has {shown} replicas, {seconds:.1f} s later (window 6 s, grace 1 s)", {"zero_s": seconds})


async def wake_hello(instance: Instance) -> Told:
    """One request wakes hello."""
    own_s = await wake.own_start("hello")
    begin = time.perf_counter()
    reply = await load.get(instance.port, "hello.default.localhost")
    total_s = time.perf_counter() - begin
    check(reply.status == 200, f"the request that should wake hello got {reply.status}: {reply.body[:200]!r}")
    total_ms, own_ms = round(total_s * 1e3, 1), round(own_s * 1e3, 1)
    text = reply.body.decode().strip()
    return Told(
        f"200 {text!r} after {total_ms:.0f} ms, of which the app's own start is {own_ms:.0f} ms",
        {"total_ms": total_ms, "own_start_ms": own_ms},
    )


async def grow(instance: Instance) -> Told:
    """Five in flight: target 1 at 100 % needs 5 pods, target 5 one pod; at the default 70 % 8 and 2."""
    full: dict[str, str | None] = {"target-utilization-percentage": "100"}
    default: dict[str, str | None] = {"target-utilization-percentage": None}
    pairs = [
        ("target 1, utilization 100 %", "grow-1", full | {"target": "1"}, 5),
        ("target 5, utilization 100 %", "grow-5", full | {"target": "5"}, 1),
        ("target 1, default 70 %", "grow-1-70", default | {"target": "1"}, 8),
        ("target 5, default 70 %", "grow-5-70", default | {"target": "5"}, 2),
    ]
    for _, name, targets, _ in pairs:
        keys = {f"autoscaling.knative.dev/{key}": value for key, value in targets.items()}
        await tools.apply(instance, example("autoscale", service=name, annotations=keys))
    for _, name, _, _ in pairs:
        await tools.wait_ready(instance, name)
    # Two at a time: on a small machine four loads at once would measure the machine.
    results = [*await asyncio.gather(*(_load(instance, pair[1]) for pair in pairs[:2]))]
    results += await asyncio.gather(*(_load(instance, pair[1]) for pair in pairs[2:]))
    parts, figures = [], {}
    for (title, name, _, expected), (pods, statuses) in zip(pairs, results, strict=True):
        lost = sum(count for status, count in statuses.items() if status != 200)
        check(pods == expected, f"{title}: {pods} pods instead of {expected}; answers {dict(statuses)}")
        check(not lost, f"{title}: {lost} requests were lost: {dict(statuses)}")
        parts.append(f"{title}: {pods} pods")
        figures[name] = {"pods": pods, "answers": sum(statuses.values())}
    generator = "hey" if tools.HAVE_HEY else "the built-in generator"
    return Told(f"{generator} -z {HEY_SECONDS}s -c 5 on 100 ms: {'; '.join(parts)}; no request lost", figures)


async def split(instance: Instance) -> Told:
    """A second revision gets 20 of every 100 requests."""
    first = await instance.revision_of("hello")
    document = example("hello", env={"TARGET": "second"})
    await tools.apply(instance, document)
    await tools.wait_ready(instance, "hello")
    second = await instance.revision_of("hello")
    check(second != first, f"no second revision was made: still {first}")
    document["spec"]["traffic"] = [
        {"revisionName": first, "percent": 80},
        {"revisionName": second, "percent": 20},
    ]
    await tools.apply(instance, document)
    await tools.wait_ready(instance, "hello")
    counts = await _count_bodies(instance, "hello.default.localhost", 1000)
    shares = sorted(counts.values(), reverse=True)
    check(shares == [800, 200], f"1,000 requests split {dict(counts)} instead of 800 to 200")
    return Told(f"1,000 requests over {first} and {second} at 80/20: {shares[0]} to {shares[1]}", {"split": shares})


async def tag(instance: Instance) -> Told:
    """A tag addresses a revision that gets 0 % of the traffic."""
    obj = await instance.client.get(resources.KNATIVE_SERVICES, "hello", "default")
    first, second = (entry["revisionName"] for entry in obj["spec"]["traffic"])
    document = example("hello", env={"TARGET": "second"})
    document["spec"]["traffic"] = [
        {"revisionName": first, "percent": 100},
        {"revisionName": second, "percent": 0, "tag": "next"},
    ]
    await tools.apply(instance, document)
    await tools.wait_ready(instance, "hello")

    async def tagged() -> load.Reply | None:
        reply = await load.get(instance.port, "next-hello.default.localhost")
        return reply if reply.status == 200 else None

    reply = await eventually(tagged, 10, "the tag's host answers")
    check(b"second" in reply.body, f"the tag's host answered {reply.body[:200]!r}")
    main = await _count_bodies(instance, "hello.default.localhost", 100)
    check(len(main) == 1 and b"second" not in next(iter(main)), f"the main host answered {dict(main)}")
    return Told(f"next-hello.default.localhost answers {reply.body.decode().strip()!r}, the main host never does")


async def digits(instance: Instance) -> Told:
    """The digits model is trained, deployed, goes to zero, and answers from there with the right digit."""
    model = instance.state / ("digits.pt" if importlib.util.find_spec("torch") else "digits.pickle")
    trained = await instance.command(sys.executable, "-m", "examples.digits.train", "--out", str(model))
    await tools.apply(instance, example("digits", env={"MODEL_FILE": str(model)}))
    await tools.wait_ready(instance, "digits", 120)
    revision = await instance.revision_of("digits")
    await instance.wait_zero(revision, 90)
    pixels, label = await asyncio.to_thread(_one_digit)
    body = json.dumps({"instances": [pixels]}).encode()
    begin = time.perf_counter()
    reply = await load.get(
        instance.port, "digits.default.localhost", "/v1/models/digits:predict", method="POST", body=body
    )
    total_s = time.perf_counter() - begin
    check(reply.status == 200, f"digits answered {reply.status}: {reply.body[:300]!r}")
    digit = json.loads(reply.body)["predictions"][0]
    check(digit == label, f"the model says {digit}, the picture is a {label}")
    accuracy = " ".join(trained.split()).rpartition(", written")[0]
    return Told(
        f"{accuracy}; a handwritten {label} is read as {digit}, from zero in {total_s:.2f} s",
        {"total_s": round(total_s, 3)},
    )


async def burst(instance: Instance) -> Told:
    """Fifty requests at once meet a service at zero."""
    name = "burst"
    await tools.apply(instance, example("hello", service=name, annotations=WINDOW))
    await tools.wait_ready(instance, name)
    await instance.wait_zero(await instance.revision_of(name))
    replies = await load.burst(instance.port, f"{name}.default.localhost", requests=BURST)
    statuses = Counter(reply.status for reply in replies)
    check(statuses == {200: BURST}, f"answers by status: {dict(statuses)}")
    slowest_ms = max(reply.first_byte_s for reply in replies) * 1e3
    return Told(
        f"{BURST} × 200, none lost; the slowest waited {slowest_ms:.0f} ms", {"slowest_ms": round(slowest_ms, 1)}
    )


async def kills(instance: Instance) -> Told:
    """Every component is killed in turn and comes back; services keep answering."""
    parts, figures = [], {}
    for component in COMPONENTS:
        seconds, answered = await _kill(instance, component)
        parts.append(f"{component} back in {seconds:.1f} s")
        figures[component] = {"back_s": round(seconds, 2), "answered": answered}
    return Told("kill -9: " + ", ".join(parts), figures)


async def _kill(instance: Instance, component: str) -> tuple[float, int]:
    pid = pid_of(instance, component)
    begin = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: is_replaced(instance, component, pid), 30, f"{component} is started again")

    async def answers() -> bool:
        return (await load.get(instance.port, "hello.default.localhost")).status == 200

    await eventually(answers, 30, f"hello answers after {component} was killed")
    await eventually(lambda: all_ready(instance), 40, f"all components are ready after {component} was killed")
    seconds = time.perf_counter() - begin
    await _still_scales(instance, component)
    return seconds, 1


async def _still_scales(instance: Instance, component: str) -> None:
    # The whole loop must work again: a service at zero wakes.
    name = "burst"
    revision = await instance.revision_of(name)
    await instance.wait_zero(revision)
    reply = await load.get(instance.port, f"{name}.default.localhost")
    check(reply.status == 200, f"after {component} was killed, a wake got {reply.status}: {reply.body[:200]!r}")


async def is_replaced(instance: Instance, component: str, old_pid: int) -> bool:
    """Whether another process than `old_pid` runs the component now."""
    with contextlib.suppress(Broken):
        return pid_of(instance, component) != old_pid
    return False


async def all_ready(instance: Instance) -> bool:
    """Whether all Deployments of the system namespace have their replicas available."""
    deployments = (await instance.client.list(resources.DEPLOYMENTS, "tidegate-system")).items
    return bool(deployments) and all(
        (item.get("status") or {}).get("availableReplicas", 0) >= item["spec"]["replicas"] for item in deployments
    )


def pid_of(instance: Instance, component: str) -> int:
    """Return the process id of `python -m <component>` in this instance; raises `Broken` when there is none."""
    for process in memory.tree(instance.supervisor_pid()):
        words = process.command.split()
        if "-m" in words and words[words.index("-m") + 1 : words.index("-m") + 2] == [component]:
            return process.pid
    raise Broken(f"no process of {component} is running")


async def _load(instance: Instance, name: str) -> tuple[int, Counter[int]]:
    """Load one service and return the pods it settled on, and the answers by status."""
    revision = await instance.revision_of(name)
    async with _watching_pods(instance, revision) as samples:
        statuses = await tools.hey(instance, f"{name}.default.localhost", SLEEP, connections=5, seconds=HEY_SECONDS)
    settled = [pods for at, pods in samples if SETTLE_S <= at <= HEY_SECONDS - 1]
    check(bool(settled), "no sample of the pods was taken")
    return Counter(settled).most_common(1)[0][0], statuses


@contextlib.asynccontextmanager
async def _watching_pods(instance: Instance, revision: str) -> AsyncIterator[list[tuple[float, int]]]:
    from tidegate.process import tasks

    samples: list[tuple[float, int]] = []
    begin = time.monotonic()

    async def watch() -> None:
        while True:
            samples.append((time.monotonic() - begin, await instance.ready_pods(revision)))
            await asyncio.sleep(0.5)

    watcher = tasks.spawn(watch(), f"pods of {revision}")
    try:
        yield samples
    finally:
        await tasks.cancel(watcher)


async def _count_bodies(instance: Instance, host: str, requests: int) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    connection = load.Connection("127.0.0.1", instance.port)
    for _ in range(requests):
        reply = await connection.request(host)
        check(reply.status == 200, f"{host} answered {reply.status}: {reply.body[:200]!r}")
        counts[reply.body] += 1
    await connection.close()
    return counts


async def _shown_replicas(instance: Instance, revision: str) -> str:
    if not tools.HAVE_KUBECTL:
        return str(len(await instance.pods_of(revision)))
    text = await instance.command("kubectl", "get", "revisions", revision)
    header, row = (line.split("  ") for line in text.strip().splitlines()[:2])
    names = [column.strip() for column in header if column.strip()]
    values = [value.strip() for value in row if value.strip()]
    check(names[-2:] == ["ACTUAL REPLICAS", "DESIRED REPLICAS"], f"kubectl get revisions shows {names}")
    check(values[-2:] == ["0", "0"], f"kubectl get revisions shows {values}")
    return f"{values[-2]} (kubectl get revisions: ACTUAL {values[-2]}, DESIRED {values[-1]})"


def _one_digit() -> tuple[list[float], int]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return [float(value) for value in data.data[-1]], int(data.target[-1])


CHAPTERS: list[tuple[str, Callable[[Instance], Awaitable[Told]]]] = [
    ("deploy hello", deploy),
    ("idle, it goes to zero", go_to_zero),
    ("one request wakes it", wake_hello),
    ("it grows with the requests in flight", grow),
    ("two revisions share traffic exactly", split),
    ("a tag addresses the revision with 0 %", tag),
    ("a model answers from zero", digits),
    ("a burst at zero loses nothing", burst),
    ("every component may be killed", kills),
]
