"""The HTTPS server that the API server asks, its certificates, and the caBundle that makes the API server trust it."""

from __future__ import annotations

import asyncio
import base64
import datetime
import functools
import logging
import ssl
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from controller import certificates, pod_dry_run, secrets
from controller.admission import review
from controller.cluster_config import ClusterConfig
from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, Resource

log = logging.getLogger(__name__)

CERTIFICATES_SECRET = "webhook-certs"
CONFIGURATIONS = (
    (resources.MUTATING_WEBHOOKS, "webhook.serving.knative.dev"),
    (resources.VALIDATING_WEBHOOKS, "validation.webhook.serving.knative.dev"),
)
BODY_LIMIT_BYTES = 8 << 20
STOP_TIMEOUT_S = 0.3


class Webhook:
    """Answers `/defaulting` and `/validation` with the current configuration."""

    def __init__(self, api: Api, namespace: str, config: Callable[[], ClusterConfig]) -> None:
        self._api = api
        self._namespace = namespace
        self._config = config
        self._context: ssl.SSLContext | None = None
        self._certificates: dict[str, str] = {}
        self._runner: web.AppRunner | None = None
        self.is_trusted = False
        self.port = 0

    async def start(self, host: str, port: int) -> int:
        """Load or make the certificates and listen; returns the port bound. Raises `ApiError`."""
        await self._renew()
        app = web.Application(client_max_size=BODY_LIMIT_BYTES)
        app.router.add_post("/defaulting", self._defaulting)
        app.router.add_post("/validation", self._validation)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=self._context)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self.port

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def check(self) -> None:
        """Renew certificates that near their end, and put right what the API server trusts; raises `ApiError`."""
        await self._renew()
        self.is_trusted = await self._publish(self._certificates)

    async def _publish(self, data: dict[str, str]) -> bool:
        bundle = base64.b64encode(certificates.bundle(data).encode()).decode()
        trusted = [await self._trust(resource, name, bundle) for resource, name in CONFIGURATIONS]
        return all(trusted)

    async def _trust(self, resource: Resource, name: str, bundle: str) -> bool:
        try:
            found = await self._api.get(resource, name)
        except ApiError as error:
            if not error.is_not_found:
                raise
            log.warning("%s %s does not exist: apply the manifests", resource.kind, name)
            return False
        if all(_bundle(hook) == bundle for hook in found.get("webhooks") or []):
            return True
        hooks = [hook | {"clientConfig": hook["clientConfig"] | {"caBundle": bundle}} for hook in found["webhooks"]]
        await self._api.replace(resource, found | {"webhooks": hooks})
        return True

    async def _renew(self) -> None:
        service, now = names.WEBHOOK_SERVICE, datetime.datetime.now(datetime.UTC)
        if certificates.is_usable(self._certificates, service, self._namespace, now):
            return
        stored = await secrets.read(self._api, self._namespace, CERTIFICATES_SECRET)
        if stored is None or not certificates.is_usable(stored, service, self._namespace, now):
            made = certificates.make(service, self._namespace, now)
            if stored is not None and stored.get(certificates.CA):
                made[certificates.PREVIOUS_CA] = stored[certificates.CA]
            if stored is None:
                stored = await secrets.ensure(self._api, self._namespace, CERTIFICATES_SECRET, made)
            else:
                await secrets.write(self._api, self._namespace, CERTIFICATES_SECRET, made)
                stored = made
        if self._context is None:
            self._context = certificates.server_context(stored)
        else:
            # Trusted first, used afterwards: no review fails in between.
            await self._publish(stored)
            certificates.load(self._context, stored)
        self._certificates = stored

    async def _defaulting(self, request: web.Request) -> web.Response:
        return await self._answer(request, review.default)

    async def _validation(self, request: web.Request) -> web.Response:
        controller = f"system:serviceaccount:{self._namespace}:{names.CONTROLLER_ACCOUNT}"
        judge = functools.partial(review.validate, controller=controller)
        return await self._answer(request, judge, tries_pods=True)

    async def _answer(
        self,
        request: web.Request,
        judge: Callable[[Object, ClusterConfig], dict[str, Any]],
        *,
        tries_pods: bool = False,
    ) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read())
            answer = judge(asked["request"], self._config())
            if tries_pods and answer["allowed"]:
                answer = await self._try_pod(asked["request"], answer)
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as error:
            log.warning("admission review cannot be read: %r", error)
            return web.Response(status=400, text=f"admission review cannot be read: {error!r}\n")
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")

    async def _try_pod(self, asked: Object, answer: dict[str, Any]) -> dict[str, Any]:
        obj = asked.get("object")
        if obj is None or asked.get("subResource") or not _may_be_tried(asked, obj):
            return answer
        problem = await pod_dry_run.problem_of(self._api, obj, self._config())
        return review.refusal(asked, problem) if problem else answer


def _may_be_tried(asked: Object, obj: Object) -> bool:
    return pod_dry_run.is_wanted(obj, is_dry_run=bool(asked.get("dryRun")))


def _bundle(hook: Object) -> str:
    return str((hook.get("clientConfig") or {}).get("caBundle") or "")


async def keep_checked(webhook: Webhook, period_s: float, first_pause_s: float = 0.5) -> None:
    """Check the webhook every `period_s` seconds; sooner while it is not trusted. Runs until cancelled."""
    while True:
        try:
            await webhook.check()
        except ApiError as error:
            log.warning("webhook configurations: %s", error)
        await asyncio.sleep(period_s if webhook.is_trusted else first_pause_s)
