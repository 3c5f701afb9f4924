"""Gradual rollout: a new latest revision takes over its share in steps. Pure; `now` is seconds since 1970.

A rollout belongs to one (tag, Configuration) of a Route and lists its revisions from the oldest to the newest. The
newest begins with one percent. When all gateways have that the steps are laid out over the rest of the duration, and
each then moves its percents to the newest, from the second newest backwards. The rules are those of Knative
(pkg/reconciler/route/traffic/rollout.go); a step is never shorter than it took to program the first percent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import msgspec

FIRST_PERCENT = 1
LEAST_STEP_S = 1.0

Share = tuple[str, int]
"""Revision and percent."""


class Target(msgspec.Struct, frozen=True):
    """What a Route's spec asks for now: `revision` is the latest ready one of `configuration`."""

    tag: str
    configuration: str
    revision: str
    percent: int

    @property
    def key(self) -> tuple[str, str]:
        """What identifies its rollout."""
        return self.tag, self.configuration


class Rollout(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far one target is. `step_s` 0: the steps are not laid out yet."""

    configuration: str
    percent: int
    revisions: tuple[Share, ...]
    tag: str = ""
    start_s: float = 0.0
    next_s: float = 0.0
    step_s: float = 0.0
    step_percent: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it."""
        return self.tag, self.configuration

    @property
    def is_running(self) -> bool:
        """Whether more than one revision has a share."""
        return len(self.revisions) > 1

    @property
    def newest(self) -> str:
        """The revision that takes over."""
        return self.revisions[-1][0]

    @property
    def awaits_first_percent(self) -> bool:
        """Whether its steps are laid out as soon as the gateways have the first percent."""
        return self.is_running and not self.step_s


def advance(
    previous: Iterable[Rollout],
    targets: Iterable[Target],
    duration_s: float,
    known: Collection[str],
    now: float,
    *,
    is_programmed: bool = True,
) -> list[Rollout]:
    """Return the rollout of each target at `now`.

    `duration_s` 0 switches at once. `known` are the revisions that exist: the share of one that is gone goes to the
    newest. `is_programmed`: the gateways have what `previous` tells.
    """
    before = {rollout.key: rollout for rollout in previous if _is_consistent(rollout)}
    advanced = []
    for target in targets:
        kept = _kept(before.get(target.key), target, duration_s, known)
        if kept is not None and kept.newest == target.revision and kept.awaits_first_percent:
            advanced.append(_laid_out(kept, duration_s, now) if is_programmed else kept)
        else:
            advanced.append(_advance(kept, target, now))
    return advanced


def next_look_s(rollouts: Sequence[Rollout], now: float) -> float:
    """Return the seconds until something is due, 0 when nothing runs."""
    running = [rollout for rollout in rollouts if rollout.is_running]
    if not running:
        return 0.0
    due = min(rollout.next_s if rollout.step_s else now + LEAST_STEP_S for rollout in running)
    return max(0.01, due - now)


def encode(rollouts: Iterable[Rollout]) -> str:
    """Return the state of what runs as text."""
    return msgspec.json.encode([rollout for rollout in rollouts if rollout.is_running]).decode()


def decode(text: str) -> list[Rollout]:
    """Return the state from text; nothing when it cannot be read: a target then switches at once."""
    try:
        return msgspec.json.decode(text, type=list[Rollout])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []


def _kept(before: Rollout | None, target: Target, duration_s: float, known: Collection[str]) -> Rollout | None:
    """Return what there is to go on from; None when the target switches at once."""
    # The first percent is all there is of a share of one, and what is new has nothing to take over from.
    if before is None or duration_s <= 0 or target.percent <= FIRST_PERCENT:
        return None
    kept = _without_gone(_resized(before, target.percent), known)
    return kept if kept.revisions else None


def _advance(kept: Rollout | None, target: Target, now: float) -> Rollout:
    if kept is not None and kept.newest != target.revision:
        return _begun(kept, target.revision, now)
    if kept is None or not kept.is_running:
        return Rollout(target.configuration, target.percent, ((target.revision, target.percent),), target.tag)
    return _stepped(kept, now) if now >= kept.next_s else kept


def _begun(rollout: Rollout, revision: str, now: float) -> Rollout:
    own = dict(rollout.revisions).get(revision, 0)  # one that comes back keeps what it has left
    others = [share for share in rollout.revisions if share[0] != revision]
    wanted = max(own, FIRST_PERCENT)
    revisions = (*_taken(others, wanted - own), (revision, wanted))
    return msgspec.structs.replace(rollout, revisions=revisions, start_s=now, next_s=0.0, step_s=0.0, step_percent=0)


def _laid_out(rollout: Rollout, duration_s: float, now: float) -> Rollout:
    # How long the first percent took to take effect is the least that any step must be given.
    least_s = max(LEAST_STEP_S, math.ceil(now - rollout.start_s))
    remaining_s = max(1.0, duration_s - least_s)
    rest = rollout.percent - FIRST_PERCENT
    steps = max(1, min(max(1, int(remaining_s / least_s)), rest))
    step_s = round(remaining_s / steps, 3)
    return msgspec.structs.replace(
        rollout, step_percent=max(1, round(rest / steps)), step_s=step_s, next_s=round(now + step_s, 3)
    )


def _stepped(rollout: Rollout, now: float) -> Rollout:
    *others, (newest, percent) = rollout.revisions
    moved = min(rollout.step_percent, rollout.percent - percent)
    revisions = (*_taken(others, moved), (newest, percent + moved))
    if len(revisions) == 1:
        return Rollout(rollout.configuration, rollout.percent, revisions, rollout.tag)
    return msgspec.structs.replace(rollout, revisions=revisions, next_s=round(now + rollout.step_s, 3))


def _taken(shares: Sequence[Share], percent: int) -> list[Share]:
    """Return the shares after `percent` were taken, the newest first; who has nothing left is dropped."""
    kept: list[Share] = []
    for name, have in reversed(shares):
        taken = min(have, percent)
        percent -= taken
        if have > taken:
            kept.append((name, have - taken))
    return kept[::-1]


def _resized(rollout: Rollout, percent: int) -> Rollout:
    """Return the rollout with another sum: more goes to the newest, less is taken from the oldest first."""
    revisions = list(rollout.revisions)
    if percent > rollout.percent:
        name, have = revisions[-1]
        revisions[-1] = (name, have + percent - rollout.percent)
    elif percent < rollout.percent:
        revisions = _taken(revisions[::-1], rollout.percent - percent)[::-1]
    return msgspec.structs.replace(rollout, revisions=tuple(revisions), percent=percent)


def _without_gone(rollout: Rollout, known: Collection[str]) -> Rollout:
    kept = [share for share in rollout.revisions if share[0] in known]
    if not kept or len(kept) == len(rollout.revisions):
        return msgspec.structs.replace(rollout, revisions=tuple(kept))
    name, have = kept[-1]
    kept[-1] = (name, have + rollout.percent - sum(percent for _, percent in kept))
    return msgspec.structs.replace(rollout, revisions=tuple(kept))


def _is_consistent(rollout: Rollout) -> bool:
    percents = [percent for _, percent in rollout.revisions]
    return (
        0 < rollout.percent <= 100
        and sum(percents) == rollout.percent
        and all(percent > 0 for percent in percents)
        and 0 <= rollout.step_percent <= rollout.percent
        and rollout.step_s >= 0
    )
