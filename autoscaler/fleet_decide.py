"""`decide` for many revisions at once. Read `decide` first: every line here is one of its rules, as columns.

Both agree bit for bit: the same operations in the same order, on 64-bit floats and whole numbers. A rule added there
must be added here; tests/autoscaler/test_fleet.py plays both against each other. Pure: `now` is in the rows.
"""

from __future__ import annotations

import numpy as np

from autoscaler import fleet_load, fleet_zero
from autoscaler.fleet_delays import FleetDelays
from autoscaler.fleet_rows import Array, Rows


def decide(rows: Rows, loads: tuple[Array, Array, Array, Array], waiting: Array, delays: FleetDelays) -> None:
    """Decide all rows. `loads`: stable, panic, other stable, other panic; not a number is no data."""
    with np.errstate(all="ignore"):
        fleet_load.load_of(rows, loads, waiting)
        fleet_load.rate_limits(rows)
        fleet_load.pods_for_load(rows)
        stable, panic = rows.raw_stable, rows.raw_panic
        stable_because, panic_because = rows.because_stable, rows.because_panic
        stable, stable_because = fleet_load.clamp(rows, stable, stable_because)
        panic, panic_because = fleet_load.clamp(rows, panic, panic_because)
        stable, stable_because = fleet_load.lift_to_activation_scale(rows, rows.raw_stable, stable, stable_because)
        panic, panic_because = fleet_load.lift_to_activation_scale(rows, rows.raw_panic, panic, panic_because)
        fleet_load.watch_panic(rows)
        most = fleet_load.pace_growth(rows, stable, panic)
        if most is not None:
            stable, stable_because = fleet_load.at_most(stable, stable_because, most[0])
            panic, panic_because = fleet_load.at_most(panic, panic_because, most[1])
        fleet_load.choose_window(rows, stable, stable_because, panic, panic_because)
        fleet_load.delay_scale_down(rows, delays)
        fleet_load.delay_last_pod(rows)
        fleet_load.pace_scale_down(rows)
        fleet_load.remember_load(rows)
        fleet_zero.apply_bounds(rows)
        fleet_zero.zero_sequence(rows)
        fleet_zero.hold_until_window_full(rows)
        fleet_zero.last_pod_wait(rows)
        fleet_zero.serving_mode(rows)
        fleet_zero.remember(rows)
