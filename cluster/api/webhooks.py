"""Admission webhooks: mutating ones one after the other, then validating ones all at once.

Configurations are read from the store once per change of theirs. Matching and wording are in `webhook_rules`, the
call itself in `webhook_client`; this module keeps the order and applies failure policies.
"""

from __future__ import annotations

import asyncio
import uuid

from cluster.api import status, webhook_rules
from cluster.api.backend import Admitted
from cluster.api.kinds import Registry
from cluster.api.webhook_client import CallFailed, WebhookClient
from cluster.api.webhook_rules import BadAnswer, Hook, Verdict
from cluster.store import Change, Collection, Key, Store
from tidegate.kube.api import Object

MUTATING = Collection("admissionregistration.k8s.io", "mutatingwebhookconfigurations")
VALIDATING = Collection("admissionregistration.k8s.io", "validatingwebhookconfigurations")


class WebhookAdmission:
    """`backend.Admission` by webhooks."""

    def __init__(self, store: Store, registry: Registry, client: WebhookClient) -> None:
        self._store = store
        self._registry = registry
        self._client = client
        self._hooks: dict[Collection, list[Hook] | None] = {MUTATING: None, VALIDATING: None}
        for collection in self._hooks:
            store.observe(collection, self._forget)

    def _forget(self, change: Change) -> None:
        self._hooks[change.key.collection] = None

    def _configured(self, collection: Collection) -> list[Hook]:
        hooks = self._hooks[collection]
        if hooks is None:
            configurations = [entry.decode() for entry in self._store.entries(collection)]
            hooks = [
                Hook(configuration["metadata"]["name"], spec)
                for configuration in configurations
                for spec in configuration.get("webhooks") or []
            ]
            self._hooks[collection] = hooks
        return hooks

    def _concerned(self, collection: Collection, write: Admitted) -> list[tuple[Hook, str]]:
        hooks = self._configured(collection)
        if not hooks:
            return []
        served = [
            kind.version
            for kind in self._registry
            if (kind.group, kind.plural) == (write.kind.group, write.kind.plural)
        ]
        labels = self._namespace_labels(write)
        found = [(hook, webhook_rules.matched_version(hook, write, served, labels)) for hook in hooks]
        return [(hook, version) for hook, version in found if version is not None]

    def _namespace_labels(self, write: Admitted) -> dict[str, str]:
        name = write.key.namespace or (write.key.name if write.kind.kind == "Namespace" else "")
        entry = self._store.get(Key("", "namespaces", "", name))
        labels: dict[str, str] = entry.shadow["metadata"]["labels"] if entry else {}
        return labels

    async def mutate(self, write: Admitted) -> Object | None:
        """Return the object after all mutating webhooks; raises `ApiError` when one refuses."""
        obj = write.obj
        for hook, version in self._concerned(MUTATING, write):
            asked = Admitted(write.operation, write.kind, write.key, write.subresource, obj, write.old, write.call)
            obj = await self._mutate_one(hook, version, asked)
        return obj

    async def _mutate_one(self, hook: Hook, version: str, write: Admitted) -> Object | None:
        verdict = await self._ask(hook, version, write)
        if verdict is None or not verdict.operations or write.obj is None:
            return write.obj
        try:
            return webhook_rules.patched(write.obj, verdict.operations)
        except BadAnswer as error:
            raise _failed(hook, error) from error

    async def validate(self, write: Admitted) -> None:
        """Return when no validating webhook refuses; raises `ApiError` of the first that does."""
        concerned = self._concerned(VALIDATING, write)
        if concerned:
            await asyncio.gather(*(self._ask(hook, version, write) for hook, version in concerned))

    async def _ask(self, hook: Hook, version: str, write: Admitted) -> Verdict | None:
        uid = str(uuid.uuid4())
        try:
            review = webhook_rules.review(write, version, uid)
            if not webhook_rules.conditions_hold(hook, review):
                return None
            if write.call.dry_run and hook.has_side_effects:
                raise status.bad_request(f'admission webhook "{hook.name}" does not support dry run')
            answer = await self._client.call(hook, review)
            verdict = webhook_rules.verdict(hook, answer, uid)
        except (CallFailed, BadAnswer) as error:
            if hook.may_fail:
                return None
            raise _failed(hook, error) from error
        write.call.warnings.extend(verdict.warnings)
        if verdict.refusal is not None:
            raise verdict.refusal
        return verdict


def _failed(hook: Hook, error: Exception) -> Exception:
    return status.internal(f'failed calling webhook "{hook.name}": failed to call webhook: {error}')
