"""What the model benchmarks compute from their rounds, and the requests that they send."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench import batching, modelserver


def test_ratios_are_taken_round_by_round() -> None:
    def line(number: int, server: str, value: float) -> dict[str, object]:
        rates = {"rps_per_core": value, "rps": value, "p50_ms": 1.0, "p99_ms": 2.0, "errors": 0}
        return {"round": number, "server": server, **rates}

    rounds = [line(0, "ours", 30), line(0, "mlserver", 10), line(1, "ours", 20), line(1, "mlserver", 20)]
    found = modelserver.summary(rounds)["mlserver"]
    assert (found["ours_over_it"], found["spread"]) == (2.0, [1.0, 3.0])
    assert [(bar.name, bar.holds) for bar in modelserver.bars(rounds)] == [("rps_per_core_over_mlserver", True)]


def test_batching_compares_bits_and_throughput() -> None:
    assert batching._equal([b"a", b"b"], [b"a", b"c"]) == 1
    line = {"p50_ms": 1.0, "p99_ms": 2.0, "errors": 0}
    rounds = [{"server": "batched", "rps": 30.0, **line}, {"server": "unbatched", "rps": 10.0, **line}]
    assert batching.summary(rounds)["rps_ratio"] == pytest.approx(3.0)


def test_the_script_sends_the_images_in_binary() -> None:
    image = np.arange(64, dtype="<f4")
    script = batching.lua(np.stack([image, image]))
    head = json.loads(batching.head_of(image))
    assert head["inputs"][0]["parameters"] == {"binary_data_size": 256}
    assert f'"{len(batching.head_of(image))}"' in script
    assert script.count('"\\123\\034') == 2, "each body begins with the JSON's brace, escaped for Lua"
