"""The HTTP face: authentication, authorization, then documents (discovery, health) or resources.

Every request passes `handle`; every refusal leaves as a `Status` object. What a request means is decided in
`resource_http` and below; this file only opens doors.
"""

from __future__ import annotations

import asyncio
import logging
import time

from aiohttp import web

from cluster.api import (
    authorize,
    discovery,
    documents,
    negotiate,
    present,
    resource_http,
    reviews,
    routing,
    status,
    users,
)
from cluster.api.authorize import Authorizer
from cluster.api.backend import Backend
from cluster.api.connect import Connector
from cluster.api.local import LocalApi
from cluster.api.metrics import GROUP, Metrics
from cluster.api.rbac import AccessRequest
from cluster.api.tokens import Authenticator
from cluster.store import TooLarge
from tidegate.kube.api import ApiError

log = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 3 << 20  # as Kubernetes
PUBLIC = ("/healthz", "/livez", "/readyz", "/version")


class ApiServer:
    """One API server over a backend. `application()` is what listens; `ready` turns /readyz on."""

    def __init__(
        self,
        backend: Backend,
        authenticator: Authenticator,
        authorizer: Authorizer,
        connector: Connector,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self.backend = backend
        self.authenticator = authenticator
        self.local = LocalApi(backend)
        self.ready = False
        self._documents = documents.Documents(backend.registry, backend.store)
        self._authorizer = authorizer
        self._reviews = reviews.Reviews(authenticator, authorizer)
        self._resources = resource_http.Resources(backend, authenticator, connector)

    def application(self) -> web.Application:
        """Return the aiohttp application with its single route."""
        application = web.Application(client_max_size=BODY_LIMIT_BYTES)
        application.router.add_route("*", "/{path:.*}", self.handle)
        application.on_shutdown.append(self._end_watches)
        return application

    async def _end_watches(self, _: web.Application) -> None:
        for watch in list(self.backend.watches):
            watch.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return refusal(error)
        except web.HTTPRequestEntityTooLarge:
            text = f"Request entity too large: limit is {BODY_LIMIT_BYTES}"
            return refusal(ApiError(413, "RequestEntityTooLarge", text))
        except TooLarge as error:
            return refusal(ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {error}"))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return refusal(status.internal("see the log of the API server"))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path.split("/", 2)[1] in ("healthz", "livez", "readyz") or path == "/version":
            return self._public(path)
        user = self.authenticator.user(request.headers.get("Authorization", ""), time.time())
        if user is None:
            raise status.unauthorized()
        user = authorize.impersonated(user, request.headers, self._authorizer)
        target = routing.parse(path)
        if target is None:
            self._authorize_path(request, path, user)
            return self._document(request, path)
        self._authorize(request, target, user)
        if (target.group, target.version, target.plural) in reviews.KINDS:
            return await self._review(request, target, user)
        if target.group == GROUP:
            query = request.query
            found = await self._metrics.answer(
                request.method, target, query.get("labelSelector", ""), query.get("fieldSelector", "")
            )
            return web.Response(body=present.encode(found), headers={"Content-Type": negotiate.JSON})
        return await self._resources.answer(request, target, user)

    def _authorize(self, request: web.Request, target: routing.Target, user: users.User) -> None:
        if user.is_master:
            return
        question = authorize.question_of(request.method, request.query, target)
        if not self._authorizer.allows(user, question):
            raise authorize.refusal(user, question)

    def _authorize_path(self, request: web.Request, path: str, user: users.User) -> None:
        question = AccessRequest(request.method.lower(), path=path)
        if not user.is_master and not self._authorizer.allows(user, question):
            raise authorize.refusal(user, question)

    async def _review(self, request: web.Request, target: routing.Target, user: users.User) -> web.Response:
        if request.method != "POST":
            raise status.method_not_allowed(status.Named(target.group, target.plural, ""), request.method.lower())
        review = await resource_http.body_of(request)
        answered = self._reviews.answer(target.group, target.version, target.plural, review, user, time.time())
        return web.Response(status=201, body=present.encode(answered), headers={"Content-Type": negotiate.JSON})

    def _public(self, path: str) -> web.Response:
        if path == "/version":
            return web.json_response(body=present.encode(discovery.version()))
        if path.startswith("/readyz") and not self.ready:
            return web.Response(status=503, text="not ready")
        return web.Response(text="ok")

    def _document(self, request: web.Request, path: str) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise status.no_such_path()
        body, content_type = self._documents.answer(path.rstrip("/") or "/", request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def refusal(error: ApiError) -> web.Response:
    """Return a refusal as HTTP."""
    headers = {"Content-Type": negotiate.JSON}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(status=error.status, body=present.encode(status.failure(error)), headers=headers)
