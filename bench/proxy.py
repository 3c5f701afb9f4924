"""CPU per request of whole proxy processes beside nginx, over the same backend and client, in alternating rounds.

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

NEUTRAL = "nginx"
HOPS = ("queueproxy_limit_100", "gateway_1000_routes", "activator_warm")
MISSING = "WebSocket messages and h2c gRPC are not measured yet"
OPEN_FILES = 16_384
Round = dict[str, Any]


def measure(
    rounds: int, seconds: int, shape_names: Sequence[str], peer_names: Sequence[str], say: Callable[[str], None]
) -> Figures:
    """Measure and return the figures. Raises RuntimeError when a process does not start."""
    processes.raise_file_limit(OPEN_FILES)
    near, cores = processes.cores()
    results: list[Round] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend = processes.free_port()
        command = [sys.executable, "-m", "bench.backend", str(backend)]
        stack.enter_context(processes.running(command, backend, pinned=near))
        place = peers.Place(stack, folder, backend, near, cores)
        started = {name: peers.PEERS[name](place) for name in peer_names}
        present = {name: peer for name, peer in started.items() if peer is not None}

        def once(shape: shapes.Shape, peer: peers.Peer, for_s: int) -> Round:
            before = processes.cpu_s(peer.pid)
            seen = shapes.load(shape, peer.port, for_s, peer.headers, near, folder)
            return seen | {"cpu_us": (processes.cpu_s(peer.pid) - before) / seen["requests"] * 1e6}

        for name in shape_names:
            shape = shapes.SHAPES[name]
            for peer in present.values():
                once(shape, peer, 1)  # connections, caches, code paths
            for number in range(rounds):
                say(f"{name} round {number + 1} of {rounds}")
                # Every other round goes the other way round: nobody always runs behind the same neighbour.
                order = list(present.items()) if number % 2 == 0 else list(present.items())[::-1]
                for peer_name, peer in order:
                    results.append({"shape": name, "round": number, "peer": peer_name, **once(shape, peer, seconds)})
    figures = Figures(rounds=results, notes=summary(results))
    figures.bars = bars(figures.notes)
    missing = sorted(set(peer_names) - set(present))
    figures.notes["not_installed"] = ", ".join(missing) or "-"
    figures.notes["not_measured"] = MISSING
    return figures


def summary(results: Sequence[Round]) -> dict[str, Any]:
    """Return `{shape: {peer: medians, ratio of CPU to nginx with its spread}}`; ratios are taken round by round."""
    found: dict[str, Any] = {}
    for shape in dict.fromkeys(one["shape"] for one in results):
        of_shape = [one for one in results if one["shape"] == shape]
        neutral = {one["round"]: one["cpu_us"] for one in of_shape if one["peer"] == NEUTRAL}
        found[shape] = {
            peer: _line([one for one in of_shape if one["peer"] == peer], neutral)
            for peer in dict.fromkeys(one["peer"] for one in of_shape)
        }
    return found


def _line(results: Sequence[Round], neutral: dict[int, float]) -> dict[str, Any]:
    line: dict[str, Any] = {
        key: round(statistics.median(one[key] for one in results), 3) for key in ("cpu_us", "rps", "p50_ms", "p99_ms")
    }
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
    """Return the promises that these figures can answer."""
    made: list[Bar] = []
    small, wide = found.get("small_32", {}), found.get("small_512", {})
    for peer, limit in zip(HOPS, (1.0, 1.2, 1.3), strict=True):
        if "ratio" in small.get(peer, {}):
            made.append(Bar(f"{peer}_cpu_ratio", small[peer]["ratio"], "x nginx", limit))
    flat = [wide[peer]["p50_ms"] / (16 * small[peer]["p50_ms"]) for peer in HOPS if peer in wide and peer in small]
    if flat:
        made.append(Bar("p50_flatness_512_over_32", max(flat), "x", 1.5))
    shares = [line["least_share"] for peer, line in found.get("fair_512", {}).items() if peer in HOPS]
    if shares:
        made.append(Bar("least_fair_share_at_512", min(shares), "x", 0.5, at_least=True))
    large = [line["ratio"] for peer, line in found.get("download_32", {}).items() if peer in HOPS and "ratio" in line]
    if large:
        made.append(Bar("download_100kb_cpu_ratio", max(large), "x nginx", 1.5))
    return made


def table(figures: Figures) -> str:
    """Return the figures as a compact table for a person."""
    lines = [f"{'':12} {'':22} {'CPU us':>8} {'x nginx':>8} {'spread':>13} {'rps':>8} {'p50 ms':>8} {'p99 ms':>8}"]
    for shape, of_shape in figures.notes.items():
        if not isinstance(of_shape, dict):
            continue
        for peer, line in of_shape.items():
            low, high = line.get("ratio_spread", (0, 0))
            text = f"{shape:12} {peer:22} {line['cpu_us']:8.1f} {line.get('ratio', 0):8.2f} {low:6.2f}-{high:<6.2f}"
            text += f" {line['rps']:8.0f} {line['p50_ms']:8.3f} {line['p99_ms']:8.3f}"
            text += f"  share {line['least_share']}-{line['most_share']}" if "least_share" in line else ""
            lines.append(text + (f"  {line['errors']} errors" if line["errors"] else ""))
    lines += [Figures(bars=figures.bars).as_text(), f"not installed: {figures.notes['not_installed']}", MISSING]
    return "\n".join(lines)
