"""The pod of a revision: the author's containers, prepared, and queue-proxy in front of the serving one.

The author's readiness probe moves into queue-proxy, which asks the app many times a second while it starts; the
kubelet asks queue-proxy. Ports that equal the serving port are left out of what queue-proxy is told, so that a
node that maps ports needs to change `USER_PORT` only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Set

import msgspec

from controller.cluster_config import ClusterConfig
from controller.reconcile import internal_certificates, queue_resources
from controller.reconcile.outcome import Object
from tidegate.contracts import names, report, serving
from tidegate.contracts.config import features, observability
from tidegate.contracts.serving import RevisionSpec

_NOT_OF_A_POD = frozenset(
    {"containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds", "containers"}
)
FULL_DUPLEX_ANNOTATION = "features.knative.dev/http-full-duplex"
USER_PORT_NAME = "user-port"
PODINFO, PODINFO_PATH = "podinfo", "/etc/podinfo"
MULTI_PROBES = "multi-container-probing"
QUEUE_PROBE_PERIOD_S = 1
QUEUE_PROBE_TIMEOUT_S = 5
"""Queue-proxy holds a readiness probe up to a second while the app starts; the kubelet must not give up before."""


def pod_spec(revision: Object, config: ClusterConfig) -> Object:
    """Return the spec of a revision's pods."""
    spec = revision["spec"]
    typed = serving.revision_spec(spec)
    asked_for = {_port_in(container, "USER_PORT") for container in spec.get("containers") or []}
    containers = [
        _user_container(
            container,
            revision,
            typed,
            is_serving=index == typed.serving_container,
            is_probed=config.features.is_enabled(MULTI_PROBES),
            asked_for=asked_for,
        )
        for index, container in enumerate(spec.get("containers") or [])
    ]
    pod = {key: copy.deepcopy(value) for key, value in spec.items() if key not in _NOT_OF_A_POD}
    queue = queue_container(revision, typed, config)
    pod["containers"] = [*containers, queue]
    if typed.timeout_s:
        pod["terminationGracePeriodSeconds"] = typed.timeout_s
    if has_podinfo(revision["metadata"].get("annotations") or {}, config):
        annotations = {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}
        volume = {"name": PODINFO, "downwardAPI": {"items": [annotations]}}
        pod["volumes"] = [*(pod.get("volumes") or []), volume]
    if config.network.has_system_tls:
        internal_certificates.mount(pod, queue)
    if "affinity" not in pod and config.deployment.affinity != "none":
        pod["affinity"] = _spread(revision["metadata"]["name"])
    return pod


def has_podinfo(annotations: Mapping[str, str], config: ClusterConfig) -> bool:
    """Whether queue-proxy is shown the annotations of its pod."""
    state = config.features.state("queueproxy.mount-podinfo")
    is_asked_for = str(annotations.get(names.PODINFO_ANNOTATION, "")).lower() == "enabled"
    return state == features.ENABLED or (state == features.ALLOWED and is_asked_for)


def _user_container(
    container: Object,
    revision: Object,
    spec: RevisionSpec,
    *,
    is_serving: bool,
    is_probed: bool = False,
    asked_for: Set[int] = frozenset(),
) -> Object:
    made: Object = copy.deepcopy(container)
    added = _identity_env(revision)
    if is_serving:
        made["ports"] = [{"name": USER_PORT_NAME, "containerPort": spec.port, "protocol": "TCP"}]
        added.insert(0, {"name": "PORT", "value": str(spec.port)})
        _prepare_probes(made, spec.port)
    elif (port := _port_in(made, "PORT")) in asked_for - {0}:
        # A node whose pods share ports gives it one of its own, and tells who asks: nobody else would learn of it.
        made["ports"] = [{"containerPort": port, "protocol": "TCP"}]
    if not is_serving and is_probed and _has_network_probe(made):
        del made["readinessProbe"]  # queue-proxy asks for it
    made["env"] = [*(made.get("env") or []), *added]
    made["lifecycle"] = {"preStop": {"httpGet": {"port": names.ADMIN_PORT, "path": "/wait-for-drain"}}}
    made.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    return made


def _port_in(container: Object, variable: str) -> int:
    value = next((str(one.get("value", "")) for one in container.get("env") or [] if one.get("name") == variable), "")
    return int(value) if value.isdigit() and 0 < int(value) < 65_536 else 0


def _identity_env(revision: Object) -> list[Object]:
    labels = revision["metadata"].get("labels") or {}
    return [
        {"name": "K_REVISION", "value": revision["metadata"]["name"]},
        {"name": "K_CONFIGURATION", "value": labels.get(names.CONFIGURATION_LABEL, "")},
        {"name": "K_SERVICE", "value": labels.get(names.SERVICE_LABEL, "")},
    ]


def _prepare_probes(container: Object, port: int) -> None:
    # Only an exec probe can look inside the container; all others are queue-proxy's.
    readiness = container.get("readinessProbe")
    if readiness is not None and not readiness.get("exec"):
        del container["readinessProbe"]
    for handler in ("httpGet", "tcpSocket"):
        target = (container.get("livenessProbe") or {}).get(handler)
        if target is not None:
            target["port"] = port
        target = (container.get("startupProbe") or {}).get(handler)
        if target is not None and target.get("port") in (None, 0, "", USER_PORT_NAME, *serving.PORT_NAMES):
            target["port"] = port


def queue_container(revision: Object, spec: RevisionSpec, config: ClusterConfig) -> Object:
    """Return the queue-proxy container."""
    readiness = _serving_readiness(revision, spec)
    annotations = revision["metadata"].get("annotations") or {}
    container: Object = {
        "name": names.QUEUE_CONTAINER,
        "image": config.deployment.sidecar_image,
        "ports": [
            {"name": "queueadm-port", "containerPort": names.ADMIN_PORT, "protocol": "TCP"},
            {"name": "http-usermetric", "containerPort": names.QUEUEPROXY_METRICS_PORT, "protocol": "TCP"},
            {"name": "queue-port", "containerPort": names.SERVING_PORT, "protocol": "TCP"},
        ],
        "env": _queue_env(revision, spec, readiness, config),
        "readinessProbe": _queue_readiness(readiness),
        "securityContext": {
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    app = (revision["spec"].get("containers") or [{}])[spec.serving_container]
    if resources := queue_resources.of(app, annotations, config):
        container["resources"] = resources
    if has_podinfo(annotations, config):
        container["volumeMounts"] = [{"name": PODINFO, "mountPath": PODINFO_PATH, "readOnly": True}]
    return container


def _queue_env(revision: Object, spec: RevisionSpec, readiness: Object, config: ClusterConfig) -> list[Object]:
    metadata = revision["metadata"]
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    namespace, name = metadata["namespace"], metadata["name"]
    told = _told_probes(revision, spec, readiness, config)
    values = {
        "SERVING_NAMESPACE": namespace,
        "SERVING_SERVICE": labels.get(names.SERVICE_LABEL, ""),
        "SERVING_CONFIGURATION": labels.get(names.CONFIGURATION_LABEL, ""),
        "SERVING_REVISION": name,
        "SYSTEM_NAMESPACE": names.SYSTEM_NAMESPACE,
        "QUEUE_SERVING_PORT": str(names.SERVING_PORT),
        "USER_PORT": str(spec.port),
        "USER_PROTOCOL": spec.protocol,
        "ENABLE_HTTP2_AUTO_DETECTION": str(config.features.is_enabled("autodetect-http2")).lower(),
        "CONTAINER_CONCURRENCY": str(spec.concurrency),
        "REVISION_TIMEOUT_SECONDS": str(spec.timeout_s),
        "REVISION_RESPONSE_START_TIMEOUT_SECONDS": str(spec.response_start_timeout_s),
        "REVISION_IDLE_TIMEOUT_SECONDS": str(spec.idle_timeout_s),
        "SERVING_READINESS_PROBE": msgspec.json.encode(told, order="deterministic").decode(),
        "ENABLE_HTTP_FULL_DUPLEX": str(annotations.get(FULL_DUPLEX_ANNOTATION, "").lower() == "enabled").lower(),
        "AUTOSCALER_ADDRESS": config.autoscaler_address,
        "REPORT_TOKEN": report.token(config.report_key, namespace, name) if config.report_key else "",
    }
    if config.features.is_enabled(MULTI_PROBES):
        values["ENABLE_MULTI_CONTAINER_PROBES"] = "true"
    values |= _observability_env(config)
    from_pod = {
        "SERVING_POD": "metadata.name",
        "SERVING_POD_IP": "status.podIP",
        "POD_IP": "status.podIP",
        "HOST_IP": "status.hostIP",
    }
    env = [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in from_pod.items()]
    return env + [{"name": key, "value": value} for key, value in values.items()]


def _observability_env(config: ClusterConfig) -> dict[str, str]:
    """Return what queue-proxies are told of the request log and of spans; nothing while both are off.

    A change of these values rolls every Deployment, as every change of a Pod does.
    """
    values, env = config.observability, {}
    if values.is_request_log_enabled:
        keys = {
            observability.ENABLE: "true",
            observability.ENABLE_PROBES: str(values.is_probe_log_enabled).lower(),
            observability.TEMPLATE: values.request_log_template,
        }
        env["OBSERVABILITY_CONFIG"] = msgspec.json.encode(keys, order="deterministic").decode()
    if values.tracing_endpoint:
        env["TIDEGATE_TRACING_ENDPOINT"] = values.tracing_endpoint
        env["TIDEGATE_TRACING_SAMPLING_RATE"] = f"{values.tracing_sampling_rate:g}"
    return env


def _told_probes(revision: Object, spec: RevisionSpec, serving: Object, config: ClusterConfig) -> Object | list[Object]:
    """Return what queue-proxy asks: the serving container's probe, with those of sidecars where that is switched on."""
    if not config.features.is_enabled(MULTI_PROBES):
        return serving
    others = [
        _probe_of(container, 0)
        for index, container in enumerate(revision["spec"].get("containers") or [])
        if index != spec.serving_container and _has_network_probe(container)
    ]
    return [serving, *others] if others else serving


def _has_network_probe(container: Object) -> bool:
    probe = container.get("readinessProbe") or {}
    return any(probe.get(handler) is not None for handler in ("httpGet", "tcpSocket", "grpc"))


def _serving_readiness(revision: Object, spec: RevisionSpec) -> Object:
    """Return what queue-proxy must ask the app: the author's probe, aimed at loopback."""
    containers = revision["spec"].get("containers") or [{}]
    return _probe_of(containers[spec.serving_container], spec.port)


def _probe_of(container: Object, own_port: int) -> Object:
    probe: Object = copy.deepcopy(container.get("readinessProbe") or {})
    if not any(probe.get(handler) is not None for handler in ("httpGet", "tcpSocket", "grpc", "exec")):
        probe["tcpSocket"] = {}
    if "exec" in probe:
        # The kubelet runs the command itself; queue-proxy adds that the port accepts.
        del probe["exec"]
        probe["tcpSocket"] = {}
    probe.setdefault("successThreshold", 1)
    for handler in ("httpGet", "tcpSocket"):
        if probe.get(handler) is not None:
            probe[handler] = _aimed(probe[handler], own_port)
    if probe.get("grpc") is not None:
        probe["grpc"] = {key: value for key, value in _aimed(probe["grpc"], own_port).items() if key != "host"}
    if probe.get("httpGet") is not None:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")
    return probe


def _aimed(handler: Object, user_port: int) -> Object:
    aimed: Object = {key: value for key, value in handler.items() if key not in ("port", "host")} | {
        "host": "127.0.0.1"
    }
    port = handler.get("port")
    if isinstance(port, int) and port not in (0, user_port):
        aimed["port"] = port
    return aimed


def _queue_readiness(readiness: Object) -> Object:
    probe = {key: value for key, value in readiness.items() if key not in ("httpGet", "tcpSocket", "grpc", "exec")}
    if not probe.get("periodSeconds"):
        probe |= {"periodSeconds": QUEUE_PROBE_PERIOD_S, "timeoutSeconds": QUEUE_PROBE_TIMEOUT_S}
        probe.setdefault("failureThreshold", 3)
    probe["httpGet"] = {
        "path": "/",
        "port": names.SERVING_PORT,
        "scheme": "HTTP",
        "httpHeaders": [{"name": "K-Network-Probe", "value": "queue"}],
    }
    return probe


def _spread(revision: str) -> Object:
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {names.REVISION_LABEL: revision}},
    }
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    }
