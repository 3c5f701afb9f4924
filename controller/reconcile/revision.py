"""Revision → Deployment + PodAutoscaler + private Service (and a pair for standby pods), and how it is.

The Deployment is created with the initial scale; from then on its replicas belong to the autoscaler and are in nothing
that is applied here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from controller.cluster_config import ClusterConfig
from controller.reconcile import (
    images,
    internal_certificates,
    metadata,
    model_storage,
    revision_pod,
    revision_status,
    standby,
)
from controller.reconcile.images import Lookup
from controller.reconcile.outcome import Action, Apply, Create, Object, Outcome
from tidegate.contracts import autoscaling, autoscaling_extensions, conditions, durations, names, recreate, serving
from tidegate.contracts.conditions import Conditions
from tidegate.contracts.config import observability

_NOT_FOR_PODS = frozenset(
    {
        names.ROUTES_ANNOTATION,
        names.ROUTING_STATE_MODIFIED_ANNOTATION,
        names.SERVING + "no-gc",
        names.SERVING + "lastPinned",
        metadata.LAST_APPLIED_ANNOTATION,
    }
)
PROGRESS_DEADLINE_ANNOTATION = names.SERVING + "progress-deadline"
SCALING_API_VERSION = "autoscaling.internal.knative.dev/v1alpha1"
CLASS_ANNOTATION = names.AUTOSCALING + "class"


@dataclass(frozen=True)
class Observed:
    """A Revision, its children by name, and its pods.

    `refused` says why its Deployment was refused, if it was; `credentials` are variables for fetching its model;
    `lookup` is how far the look-up of its images is, None while it runs.
    """

    revision: Object
    deployment: Object | None = None
    pod_autoscaler: Object | None = None
    private_service: Object | None = None
    pods: Sequence[Object] = field(default_factory=tuple)
    refused: str = ""
    credentials: Sequence[Object] = field(default_factory=tuple)
    standby_deployment: Object | None = None
    standby_service: Object | None = None
    lookup: Lookup | None = None
    certificates: internal_certificates.Observed = field(default_factory=internal_certificates.Observed)


def reconcile(observed: Observed, config: ClusterConfig, now_unix: float) -> Outcome:
    """Return what one Revision needs."""
    revision = observed.revision
    state = Conditions(conditions.REVISION, revision, now_unix)
    status = dict(revision.get("status") or {})
    actions: list[Action] = []
    if _mark_foreign(observed, state):
        pass
    elif _is_looking_up(observed, config, state):
        status |= {"observedGeneration": revision["metadata"].get("generation", 0), "conditions": state.finish()}
        return Outcome((), status)
    else:
        status |= images.statuses(revision, (observed.lookup or Lookup()).digests)
        actions = _children(replace(observed, revision=images.pinned(revision | {"status": status})), config)
        health = revision_status.Health(
            observed.deployment,
            observed.pod_autoscaler,
            observed.pods,
            observed.refused,
            config.deployment.is_always_schedulable,
        )
        revision_status.judge(state, health)
    _count_replicas(observed.pod_autoscaler, status)
    status["logUrl"] = _log_url(revision, config)
    if not status["logUrl"]:
        del status["logUrl"]
    status |= {"observedGeneration": revision["metadata"].get("generation", 0), "conditions": state.finish()}
    return Outcome(tuple(actions), status)


def deployment(revision: Object, config: ClusterConfig, credentials: Sequence[Object] = ()) -> Object:
    """Return the Deployment of a revision, without replicas; `credentials` are for what fetches its model."""
    labels = child_labels(revision)
    annotations = {
        key: value
        for key, value in metadata.own_annotations(revision, without=_NOT_FOR_PODS).items()
        if not key.startswith(names.AUTOSCALING) and key not in autoscaling_extensions.KEYS
    }
    name = names.deployment_name(revision["metadata"]["name"])
    head = metadata.child(revision, "apps/v1", "Deployment", name, labels=labels, annotations=annotations)
    spec = {
        "selector": {"matchLabels": {names.REVISION_UID_LABEL: revision["metadata"]["uid"]}},
        "revisionHistoryLimit": 0,
        "progressDeadlineSeconds": _progress_deadline_s(revision, config),
        "strategy": _strategy(revision),
        "template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": model_storage.add(
                revision_pod.pod_spec(revision, config),
                metadata.own_annotations(revision),
                config.deployment.storage_initializer_image,
                credentials,
                config.deployment.model_cache,
            ),
        },
    }
    return metadata.stamped(head | {"spec": spec})


def pod_autoscaler(revision: Object, config: ClusterConfig, reachability: str) -> Object:
    """Return the PodAutoscaler of a revision."""
    annotations = metadata.own_annotations(revision, without=_NOT_FOR_PODS)
    annotations.setdefault(CLASS_ANNOTATION, autoscaling.class_of(annotations, config.autoscaler))
    is_released = metadata.own_labels(revision).get(names.ROUTING_STATE_LABEL) == serving.ROUTING_RESERVE
    if is_released and recreate.is_recreate(revision) and reachability == autoscaling.Reachability.UNREACHABLE.value:
        annotations |= recreate.LEAVING
    name = revision["metadata"]["name"]
    head = metadata.child(
        revision, SCALING_API_VERSION, "PodAutoscaler", name, labels=child_labels(revision), annotations=annotations
    )
    typed = serving.revision_spec(revision["spec"])
    target = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": names.deployment_name(revision["metadata"]["name"]),
    }
    spec = {
        "scaleTargetRef": target,
        "containerConcurrency": typed.concurrency,
        "protocolType": typed.protocol,
        "reachability": reachability,
    }
    return metadata.stamped(head | {"spec": spec})


def private_service(revision: Object, *, has_tls: bool = False) -> Object:
    """Return the Service whose EndpointSlices list the revision's pods; headless, since nobody calls it by address.

    With `has_tls` also where they speak TLS: pods from before that was switched on are not listed there.
    """
    name = names.private_service_name(revision["metadata"]["name"])
    head = metadata.child(revision, "v1", "Service", name, labels=child_labels(revision), annotations={})
    port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": names.SERVING_PORT}
    spec = {
        "clusterIP": "None",
        "selector": {names.REVISION_UID_LABEL: revision["metadata"]["uid"]},
        "ports": [port, internal_certificates.service_port()] if has_tls else [port],
    }
    return metadata.stamped(head | {"spec": spec})


def child_labels(revision: Object) -> dict[str, str]:
    """Return the labels of everything that is made of a revision."""
    own = metadata.own_labels(revision)
    for key in (names.ROUTE_LABEL, names.ROUTING_STATE_LABEL):
        own.pop(key, None)
    own |= {names.REVISION_LABEL: revision["metadata"]["name"], names.REVISION_UID_LABEL: revision["metadata"]["uid"]}
    return {"app": revision["metadata"]["name"]} | own


def reachability(revision: Object, deployed: Object | None) -> str:
    """Return how routes see a revision: an unreachable one needs no minimum scale and may drop to zero at once."""
    if deployed is not None and revision_status.is_failing(revision) and revision_status.is_without_pods(deployed):
        return autoscaling.Reachability.UNREACHABLE.value
    state = metadata.own_labels(revision).get(names.ROUTING_STATE_LABEL, "")
    if state == serving.ROUTING_RESERVE and not (conditions.is_ready(revision) or conditions.is_failed(revision)):
        # Without traffic from the start (a pinned route) it must come up once all the same, or it would never be ready.
        return autoscaling.Reachability.UNKNOWN.value
    known = {
        serving.ROUTING_ACTIVE: autoscaling.Reachability.REACHABLE.value,
        serving.ROUTING_RESERVE: autoscaling.Reachability.UNREACHABLE.value,
    }
    return known.get(state, autoscaling.Reachability.UNKNOWN.value)


def _children(observed: Observed, config: ClusterConfig) -> list[Action]:
    revision = observed.revision
    actions: list[Action] = []
    wanted = deployment(revision, config, observed.credentials)
    if observed.deployment is None:
        annotations = metadata.own_annotations(revision)
        scale = autoscaling.resolve_spec(annotations, config=config.autoscaler).initial_scale
        actions.append(Create(wanted | {"spec": wanted["spec"] | {"replicas": scale}}))
    elif metadata.needs_apply(observed.deployment, wanted):
        actions.append(Apply(wanted))
    reach = reachability(revision, observed.deployment)
    service = private_service(revision, has_tls=config.network.has_system_tls)
    for existing, desired in (
        (observed.pod_autoscaler, pod_autoscaler(revision, config, reach)),
        (observed.private_service, service),
    ):
        if metadata.needs_apply(existing, desired):
            actions.append(Apply(desired))
    actions += internal_certificates.actions(revision["metadata"]["namespace"], observed.certificates, config.network)
    pair = standby.Pair(observed.standby_deployment, observed.standby_service)
    return actions + standby.actions(revision, standby.Pair(wanted, service), pair, reach)


def _mark_foreign(observed: Observed, state: Conditions) -> bool:
    children = (
        ("Deployment", observed.deployment, revision_status.RESOURCES),
        ("PodAutoscaler", observed.pod_autoscaler, revision_status.RESOURCES),
        ("Service", observed.private_service, revision_status.ACTIVE),
        ("Deployment", observed.standby_deployment, revision_status.RESOURCES),
        ("Service", observed.standby_service, revision_status.ACTIVE),
    )
    for kind, child, condition in children:
        if child is not None and metadata.is_foreign(child, observed.revision):
            state.mark_false(condition, "NotOwned", metadata.not_owned(kind, child["metadata"]["name"]))
            return True
    return False


def _strategy(revision: Object) -> Object:
    """Return how a changed pod template (another queue-proxy, say) gets to the pods of one revision."""
    if recreate.is_recreate(revision):
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}


def _log_url(revision: Object, config: ClusterConfig) -> str:
    template = config.observability.revision_url_template
    return template.replace(observability.REVISION_UID, str(revision["metadata"]["uid"]))


def _progress_deadline_s(revision: Object, config: ClusterConfig) -> int:
    text = metadata.own_annotations(revision).get(PROGRESS_DEADLINE_ANNOTATION, "")
    try:
        return int(durations.parse_duration(text)) or config.deployment.progress_deadline_s
    except ValueError:
        return config.deployment.progress_deadline_s


def _count_replicas(scaler: Object | None, status: Object) -> None:
    scaled = (scaler or {}).get("status") or {}
    for source, field_name in (("actualScale", "actualReplicas"), ("desiredScale", "desiredReplicas")):
        value = scaled.get(source)
        if isinstance(value, int) and value >= 0:
            status[field_name] = value


def _is_looking_up(observed: Observed, config: ClusterConfig, state: Conditions) -> bool:
    """Whether images are still looked up, or could not be: there is nothing to run yet."""
    revision, lookup = observed.revision, observed.lookup
    if not images.wanted(revision, config.deployment) or (lookup is not None and not lookup.failure):
        return False
    if lookup is not None:
        state.mark_false(revision_status.HEALTHY, "ContainerMissing", lookup.message)
    else:
        for kind in (revision_status.RESOURCES, revision_status.HEALTHY):
            state.mark_unknown(kind, "ResolvingDigests")
    return True
