"""Loads that the texts of the field reckon through, played to the production autoscaler."""

from __future__ import annotations

import statistics

from tests.support.simulations import app, run, synthetic


def test_224_busy_workers_are_found() -> None:
    # 64 requests a second of 3.5 s each: 64 x 3.5 = 224 in flight, one for each pod at full use.
    one_each = app(1, target=1, target_utilization_percentage=100, window="6s")
    ledger, _ = run(synthetic("poisson:rate=64,for=180s", "3.5s"), "ours", one_each, start="5s")
    assert not ledger.refused
    last_minute = slice(-64 * 60, None)
    assert statistics.quantiles(ledger.waits_s[last_minute], n=20)[-1] < 1.5
    means = ledger.ready.means
    in_steady_state = means[len(means) * 2 // 3 : -len(means) // 10]
    assert 224 <= statistics.fmean(in_steady_state) <= 300
