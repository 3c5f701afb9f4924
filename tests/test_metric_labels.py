"""No client can make a label value: whatever is sent to a hop, its metrics keep to closed lists."""

from __future__ import annotations

import asyncio
import random
import string
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.hop_worlds import HOPS, world
from tests.support.hops import client
from tests.support.wire import OK, Peer
from tidegate.contracts import outcomes, wake
from tidegate.wire.director import Failure
from tidegate.wire.durations import METHODS, OTHER
from tidegate.wire.h2_floods import BUCKETS

CLOSED: dict[str, set[str]] = {
    "reason": {"", *outcomes.ALL, *Failure},
    "code_class": {f"{number}xx" for number in range(1, 10)} | {"none"},
    "http_request_method": {method.decode() for method in METHODS} | {OTHER},
    "http_response_status_code": {str(number) for number in range(100, 1000)} | {"", OTHER},
    "url_scheme": {"http", "https"},
    "way": {"pod", "activator"},
    "kind": set(BUCKETS),
    "protocol": {"http1", "h2c", "http1_tls", "h2_tls"},
    "phase": {*wake.PHASES, "untold"},
    "result": {"exported", "dropped", "failed"},
}
"""Every label of the data plane with all its values; `le` is a bound of ours, `version` and so on are the build's."""
OURS = ("tidegate_", "http_server_")


def odd_request(chance: random.Random) -> bytes:
    def word(size: int = 12) -> str:
        return "".join(chance.choices(string.ascii_letters + string.digits + "-_.", k=chance.randint(1, size)))

    method = chance.choice(["GET", "POST", "PURGE", word().upper().replace(".", "").replace("-", "X") or "X", "get"])
    host = chance.choice(["hello.default.localhost", word(30) + ".localhost", word()])
    lines = [f"{method} /{word(40)}?{word()} HTTP/1.{chance.choice('111102')}", f"Host: {host}"]
    names = ("User-Agent", "K-Network-Probe", "Knative-Serving-Revision", "Knative-Serving-Namespace", "Expect", "X-Y")
    names += ("X-Tidegate-Reason", "traceparent", "Knative-Serving-Tag", "Content-Type", "Accept", "Upgrade")
    lines += [f"{name}: {word(20)}" for name in chance.sample(names, chance.randint(0, 5))]
    return ("\r\n".join([*lines, "Connection: close", "", ""])).encode()


@pytest.mark.parametrize("hop", HOPS)
async def test_no_client_makes_a_label_value(hop: str) -> None:
    async def answer(peer: Peer) -> None:
        while True:
            await peer.head()
            peer.send(OK)

    chance = random.Random(hop)
    settings = {"revision_wait_s": 0.01} if hop == "activator" else {}
    async with world(hop, answer, **settings) as w, client() as fetch:

        async def send() -> None:
            peer = await Peer.connect(w.port)
            peer.send(odd_request(chance))
            await peer.gone()
            peer.close()

        for _ in range(8):
            await asyncio.gather(*(send() for _ in range(25)))
        page = (await fetch(w.metrics_port, "/metrics")).body.decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    ours = [sample for sample in samples if sample.name.startswith(OURS)]
    assert len(ours) > 30
    for sample in ours:
        for label, value in sample.labels.items():
            assert label == "le" or value in CLOSED[label], sample
    assert len(ours) < 1000
    operating = (Path(__file__).parents[1] / "docs" / "operating.md").read_text()
    shown = {family.name + "_total" * (family.type == "counter") for family in text_string_to_metric_families(page)}
    ends = {
        name.removeprefix(f"tidegate_{hop}")
        for name in shown
        if name.startswith(OURS) and not name.endswith("_created")
    }
    assert [end for end in sorted(ends) if f"{end}`" not in operating] == []
