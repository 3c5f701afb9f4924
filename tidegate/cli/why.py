"""`tidegate why NAME`: the last scaling decision of a revision as a sentence, with its inputs; or its last wakes.

Decisions are read from the autoscaler's admin port through the API server's service proxy, so it needs no more than a
kubeconfig. NAME is a revision, or a service: then every revision of it that the autoscaler knows is explained.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from tidegate.cli import common, output, wakes
from tidegate.cli.failures import Failure
from tidegate.contracts import decision as contract
from tidegate.contracts import durations, names
from tidegate.kube import resources as kinds
from tidegate.kube.api import ApiError
from tidegate.kube.client import Client

SYSTEM = f"/api/v1/namespaces/{names.SYSTEM_NAMESPACE}"
SERVICE_PROXY = f"{SYSTEM}/services/{names.AUTOSCALER_SERVICE}:{names.ADMIN_PORT}/proxy"
MISDIRECTED = 421
FOLLOW_S = 1.0

_decode = msgspec.json.Decoder(list[contract.Decision]).decode

Ring = list[contract.Decision]


class _Elsewhere(msgspec.Struct):
    """What a replica says of a revision that another decides for: `message` is the pod of that one."""

    message: str


@click.command()
@click.argument("name")
@common.namespace_option
@click.option("--since", default="", help="Also the decisions of the last so long, like 30s or 5m.")
@click.option("--follow", "-f", is_flag=True, help="Go on with every new decision, until interrupted.")
@click.option("--wake", "wants_wakes", is_flag=True, help="Show the last cold starts that requests paid, by phase.")
@common.state_option
@common.kubeconfig_option
@common.json_option
def why(
    name: str,
    namespace: str,
    since: str,
    follow: bool,
    wants_wakes: bool,
    state: Path | None,
    kubeconfig: Path | None,
    as_json: bool,
) -> None:
    """Explain the number of pods of NAME, a service or a revision."""
    oldest_unix_s = _oldest(since)
    if wants_wakes and follow:
        raise click.UsageError("--wake and --follow do not go together")
    where = common.connection(state, kubeconfig)
    if wants_wakes:
        found = common.call(where, lambda client: _wakes(client, namespace, name, oldest_unix_s))
        if as_json:
            output.print_json([one for of_revision in found.values() for one in of_revision])
        else:
            click.echo("\n\n".join(wakes.render(f"{namespace}/{each}", those) for each, those in found.items()))
        return
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            common.call(where, lambda client: _follow(client, namespace, name, oldest_unix_s, as_json))
        return
    rings = common.call(where, lambda client: read(client, namespace, name))
    rings = [_recent(ring, oldest_unix_s) for ring in rings]
    if as_json:
        output.print_json([msgspec.to_builtins(decision) for ring in rings for decision in ring])
    else:
        click.echo("\n\n".join(render(ring) for ring in rings))


def _oldest(since: str) -> float | None:
    if not since:
        return None
    try:
        return time.time() - durations.parse_duration(since)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from error


def _recent(ring: Ring, oldest_unix_s: float | None) -> Ring:
    """Keep the last decision, and with --since those after it."""
    if oldest_unix_s is None:
        return ring[-1:]
    return [decision for decision in ring[:-1] if decision.unix_s >= oldest_unix_s] + ring[-1:]


async def read(client: Client, namespace: str, name: str) -> list[Ring]:
    """Return the decisions of each revision that `name` means, newest last; raises Failure when there are none."""
    rings = [
        ring
        for revision in await revisions(client, namespace, name)
        if (ring := await _ring(client, namespace, revision))
    ]
    if not rings:
        raise Failure(
            f"{namespace}/{name}: the autoscaler has decided nothing yet; "
            f"it does so once there is a PodAutoscaler: kubectl get kpa -n {namespace}"
        )
    return rings


async def _wakes(
    client: Client, namespace: str, name: str, oldest_unix_s: float | None
) -> dict[str, list[wakes.Found]]:
    """Return the last wakes of each revision that `name` means."""
    found = {}
    for revision in await revisions(client, namespace, name):
        told = wakes.read(await _page(client, f"wakes/{namespace}/{revision}"))
        found[revision] = await wakes.complete(client, namespace, wakes.recent(told, oldest_unix_s))
    return found


async def revisions(client: Client, namespace: str, name: str) -> list[str]:
    """Return the revisions that `name` means: itself, or those of the service of that name."""
    if await _exists(client, namespace, name):
        return [name]
    page = await client.list(kinds.REVISIONS, namespace, labels=f"{names.SERVICE_LABEL}={name}")
    if not page.items:
        raise Failure(
            f"NAME: {namespace} has neither a revision nor a service {name!r}; see: kubectl get ksvc,revisions -A"
        )
    return sorted(obj["metadata"]["name"] for obj in page.items)


async def _exists(client: Client, namespace: str, name: str) -> bool:
    try:
        await client.get(kinds.REVISIONS, name, namespace)
    except ApiError as error:
        if error.is_not_found:
            return False
        raise
    return True


async def _follow(client: Client, namespace: str, name: str, oldest_unix_s: float | None, as_json: bool) -> None:
    """Print every decision that says something new, one per line; revisions may come and go meanwhile."""
    told: dict[tuple[str, str], contract.Decision] = {}
    while True:
        for ring in await _found(client, namespace, name, is_first=not told):
            for decision in fresh(ring, told, oldest_unix_s):
                click.echo(msgspec.json.encode(decision).decode() if as_json else line(decision))
        await asyncio.sleep(FOLLOW_S)


async def _found(client: Client, namespace: str, name: str, *, is_first: bool) -> list[Ring]:
    try:
        return await read(client, namespace, name)
    except Failure:
        if is_first:
            raise
        return []  # scaled away or replaced meanwhile: it may come back


def fresh(
    ring: Ring, told: dict[tuple[str, str], contract.Decision], oldest_unix_s: float | None
) -> list[contract.Decision]:
    """Return the decisions of a ring that were not told yet, and note them in `told`.

    The last of a ring is what would be decided now: it is told when it says something else than the one before it.
    """
    key = (ring[-1].namespace, ring[-1].revision)
    last = told.get(key)
    found = _recent(ring, oldest_unix_s) if last is None else [one for one in ring if one.unix_s > last.unix_s]
    news = []
    for decision in found:
        if last is None or _gist(decision) != _gist(last):
            news.append(decision)
        last = decision
    if last is not None:
        told[key] = last
    return news


def _gist(decision: contract.Decision) -> tuple[object, ...]:
    return (
        decision.desired,
        decision.because,
        decision.is_applied,
        decision.ready_pods,
        decision.current_scale,
        decision.is_panicking,
        decision.serving_mode,
        decision.activity,
    )


def line(decision: contract.Decision) -> str:
    """Return a decision as one line."""
    return f"{_clock(decision.unix_s)}  {decision.namespace}/{decision.revision}  {decision.sentence}"


async def _ring(client: Client, namespace: str, revision: str) -> Ring:
    try:
        return _decode(await _page(client, f"decisions/{namespace}/{revision}"))
    except ApiError as error:
        if error.is_not_found:
            return []
        raise
    except msgspec.ValidationError as error:
        raise Failure(f"the autoscaler speaks another version of decisions: {error}") from error


async def _page(client: Client, path: str) -> bytes:
    """Read a page of the autoscaler: of any replica, or of the one that it names because that one decides."""
    try:
        return await client.raw("GET", f"{SERVICE_PROXY}/{path}")
    except ApiError as error:
        if error.status != MISDIRECTED:
            raise
        pod = _elsewhere(error.message)
        return await client.raw("GET", f"{SYSTEM}/pods/{pod}:{names.ADMIN_PORT}/proxy/{path}")


def _elsewhere(message: str) -> str:
    try:
        return msgspec.json.decode(message, type=_Elsewhere).message
    except msgspec.DecodeError as error:
        raise Failure("another autoscaler replica decides, and it is not known which; try again") from error


def render(ring: Ring) -> str:
    """Return the sentences of a ring and the inputs of its last decision."""
    last = ring[-1]
    lines = [f"{last.namespace}/{last.revision}"]
    lines += [f"  {_clock(decision.unix_s)}  {decision.sentence}" for decision in ring]
    lines += ["", output.table(("INPUT", "VALUE"), inputs(last))]
    return "\n".join(lines)


def inputs(last: contract.Decision) -> list[tuple[str, Any]]:
    """Return what went into a decision, name and value."""
    unit = "requests per second" if last.metric == "rps" else "requests in flight"
    limits = f"{last.min_scale} to {last.max_scale or 'unlimited'}"
    panic = ", panicking" if last.is_panicking else ""
    start = f"{last.start_s:.1f} s" if last.start_s else "unknown"
    return [
        ("stable window", f"{last.stable_value:.3g} {unit}: {_pods(last.stable_pods)}"),
        ("panic window", f"{last.panic_value:.3g} {unit}: {_pods(last.panic_pods)}{panic}"),
        ("target per pod", f"{last.target:g} of {last.total:g} {unit}"),
        ("pods", f"{last.ready_pods} ready, {last.not_ready_pods} not ready, scale {last.current_scale}"),
        ("starting", f"{_pods(last.starting_pods)}, {start} per start"),
        ("waiting", f"{last.waiting} requests in the activator"),
        ("state", f"{last.activity.value} {last.activity_reason}".rstrip()),
        ("scale limits", f"{limits}; this turn {last.max_scale_down} to {last.max_scale_up}"),
        ("excess burst capacity", f"{last.excess_burst_capacity} requests: {last.serving_mode.value}"),
        ("decided", f"{_pods(last.desired)} because {last.because.value}"),
        ("next change", last.next_change),
    ]


def _pods(count: int) -> str:
    """Return `1 pod`, `3 pods`; a negative count is what the autoscaler calls no opinion."""
    return "no opinion" if count < 0 else f"{count} pod" if count == 1 else f"{count} pods"


def _clock(unix_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(unix_s)) + f".{int(unix_s % 1 * 1000):03d}"
