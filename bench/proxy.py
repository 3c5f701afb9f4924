"""CPU per request of whole proxy processes beside nginx (gRPC: beside Envoy), over the same backend and client.

It starts every peer once, warms each up, and then takes turns: shape by shape, round by round, one peer after the
other, so that whatever else the machine does falls on all of them. Only ratios of one run mean anything.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import peers, processes, shapes
from loadtest.figures import Bar, Figures

NEUTRAL, GRPC_NEUTRAL = "nginx", "envoy"
HOPS = ("queueproxy_limit_100", "gateway_1000_routes", "activator_warm")
BACKENDS = {shapes.HTTP1: "bench.backend", shapes.GRPC: "bench.grpc_backend"}
OPEN_FILES = 16_384
Round = dict[str, Any]


def measure(
    rounds: int, seconds: int, shape_names: Sequence[str], peer_names: Sequence[str], say: Callable[[str], None]
) -> Figures:
    """Measure and return the figures. Raises RuntimeError when a process does not start."""
    processes.raise_file_limit(OPEN_FILES)
    near, cores = processes.cores()
    results: list[Round] = []
    lacking = {name: shapes.missing_client(shapes.SHAPES[name]) for name in shape_names}
    chosen = [shapes.SHAPES[name] for name in shape_names if not lacking[name]]
    left_out = [f"{name} needs the program {program}" for name, program in lacking.items() if program]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started: dict[str, dict[str, peers.Peer]] = {}
        for protocol in dict.fromkeys(shape.protocol for shape in chosen):
            place = peers.Place(stack, folder, _backend(stack, protocol, near), near, cores, protocol)
            found = {name: peers.PEERS[name](place) for name in peer_names}
            started[protocol] = {name: peer for name, peer in found.items() if peer is not None}
            left_out += [f"{name} cannot be measured here{_by(protocol)}" for name in found if found[name] is None]

        def once(shape: shapes.Shape, peer: peers.Peer, for_s: int) -> Round:
            before = processes.cpu_s(peer.pid)
            seen = shapes.load(shape, peer.port, for_s, peer.headers, near, folder)
            return seen | {"cpu_us": (processes.cpu_s(peer.pid) - before) / seen["requests"] * 1e6}

        for shape in chosen:
            present = started[shape.protocol]
            for peer in present.values():
                once(shape, peer, 1)  # connections, caches, code paths
            for number in range(rounds):
                say(f"{shape.name} round {number + 1} of {rounds}")
                # Every other round goes the other way round: nobody always runs behind the same neighbour.
                order = list(present.items()) if number % 2 == 0 else list(present.items())[::-1]
                for peer_name, peer in order:
                    results.append(
                        {"shape": shape.name, "round": number, "peer": peer_name, **once(shape, peer, seconds)}
                    )
    figures = Figures(rounds=results, notes=summary(results))
    figures.bars = bars(figures.notes)
    figures.notes["left_out"] = "; ".join(left_out) or "-"
    return figures


def _backend(stack: contextlib.ExitStack, protocol: str, cores: set[int]) -> int:
    port = processes.free_port()
    command = [sys.executable, "-m", BACKENDS[protocol], str(port)]
    stack.enter_context(processes.running(command, port, pinned=cores))
    return port


def _by(protocol: str) -> str:
    return " by HTTP/2 (not installed, or it has none)" if protocol else " (not installed)"


def neutral_of(shape: str) -> str:
    """Return whose CPU a shape's ratios are to: Envoy's where HTTP/2 is spoken on both sides."""
    return GRPC_NEUTRAL if shapes.SHAPES[shape].protocol == shapes.GRPC else NEUTRAL


def summary(results: Sequence[Round]) -> dict[str, Any]:
    """Return `{shape: {peer: medians, ratio of CPU to the neutral peer's with its spread}}`; taken round by round."""
    found: dict[str, Any] = {}
    for shape in dict.fromkeys(one["shape"] for one in results):
        of_shape = [one for one in results if one["shape"] == shape]
        neutral = {one["round"]: one["cpu_us"] for one in of_shape if one["peer"] == neutral_of(shape)}
        found[shape] = {
            peer: _line([one for one in of_shape if one["peer"] == peer], neutral)
            for peer in dict.fromkeys(one["peer"] for one in of_shape)
        }
    return found


def _line(results: Sequence[Round], neutral: dict[int, float]) -> dict[str, Any]:
    line: dict[str, Any] = {
        key: round(statistics.median(one[key] for one in results), 3) for key in ("cpu_us", "rps", "p50_ms", "p99_ms")
    }
    line["rps_per_core"] = round(1e6 / line["cpu_us"])
    line["errors"] = sum(one["errors"] for one in results)
    if "least_share" in results[0]:
        line["least_share"] = round(min(one["least_share"] for one in results), 3)
        line["most_share"] = round(max(one["most_share"] for one in results), 3)
    ratios = sorted(one["cpu_us"] / neutral[one["round"]] for one in results if neutral.get(one["round"]))
    if ratios:
        line["ratio"] = round(statistics.median(ratios), 3)
        line["ratio_spread"] = [round(ratios[0], 3), round(ratios[-1], 3)]
    return line


def bars(found: dict[str, Any]) -> list[Bar]:
    """Return the promises that these figures can answer, of the plain build and of the compiled one if it was there."""
    return _bars_of(found, "") + _bars_of(found, peers.COMPILED)


def _bars_of(found: dict[str, Any], build: str) -> list[Bar]:
    made: list[Bar] = []
    hops = [hop + build for hop in HOPS]
    small, wide = found.get("small_32", {}), found.get("small_512", {})
    for peer, limit in zip(hops, (1.0, 1.2, 1.3), strict=True):
        if "ratio" in small.get(peer, {}):
            made.append(Bar(f"{peer}_cpu_ratio", small[peer]["ratio"], "x nginx", limit))
    flat = [wide[peer]["p50_ms"] / (16 * small[peer]["p50_ms"]) for peer in hops if peer in wide and peer in small]
    if flat:
        made.append(Bar(f"p50_flatness_512_over_32{build}", max(flat), "x", 1.5))
    shares = [line["least_share"] for peer, line in found.get("fair_512", {}).items() if peer in hops]
    if shares:
        made.append(Bar(f"least_fair_share_at_512{build}", min(shares), "x", 0.5, at_least=True))
    large = [line["ratio"] for peer, line in found.get("download_32", {}).items() if peer in hops and "ratio" in line]
    if large:
        made.append(Bar(f"download_100kb_cpu_ratio{build}", max(large), "x nginx", 1.5))
    for shape, name in (("grpc_8x8", "grpc_unary"), ("grpc_varied_8x8", "grpc_unary_varied")):
        calls = [line["ratio"] for peer, line in found.get(shape, {}).items() if peer in hops and "ratio" in line]
        if calls:
            # Requests per second of CPU, ours over Envoy's: the slowest of our hops.
            made.append(Bar(f"{name}_rps_per_core{build}", 1 / max(calls), "x Envoy", 0.5, at_least=True))
    return made


def table(figures: Figures) -> str:
    """Return the figures as a compact table for a person."""
    lines = [f"{'':15} {'':30} {'CPU us':>8} {'ratio':>8} {'spread':>13} {'rps':>8} {'p50 ms':>8} {'p99 ms':>8}"]
    for shape, of_shape in figures.notes.items():
        if not isinstance(of_shape, dict):
            continue
        for peer, line in of_shape.items():
            low, high = line.get("ratio_spread", (0, 0))
            text = f"{shape:15} {peer:30} {line['cpu_us']:8.1f} {line.get('ratio', 0):8.2f} {low:6.2f}-{high:<6.2f}"
            text += f" {line['rps']:8.0f} {line['p50_ms']:8.3f} {line['p99_ms']:8.3f}"
            text += f"  share {line['least_share']}-{line['most_share']}" if "least_share" in line else ""
            lines.append(text + (f"  {line['errors']} errors" if line["errors"] else ""))
    lines.append(
        "ratio: to nginx's CPU per request, of gRPC to Envoy's; rps is what this load got, not what is possible"
    )
    lines += [Figures(bars=figures.bars).as_text(), f"left out: {figures.notes['left_out']}"]
    return "\n".join(lines)
