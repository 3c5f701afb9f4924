"""What is computed from rounds: medians, ratios of the same round, bars; and what wrk's words mean."""

from __future__ import annotations

from typing import Any

from bench import peers, proxy, shapes

WRK = """Running 1s test
  Latency Distribution
     50%  512.00us
     75%    0.90ms
     90%    1.10ms
     99%    1.20s
  1000 requests in 1.00s, 1.00MB read
  Socket errors: connect 1, read 2, write 0, timeout 0
  Non-2xx or 3xx responses: 3
"""


def one(peer: str, number: int, cpu_us: float, shape: str = "small_32", **more: float) -> proxy.Round:
    seen = {"requests": 10, "rps": 1.0, "p50_ms": 1.0, "p99_ms": 2.0, "errors": 0}
    return {"shape": shape, "round": number, "peer": peer, "cpu_us": cpu_us, **seen, **more}


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [one("nginx", 0, 10.0), one("queueproxy_limit_100", 0, 11.0)]
    rounds += [one("nginx", 1, 20.0), one("queueproxy_limit_100", 1, 18.0)]
    rounds += [one("nginx", 2, 10.0), one("queueproxy_limit_100", 2, 9.5)]
    line = proxy.summary(rounds)["small_32"]["queueproxy_limit_100"]
    assert (line["ratio"], line["ratio_spread"], line["cpu_us"]) == (0.95, [0.9, 1.1], 11.0)
    (bar,) = proxy.bars(proxy.summary(rounds))
    assert bar.name == "queueproxy_limit_100_cpu_ratio"
    assert bar.holds


def test_flatness_and_fairness() -> None:
    peer = "gateway_1000_routes"
    rounds = [one(peer, 0, 1.0, p50_ms=1.0), one(peer, 0, 1.0, "small_512", p50_ms=20.0)]
    rounds += [one(peer, 0, 1.0, "fair_512", least_share=0.4, most_share=1.5)]
    bars = {bar.name: bar for bar in proxy.bars(proxy.summary(rounds))}
    assert bars["p50_flatness_512_over_32"].value == 1.25
    assert not bars["least_fair_share_at_512"].holds


def test_without_nginx_there_are_figures_and_no_ratio() -> None:
    found = proxy.summary([one("engine", 0, 1.0)])
    assert "ratio" not in found["small_32"]["engine"]
    assert proxy.bars(found) == []


def test_grpc_is_compared_with_envoy_and_by_rps_per_core() -> None:
    rounds = [one("envoy", 0, 20.0, "grpc_8x8"), one("nginx", 0, 25.0, "grpc_8x8")]
    rounds += [one(peer, 0, cpu_us, "grpc_8x8") for peer, cpu_us in zip(proxy.HOPS, (30.0, 50.0, 40.0), strict=True)]
    found = proxy.summary(rounds)
    assert found["grpc_8x8"]["nginx"]["ratio"] == 1.25
    (bar,) = proxy.bars(found)
    assert (bar.name, bar.value, bar.holds) == ("grpc_unary_rps_per_core", 0.4, False)


def test_h2loads_log() -> None:
    seen = shapes.grpc_calls(["1\t200\t300", "2\t200\t100", "3\t503\t1", "4\t-1\t9"])
    assert seen == {"requests": 2, "errors": 1, "p50_ms": 0.3, "p99_ms": 0.3}


def test_a_shape_whose_client_is_not_installed_says_so(monkeypatch) -> None:
    monkeypatch.setattr(shapes.shutil, "which", lambda name: None)
    needed = {name: shapes.missing_client(shape) for name, shape in shapes.SHAPES.items()}
    assert (needed["small_32"], needed["grpc_8x8"], needed["websocket_32"]) == ("wrk", "h2load", None)


def test_what_cannot_be_measured_is_said(monkeypatch) -> None:
    monkeypatch.setattr(shapes.shutil, "which", lambda name: None)
    figures = proxy.measure(1, 1, ["grpc_8x8"], ["envoy"], print)
    assert figures.notes["left_out"] == "grpc_8x8 needs the program h2load"


def test_wrks_words() -> None:
    assert shapes._latency_ms("50", WRK) == 0.512
    assert shapes._latency_ms("99", WRK) == 1200.0
    assert shapes._number(r"(\d+) requests in", WRK) == 1000


def test_the_compiled_build_has_bars_of_its_own() -> None:
    hop = proxy.HOPS[0]
    rounds = [one("nginx", 0, 20.0), one(hop, 0, 25.0), one(f"{hop}_compiled", 0, 19.0)]
    bars = proxy.bars(proxy.summary(rounds))
    assert [(bar.name, bar.value, bar.holds) for bar in bars] == [
        (f"{hop}_cpu_ratio", 1.25, False),
        (f"{hop}_compiled_cpu_ratio", 0.95, True),
    ]


def test_without_a_compiled_build_its_peers_are_left_out(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(peers, "COMPILED_AT", tmp_path)
    place: Any = None  # nothing is started
    assert [peers.PEERS[name](place) for name in peers.PEERS if name.endswith(peers.COMPILED)] == [None] * 4
