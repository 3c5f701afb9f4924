"""The subresources that lead elsewhere: logs and commands at a pod's node, forwarded ports, HTTP to pods and services.

Nothing is stored here. Every peer has a timeout and every proxied body a bound; streams have neither, they last as long
as client and container do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from cluster.api import exec_proxy, port_forward, reads, service_endpoints, status
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.routing import Target
from cluster.store import Key
from tidegate.kube.api import Object

PROXY_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
USAGE_TIMEOUT_S = 5.0
PROXY_LIMIT_BYTES = 8 << 20
CHUNK_BYTES = 64 << 10
NOT_PASSED_ON = {
    "authorization", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length", "content-encoding", "host",
}  # fmt: skip


class Connector:
    """Reaches nodes, pods and services; `close` it at the end. The kubelet token is read anew when it is needed."""

    def __init__(self, backend: Backend, kubelet_token_file: str) -> None:
        self._backend = backend
        self._token_file = kubelet_token_file
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        return self._session

    async def logs(self, request: web.Request, kind: Kind, target: Target) -> web.StreamResponse:
        """Stream a container's log from the pod's node; raises `ApiError`."""
        pod = reads.get(self._backend, kind, target.namespace, target.name).decode()
        container = _container(pod, request.query.get("container", ""))
        url = self._kubelet(pod) / "containerLogs" / target.namespace / target.name / container
        query = {name: value for name, value in request.query.items() if name != "container"}
        headers = {"Authorization": f"Bearer {self._kubelet_token()}"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with self._open().get(url.with_query(query), headers=headers, timeout=timeout) as answer:
                if answer.status != 200:
                    raise status.bad_request((await answer.content.read(CHUNK_BYTES)).decode("utf-8", "replace"))
                return await _stream(request, answer)
        except aiohttp.ClientConnectionError as error:
            raise status.internal(f"the node of pod {target.name} cannot be reached: {error}") from error

    async def exec(self, request: web.Request, kind: Kind, target: Target) -> web.StreamResponse:
        """Run a command beside a container of the pod; raises `ApiError`."""
        pod = reads.get(self._backend, kind, target.namespace, target.name).decode()
        container = _container(pod, request.query.get("container", ""))
        if not request.query.get("command"):
            raise status.bad_request("you must specify at least 1 command for the container")
        url = self._kubelet(pod) / "exec" / target.namespace / target.name / container
        query = [(name, value) for name, value in request.query.items() if name != "container"]
        return await exec_proxy.serve(request, self._open(), url.with_query(query), self._kubelet_token())

    async def attach(self, request: web.Request, kind: Kind, target: Target) -> web.StreamResponse:
        """Attach to a running container of the pod; raises `ApiError`."""
        pod = reads.get(self._backend, kind, target.namespace, target.name).decode()
        container = _container(pod, request.query.get("container", ""))
        url = self._kubelet(pod) / "attach" / target.namespace / target.name / container
        query = [(name, value) for name, value in request.query.items() if name != "container"]
        return await exec_proxy.serve(request, self._open(), url.with_query(query), self._kubelet_token())

    async def port_forward(self, request: web.Request, kind: Kind, target: Target) -> web.StreamResponse:
        """Forward connections to ports of the pod; raises `ApiError`."""
        pod = reads.get(self._backend, kind, target.namespace, target.name).decode()
        current: Object = pod.get("status") or {}
        if current.get("phase") != "Running" or not current.get("podIP"):
            raise status.bad_request(f"pod {target.name} is not running: it is {current.get('phase', 'Pending')}")
        return await port_forward.serve(request, str(current["podIP"]))

    def _kubelet_token(self) -> str:
        return Path(self._token_file).read_text().strip() if self._token_file else ""

    async def usage(self, node: str) -> Object:
        """Return a node's `/stats/summary`; raises `ApiError`."""
        headers = {"Authorization": f"Bearer {self._kubelet_token()}"}
        timeout = aiohttp.ClientTimeout(total=USAGE_TIMEOUT_S)
        try:
            url = self._node(node) / "stats" / "summary"
            async with self._open().get(url, headers=headers, timeout=timeout) as answer:
                if answer.status != 200:
                    raise status.unavailable(f"node {node} does not tell what its pods use: {answer.status}")
                document: Object = await answer.json()
                return document
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise status.unavailable(f"node {node} cannot be reached: {error}") from error

    def _kubelet(self, pod: Object) -> URL:
        name = (pod.get("spec") or {}).get("nodeName", "")
        if not name:
            raise status.bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        return self._node(name)

    def _node(self, name: str) -> URL:
        entry = self._backend.store.get(Key("", "nodes", "", name))
        if entry is None:
            raise status.not_found(status.Named("", "nodes", "Node"), name)
        current: Object = entry.decode().get("status") or {}
        addresses = {one.get("type"): one.get("address") for one in current.get("addresses") or []}
        port = ((current.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port")
        address = addresses.get("InternalIP") or addresses.get("Hostname")
        if not address or not port:
            raise status.unavailable(f"node {name} has not published its log endpoint")
        return URL.build(scheme="http", host=address, port=int(port))

    async def proxy(self, request: web.Request, kind: Kind, target: Target) -> web.StreamResponse:
        """Pass a request on to a pod or service; raises `ApiError`."""
        scheme, name, port = split_name(target.name)
        if kind.kind == "Pod":
            address, number = self._pod_address(kind, target.namespace, name, port)
        elif kind.kind == "Service":
            try:
                address, number = service_endpoints.resolve(self._backend.store, target.namespace, name, port)
            except service_endpoints.NoEndpoint as error:
                raise status.unavailable(str(error)) from error
        else:
            raise status.method_not_allowed(kind.named, "proxy")
        query = request.rel_url.raw_query_string
        url = URL(f"{scheme}://{address}:{number}/{target.tail}{'?' + query if query else ''}", encoded=True)
        return await self._forward(request, url)

    def _pod_address(self, kind: Kind, namespace: str, name: str, port: str) -> tuple[str, int]:
        pod = reads.get(self._backend, kind, namespace, name).decode()
        address = (pod.get("status") or {}).get("podIP", "")
        if not address:
            raise status.unavailable(f"pod {name} has no address yet")
        return address, _pod_port(pod, port)

    async def _forward(self, request: web.Request, url: URL) -> web.StreamResponse:
        body = await request.read()
        timeout = aiohttp.ClientTimeout(total=PROXY_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        headers = _passed_on(request.headers)
        try:
            async with self._open().request(
                request.method,
                url,
                data=body or None,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                ssl=False,
            ) as answer:
                content = await _bounded(answer)
                passed = _passed_on(answer.headers, keep={"content-encoding"})
                return web.Response(status=answer.status, headers=passed, body=content)
        except TimeoutError as error:
            raise status.unavailable(
                f"error trying to reach service: no answer within {PROXY_TIMEOUT_S:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise status.unavailable(f"error trying to reach service: {error}") from error


def split_name(text: str) -> tuple[str, str, str]:
    """Split `[scheme:]name[:port]` of a proxy path into scheme (http unless https is named), name and port."""
    parts = text.split(":")
    if len(parts) == 3:
        return parts[0] or "http", parts[1], parts[2]
    return "http", parts[0], parts[1] if len(parts) == 2 else ""


def _container(pod: Object, asked: str) -> str:
    spec = pod.get("spec") or {}
    names = [one["name"] for field in ("containers", "initContainers") for one in spec.get(field) or []]
    pod_name = pod["metadata"]["name"]
    if asked:
        if asked not in names:
            raise status.bad_request(f"container {asked} is not valid for pod {pod_name}")
        return asked
    own = [one["name"] for one in spec.get("containers") or []]
    if len(own) != 1:
        choices = " ".join(own)
        raise status.bad_request(f"a container name must be specified for pod {pod_name}, choose one of: [{choices}]")
    return str(own[0])


def _pod_port(pod: Object, port: str) -> int:
    if port.isdigit():
        return int(port)
    listed = [one for container in pod["spec"].get("containers") or [] for one in container.get("ports") or []]
    for one in listed:
        if port in ("", one.get("name")):
            return int(one["containerPort"])
    return 80


def _passed_on(headers: Mapping[str, str], keep: set[str] | None = None) -> CIMultiDict[str]:
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in NOT_PASSED_ON - (keep or set()):
            kept.add(name, value)
    return kept


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
        content += chunk
        if len(content) > PROXY_LIMIT_BYTES:
            raise status.unavailable(f"the proxied answer is larger than {PROXY_LIMIT_BYTES} bytes")
    return bytes(content)


async def _stream(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ConnectionError, aiohttp.ClientError):
        pass  # one side left; the log ends here
    return response
