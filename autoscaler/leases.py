"""Keeps our Lease alive and takes, gives and watches the buckets, as `shares` says: its hands at the API server.

`on_change` is called when what we decide for, or who decides for the rest, has changed. Leases are in the system
namespace: `autoscaler-<pod>` for each replica, `autoscaler-bucket-03-of-08` for each bucket.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable

from autoscaler.shares import EXPIRE_S, GIVE_UP_S, POLL_S, RENEW_S, Board
from tidegate.contracts import buckets
from tidegate.contracts.names import child_name
from tidegate.contracts.report import VERSION, Owners
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, labels_of, name_of
from tidegate.kube.cache import Cache
from tidegate.process import tasks

log = logging.getLogger(__name__)

LABEL = "tidegate.dev/autoscaler-lease"
MEMBER, BUCKET = "member", "bucket"
WRITE_TIMEOUT_S = 1.5
FORGET_MEMBER_S = 60.0

Clock = Callable[[], float]


class Leases:
    """Our share of `count` buckets. `me` is our holder identity (`buckets.identity`)."""

    def __init__(self, api: Api, namespace: str, me: str, count: int, clock: Clock) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.cache = Cache(api, resources.LEASES, namespace, labels=LABEL)
        self.cache.on_change(self._changed)
        self.failures = 0
        self._api = api
        self._namespace = namespace
        self._clock = clock
        self._board = Board(me, count)
        self._held: frozenset[int] = frozenset()
        self._told: Owners | None = None
        self._written: dict[int, int] = {}
        self._names = [f"autoscaler-bucket-{bucket:02d}-of-{count:02d}" for bucket in range(count)]
        self._news = asyncio.Event()
        self.settled = asyncio.Event()
        """Set once we have renewed our Lease, and taken what was to be taken."""

    @property
    def me(self) -> str:
        """Our holder identity."""
        return self._board.me

    @property
    def held(self) -> int:
        """How many buckets are ours."""
        return len(self._held)

    def held_buckets(self) -> frozenset[int]:
        """Return the parts of the revisions that are ours."""
        return self._held

    def is_ours(self, key: tuple[str, str]) -> bool:
        """Whether a revision is in a bucket of ours."""
        return buckets.bucket_of(*key, self._board.count) in self._held

    def may_decide(self) -> bool:
        """Whether we may decide for what is ours: no longer, once others might think us dead."""
        return self._board.may_decide(self._clock())

    def holder_of(self, key: tuple[str, str]) -> str:
        """Return the identity of who decides for a revision, empty for nobody."""
        return self._board.holders.get(buckets.bucket_of(*key, self._board.count), "")

    def owners(self) -> Owners:
        """Return who decides for which bucket, as senders hear it."""
        living = set(self._board.living(self._clock()))
        holders = [self._board.holders.get(bucket, "") for bucket in range(self._board.count)]
        addresses = sorted({buckets.address_in(holder) for holder in holders if holder in living})
        index = {address: number for number, address in enumerate(addresses)}
        return Owners(
            addresses,
            [index[buckets.address_in(holder)] if holder in living else buckets.NOBODY for holder in holders],
            VERSION,
        )

    async def run(self) -> None:
        """Renew, take and give until cancelled. The cache is to be run beside it."""
        await self.cache.wait_synced(60.0)
        renewing = tasks.spawn(self._keep_renewing(), "lease renewal")
        try:
            while True:
                self._news.clear()
                await self._carry_out()
                self._settle()
                if self.may_decide():
                    self.settled.set()
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._news.wait()
                except TimeoutError:
                    continue
        finally:
            await tasks.cancel(renewing)

    async def resign(self) -> None:
        """Give all we have to nobody, and end our membership: the others need not wait until we seem dead."""
        if self._board.renewed_at == float("-inf"):
            return
        mine = self._board.held()
        self._board.renewed_at = float("-inf")
        await asyncio.gather(*(self._write_bucket(bucket, "") for bucket in mine))
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._api.delete(resources.LEASES, self._member_name(), self._namespace)
        except (ApiError, TimeoutError) as error:
            log.info("our Lease was not ended: %s", error)

    async def _keep_renewing(self) -> None:
        while True:
            began = self._clock()
            if await self._write_member():
                self._board.renewed(began)
                if self._board.must_reclaim:
                    await self._reclaim()
                self._news.set()
            await asyncio.sleep(max(0.1, RENEW_S - (self._clock() - began)))

    async def _reclaim(self) -> None:
        held = sorted(self._board.held())
        written = await asyncio.gather(*(self._write_bucket(bucket, self.me) for bucket in held))
        lost = frozenset(bucket for bucket, is_ours in zip(held, written, strict=True) if not is_ours)
        self._board.reclaimed(lost)
        self._settle()

    async def _write_member(self) -> bool:
        name = self._member_name()
        spec = {"holderIdentity": self.me, "leaseDurationSeconds": int(EXPIRE_S), "renewTime": _now()}
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                if self.cache.get(name, self._namespace) is not None:
                    await self._api.patch(resources.LEASES, name, {"spec": spec}, self._namespace)
                else:
                    await self._api.create(resources.LEASES, self._lease(name, MEMBER, spec))
        except ApiError as error:
            if error.is_already_exists:
                return await self._patch_member(name, spec)
            return self._failed("renewed", error)
        except TimeoutError:
            return self._failed("renewed", "no answer in time")
        return True

    async def _patch_member(self, name: str, spec: Object) -> bool:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._api.patch(resources.LEASES, name, {"spec": spec}, self._namespace)
        except (ApiError, TimeoutError) as error:
            return self._failed("renewed", error)
        return True

    async def _carry_out(self) -> None:
        now = self._clock()
        plan = self._board.plan(now)
        await asyncio.gather(*(self._take(bucket) for bucket in plan.take))
        # What we give we stop deciding for before the other can begin.
        for bucket, _ in plan.give:
            self._board.holders[bucket] = ""
        self._settle()
        await asyncio.gather(*(self._give(bucket, owner) for bucket, owner in plan.give))
        await self._forget_dead(now)

    async def _take(self, bucket: int) -> None:
        """Take a bucket whose holder seems dead, unless its Lease says that it lives after all."""
        holder = self._board.holders.get(bucket, "")
        if holder and await self._has_stirred(holder):
            return
        if await self._write_bucket(bucket, self.me):
            log.info("bucket %d is ours now (before: %s)", bucket, holder or "nobody's")

    async def _give(self, bucket: int, owner: str) -> None:
        if await self._write_bucket(bucket, owner):
            log.info("bucket %d goes to %s", bucket, owner)
        else:
            self._read_bucket(bucket, self.cache.get(self._names[bucket], self._namespace))

    async def _has_stirred(self, holder: str) -> bool:
        """Read the holder's Lease afresh: our watch may have been cut off while it was renewed."""
        known = self._board.members.get(holder)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                lease = await self._api.get(resources.LEASES, member_name(holder), self._namespace)
        except ApiError as error:
            return not error.is_not_found
        except TimeoutError:
            return True
        self._board.saw_member(*_member(lease), self._clock())
        return known is None or _member(lease)[1] != known.stamp

    async def _write_bucket(self, bucket: int, holder: str) -> bool:
        """Make `holder` the holder of a bucket, if nobody else has written to it since we looked."""
        name = self._names[bucket]
        lease = self.cache.get(name, self._namespace)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                if lease is None:
                    spec = {"holderIdentity": holder, "leaseDurationSeconds": int(EXPIRE_S), "acquireTime": _now()}
                    written = await self._api.create(resources.LEASES, self._lease(name, BUCKET, spec))
                else:
                    written = await self._api.replace(resources.LEASES, _with_holder(lease, holder))
        except (ApiError, TimeoutError) as error:
            if isinstance(error, ApiError) and (error.is_conflict or error.is_already_exists):
                log.info("bucket %d: somebody was faster", bucket)
                return False
            return self._failed(f"written (bucket {bucket})", error)
        self._written[bucket] = _version(written)
        self._board.holders[bucket] = holder
        self._news.set()
        return True

    async def _forget_dead(self, now: float) -> None:
        for name, member in list(self._board.members.items()):
            if name != self.me and now - member.seen_at > FORGET_MEMBER_S:
                del self._board.members[name]
                try:
                    await self._api.delete(resources.LEASES, member_name(name), self._namespace)
                except ApiError as error:
                    log.debug("the Lease of %s was not deleted: %s", name, error)

    def _changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        lease = new or old
        assert lease is not None
        spec = lease.get("spec") or {}
        if labels_of(lease).get(LABEL) == MEMBER:
            if new is None:
                self._board.members.pop(str(spec.get("holderIdentity", "")), None)
            else:
                self._board.saw_member(*_member(new), self._clock())
        elif name_of(lease) in self._names:
            self._read_bucket(self._names.index(name_of(lease)), new)
        self._news.set()

    def _read_bucket(self, bucket: int, lease: Object | None) -> None:
        """Note a bucket's holder, unless what the cache shows is older than what we wrote ourselves."""
        if lease is not None and _version(lease) < self._written.get(bucket, 0):
            return
        self._board.holders[bucket] = str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")

    def _settle(self) -> None:
        """Work out what is ours, and tell when anything is another's than before."""
        held, owners = self._board.held(), self.owners()
        if held != self._held or owners != self._told:
            self._held, self._told = held, owners
            self.on_change()

    def _lease(self, name: str, kind: str, spec: Object) -> Object:
        return {
            "apiVersion": resources.LEASES.api_version,
            "kind": resources.LEASES.kind,
            "metadata": {"name": name, "namespace": self._namespace, "labels": {LABEL: kind}},
            "spec": spec,
        }

    def _member_name(self) -> str:
        return member_name(self.me)

    def _failed(self, what: str, error: object) -> bool:
        self.failures += 1
        log.warning("a Lease was not %s: %s; we stop deciding %.0f s after the last renewal", what, error, GIVE_UP_S)
        return False


def member_name(identity: str) -> str:
    """Return the name of a replica's own Lease."""
    return child_name("autoscaler-", buckets.pod_in(identity))


def _member(lease: Object) -> tuple[str, str]:
    """Return (identity, stamp) of a member's Lease."""
    spec = lease.get("spec") or {}
    return str(spec.get("holderIdentity", "")), str(spec.get("renewTime", ""))


def _version(lease: Object) -> int:
    """Return a resourceVersion as a number: API servers count up, though they do not promise it; 0 where they don't."""
    text = str(lease["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _with_holder(lease: Object, holder: str) -> Object:
    spec = dict(lease.get("spec") or {})
    spec |= {"holderIdentity": holder, "acquireTime": _now()}
    spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
    return lease | {"spec": spec}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
