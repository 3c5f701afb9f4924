"""Whole stories: a user applies something, pods come and go, and every object says what it should."""

import dataclasses

import pytest

from tests.support.controller_world import NAMESPACE, controller_world, service
from tidegate.contracts import conditions, names
from tidegate.contracts.config.network import Domain, Network
from tidegate.contracts.config.observability import Observability
from tidegate.contracts.config.retention import Retention
from tidegate.kube import resources
from tidegate.kube.api import ApiError

pytestmark = pytest.mark.looptime

KSVC, CFG, REV, RT, DM = (
    resources.KNATIVE_SERVICES,
    resources.CONFIGURATIONS,
    resources.REVISIONS,
    resources.ROUTES,
    resources.DOMAIN_MAPPINGS,
)


@pytest.fixture
async def world():
    async with controller_world() as made:
        yield made


async def test_a_service_becomes_everything_it_needs(world):
    await world.apply(service())
    deployment = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")
    assert deployment["spec"]["replicas"] == 1
    scaler = world.get(resources.POD_AUTOSCALERS, "hello-00001")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "hello-00001-deployment"
    assert scaler["spec"]["reachability"] == "Reachable"
    private = world.get(resources.SERVICES, "hello-00001-private")
    assert private["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8012}]
    assert world.condition(KSVC, "hello")[0] == "Unknown"
    assert world.condition(REV, "hello-00001", "Active") == ("Unknown", "Deploying", "")


async def test_ready_pods_make_a_service_ready_with_url_and_traffic(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    made = world.get(KSVC, "hello")
    assert world.condition(KSVC, "hello") == ("True", "", "")
    assert made["status"]["url"] == "http://hello.default.svc.cluster.local"
    assert made["status"]["latestReadyRevisionName"] == "hello-00001"
    assert made["status"]["traffic"] == [{"revisionName": "hello-00001", "latestRevision": True, "percent": 100}]
    assert world.get(REV, "hello-00001")["status"]["actualReplicas"] == 1


async def test_a_service_at_zero_stays_ready(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.make_idle("hello-00001")
    assert world.condition(KSVC, "hello")[0] == "True"
    assert world.condition(REV, "hello-00001")[0] == "True"
    assert world.condition(REV, "hello-00001", "Active")[:2] == ("False", "NoTraffic")
    assert world.get(REV, "hello-00001")["status"]["actualReplicas"] == 0


async def test_nothing_is_written_when_nothing_changes(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    before = len(world.api.calls)
    world.worker.mark_everything()
    await world.settle()
    assert world.api.calls[before:] == []


def domain_mapping(name="www.example.org", target="hello", kind="Service", api_version="serving.knative.dev/v1"):
    return {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ref": {"apiVersion": api_version, "kind": kind, "name": target}},
    }


def plain_service(name):
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"ports": [{"port": 80}]}}


async def test_a_route_has_a_name_inside_the_cluster_and_so_has_each_tag(world):
    tagged = [{"latestRevision": True, "percent": 100}, {"latestRevision": True, "percent": 0, "tag": "next"}]
    await world.apply(service(traffic=tagged))
    await world.make_ready("hello-00001")
    for name in ("hello", "next-hello"):
        placeholder = world.get(resources.SERVICES, name)
        assert placeholder["spec"]["type"] == "ExternalName"
        assert placeholder["spec"]["externalName"] == "gateway-internal.tidegate-system.svc.cluster.local"
        assert placeholder["metadata"]["labels"][names.ROUTE_LABEL] == "hello"
    await world.apply(service(traffic=[{"latestRevision": True, "percent": 100}]))
    assert world.api.peek(resources.SERVICES, "next-hello", NAMESPACE) is None
    assert world.api.peek(resources.SERVICES, "hello", NAMESPACE) is not None


async def test_somebody_elses_service_of_that_name_is_left_alone_and_told_of(world):
    world.api.put(resources.SERVICES, plain_service("hello"))
    await world.apply(service())
    await world.make_ready("hello-00001")
    status, reason, message = world.condition(RT, "hello", "IngressReady")
    assert (status, reason) == ("False", "NotOwned")
    assert message == 'There is an existing placeholder Service "hello" that we do not own.'
    assert world.condition(KSVC, "hello")[1] == "NotOwned"
    assert world.get(resources.SERVICES, "hello")["spec"] == {"ports": [{"port": 80}]}
    await world.api.delete(resources.SERVICES, "hello", NAMESPACE)
    await world.settle()
    assert world.condition(KSVC, "hello")[0] == "True"


async def test_a_label_on_a_placeholder_takes_its_tag_off_the_public(world):
    world.worker.world.config = dataclasses.replace(world.config, network=Network(domains=(Domain("example.com"),)))
    tagged = [{"latestRevision": True, "percent": 100}, {"latestRevision": True, "percent": 0, "tag": "next"}]
    await world.apply(service(traffic=tagged))
    await world.make_ready("hello-00001")
    assert world.get(RT, "hello")["status"]["traffic"][1]["url"] == "http://next-hello.default.example.com"
    for label, url in (
        ("cluster-local", "http://next-hello.default.svc.cluster.local"),
        (None, "http://next-hello.default.example.com"),
    ):
        placeholder = world.get(resources.SERVICES, "next-hello")
        placeholder["metadata"]["labels"].pop(names.VISIBILITY_LABEL, None)
        placeholder["metadata"]["labels"] |= {names.VISIBILITY_LABEL: label} if label else {}
        world.api.put(resources.SERVICES, placeholder)
        await world.settle()
        assert world.get(RT, "hello")["status"]["traffic"][1]["url"] == url
    assert world.get(RT, "hello")["status"]["url"] == "http://hello.default.example.com"


async def test_a_gradual_rollout_goes_through_the_status_and_the_old_revision_stays_until_the_end(world):
    slow = {names.ROLLOUT_DURATION_ANNOTATION: "5s"}
    first = service()
    first["metadata"]["annotations"] = slow
    await world.apply(first)
    await world.make_ready("hello-00001")
    seen = []

    def note(obj):
        if obj["kind"] == "Route" and (obj.get("status") or {}).get("traffic"):
            rows = {row["revisionName"]: row["percent"] for row in obj["status"]["traffic"]}
            ready = conditions.find(obj)["status"]
            if not seen or seen[-1] != (rows, ready):
                seen.append((rows, ready))
            if "hello-00001" in rows:
                old = world.api.peek(REV, "hello-00001", NAMESPACE)
                assert old["metadata"]["labels"][names.ROUTING_STATE_LABEL] == "active"

    second = service(image="hello:2")
    second["metadata"]["annotations"] = slow
    await world.apply(second)
    world.api.on_store = note
    await world.make_ready("hello-00002")
    assert seen[0] == ({"hello-00001": 99, "hello-00002": 1}, "Unknown")
    assert [rows["hello-00002"] for rows, _ in seen] == [1, 26, 51, 76, 100, 100]
    assert all(status == "Unknown" for rows, status in seen if len(rows) == 2)
    assert seen[-2:] == [({"hello-00002": 100}, "Unknown"), ({"hello-00002": 100}, "True")]
    assert "annotations" not in world.get(RT, "hello")["status"]
    assert world.get(REV, "hello-00001")["metadata"]["labels"][names.ROUTING_STATE_LABEL] == "reserve"
    assert world.condition(KSVC, "hello")[0] == "True"


async def test_a_domain_is_mapped_once_it_is_claimed_and_what_it_stands_for_is_there(world):
    await world.apply(domain_mapping())
    assert world.condition(DM, "www.example.org", "DomainClaimed")[1] == "DomainClaimFailed"
    claim = {"metadata": {"name": "www.example.org"}, "spec": {"namespace": NAMESPACE}}
    world.api.put(resources.CLUSTER_DOMAIN_CLAIMS, claim)
    await world.settle()
    text = 'services.serving.knative.dev "hello" not found'
    assert world.condition(DM, "www.example.org", "ReferenceResolved") == ("False", "ResolveFailed", text)
    await world.apply(service())
    await world.make_ready("hello-00001")
    mapping = world.get(DM, "www.example.org")
    assert world.condition(DM, "www.example.org") == ("True", "", "")
    assert mapping["status"]["url"] == mapping["status"]["address"]["url"] == "http://www.example.org"
    assert mapping["status"]["annotations"] == {names.MAPPED_TO_ANNOTATION: "hello.default.svc.cluster.local"}
    await world.api.delete(DM, "www.example.org", NAMESPACE)
    await world.settle()
    assert world.api.peek(resources.CLUSTER_DOMAIN_CLAIMS, "www.example.org", "") is not None  # not ours to delete


async def test_claims_are_made_and_go_with_their_mapping_where_that_is_switched_on(world):
    network = Network(creates_domain_claims=True)
    world.worker.world.config = dataclasses.replace(world.config, network=network)
    await world.apply(domain_mapping())
    claim = world.api.peek(resources.CLUSTER_DOMAIN_CLAIMS, "www.example.org", "")
    assert claim["spec"]["namespace"] == NAMESPACE
    await world.api.delete(DM, "www.example.org", NAMESPACE)
    await world.settle()
    assert world.api.peek(resources.CLUSTER_DOMAIN_CLAIMS, "www.example.org", "") is None


async def test_a_domain_of_another_namespace_is_refused(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    claim = {"metadata": {"name": "www.example.org"}, "spec": {"namespace": "other"}}
    world.api.put(resources.CLUSTER_DOMAIN_CLAIMS, claim)
    await world.apply(domain_mapping())
    assert world.condition(DM, "www.example.org", "DomainClaimed")[:2] == ("False", "DomainAlreadyClaimed")
    assert "annotations" not in world.get(DM, "www.example.org")["status"]


async def test_a_domain_goes_to_the_next_namespace_when_the_first_lets_it_go(world):
    world.worker.world.config = dataclasses.replace(world.config, network=Network(creates_domain_claims=True))
    await world.apply(domain_mapping())
    late = domain_mapping()
    late["metadata"]["namespace"] = "other"
    await world.api.create(DM, late)
    await world.settle()

    def claimed(namespace):
        return conditions.find(world.api.peek(DM, "www.example.org", namespace), "DomainClaimed")

    assert claimed(NAMESPACE)["status"] == "True"
    assert (claimed("other")["status"], claimed("other")["reason"]) == ("False", "DomainAlreadyClaimed")
    await world.api.delete(DM, "www.example.org", NAMESPACE)
    await world.settle()
    assert claimed("other")["status"] == "True"
    claim = world.api.peek(resources.CLUSTER_DOMAIN_CLAIMS, "www.example.org", "")
    assert claim["spec"]["namespace"] == "other"


@pytest.mark.parametrize(
    ("kind", "api_version", "status"),
    [
        ("Route", "serving.knative.dev/v1", "True"),
        ("Service", "v1", "True"),
        ("Service", "serving.knative.dev/v1", "True"),
        ("Deployment", "apps/v1", "False"),
    ],
)
async def test_what_a_domain_may_stand_for(world, kind, api_version, status):
    world.worker.world.config = dataclasses.replace(world.config, network=Network(creates_domain_claims=True))
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(domain_mapping(kind=kind, api_version=api_version))
    assert world.condition(DM, "www.example.org")[0] == status


async def test_a_revision_that_was_deleted_by_hand_is_told_of(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(image="hello:2"))
    await world.api.delete(REV, "hello-00001", NAMESPACE)
    await world.settle()
    status, reason, message = world.condition(CFG, "hello")
    assert (status, reason, message) == ("False", "RevisionDeleted", 'Revision "hello-00001" was deleted.')
    await world.make_ready("hello-00002")
    assert world.condition(CFG, "hello")[0] == "True"


async def test_where_the_logs_of_a_revision_are(world):
    await world.apply(service())
    assert "logUrl" not in world.get(REV, "hello-00001")["status"]
    said = Observability(revision_url_template="http://logs/${REVISION_UID}/")
    world.worker.world.config = dataclasses.replace(world.config, observability=said)
    world.worker.mark_everything()
    await world.settle()
    revision = world.get(REV, "hello-00001")
    assert revision["status"]["logUrl"] == f"http://logs/{revision['metadata']['uid']}/"


PUBLIC = Network(domains=(Domain("example.com"),))
TLS = dataclasses.replace(PUBLIC, has_external_tls=True)
REDIRECTS = dataclasses.replace(TLS, http_protocol="redirected")
PROTOCOL, TLS_OFF = "networking.knative.dev/http-protocol", "networking.knative.dev/disable-external-domain-tls"


@pytest.mark.parametrize(
    ("network", "annotations", "labels", "url", "reason", "is_redirected"),
    [
        (PUBLIC, {}, {}, "http://hello.default.example.com", "TLSNotEnabled", False),
        (PUBLIC, {PROTOCOL: "redirected"}, {}, "http://hello.default.example.com", "TLSNotEnabled", False),
        (TLS, {}, {}, "https://hello.default.example.com", "", False),
        (TLS, {PROTOCOL: "Redirected"}, {}, "https://hello.default.example.com", "", True),
        (TLS, {TLS_OFF: "true"}, {}, "http://hello.default.example.com", "TLSNotEnabled", False),
        (REDIRECTS, {}, {}, "https://hello.default.example.com", "", True),
        (REDIRECTS, {PROTOCOL: "enabled"}, {}, "https://hello.default.example.com", "", False),
        (REDIRECTS, {TLS_OFF: "true"}, {}, "http://hello.default.example.com", "TLSNotEnabled", False),
        (
            TLS,
            {},
            {names.VISIBILITY_LABEL: "cluster-local"},
            "http://hello.default.svc.cluster.local",
            "TLSNotEnabled",
            False,
        ),
    ],
)
async def test_schemes_and_redirects(world, network, annotations, labels, url, reason, is_redirected):
    world.worker.world.config = dataclasses.replace(world.config, network=network)
    document = service()
    document["metadata"] |= {"annotations": annotations, "labels": labels}
    await world.apply(document)
    await world.make_ready("hello-00001")
    route = world.get(RT, "hello")
    assert route["status"]["url"] == url
    assert world.condition(RT, "hello", "CertificateProvisioned")[:2] == ("True", reason)
    told = (route["status"].get("annotations") or {}).get(PROTOCOL)
    assert told == ("redirected" if is_redirected else None)


async def test_a_protocol_that_is_none_is_told_and_freezes_the_route(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    document = service()
    document["metadata"]["annotations"] = {PROTOCOL: "gopher"}
    await world.apply(document)
    assert world.condition(RT, "hello", "AllTrafficAssigned")[:2] == ("False", "ErrorConfig")
    assert world.get(RT, "hello")["status"]["traffic"][0]["revisionName"] == "hello-00001"


async def test_replicas_belong_to_the_autoscaler(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    deployment = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")
    deployment["spec"]["replicas"] = 7
    deployment["metadata"]["annotations"]["tidegate.dev/applied"] = "something else"
    world.api.put(resources.DEPLOYMENTS, deployment)
    await world.settle()
    assert world.get(resources.DEPLOYMENTS, "hello-00001-deployment")["spec"]["replicas"] == 7
    assert ("patch", "deployments", "hello-00001-deployment") in world.api.calls


async def test_a_new_template_makes_a_revision_and_moves_traffic_when_it_is_ready(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(image="hello:2"))
    made = world.get(KSVC, "hello")
    assert made["status"]["latestCreatedRevisionName"] == "hello-00002"
    assert made["status"]["traffic"][0]["revisionName"] == "hello-00001"
    assert world.condition(KSVC, "hello")[0] == "Unknown"
    assert world.get(REV, "hello-00002")["metadata"]["labels"][names.ROUTING_STATE_LABEL] == "active"
    await world.make_ready("hello-00002")
    assert world.get(KSVC, "hello")["status"]["traffic"][0]["revisionName"] == "hello-00002"
    assert world.condition(KSVC, "hello")[0] == "True"
    assert world.get(REV, "hello-00001")["metadata"]["labels"][names.ROUTING_STATE_LABEL] == "reserve"
    assert world.get(resources.POD_AUTOSCALERS, "hello-00001")["spec"]["reachability"] == "Unreachable"


async def test_a_new_revision_is_never_released_while_it_is_new(world):
    states = []
    await world.apply(service())
    await world.make_ready("hello-00001")
    world.api.on_store = lambda obj: states.append(
        (obj["metadata"].get("labels") or {}).get(names.ROUTING_STATE_LABEL)
        if obj["metadata"]["name"] == "hello-00002" and obj["kind"] == "Revision"
        else "active"
    )
    await world.apply(service(image="hello:2"))
    assert set(states) == {"active"}


async def test_a_pinned_route_releases_even_the_newest_revision(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(image="hello:2"))
    await world.make_ready("hello-00002")
    await world.apply(service(image="hello:2", traffic=[{"revisionName": "hello-00001", "percent": 100}]))
    states = [
        world.get(REV, name)["metadata"]["labels"][names.ROUTING_STATE_LABEL] for name in ("hello-00001", "hello-00002")
    ]
    assert states == ["active", "reserve"]


async def test_a_revision_without_traffic_from_the_start_may_come_up_once(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(image="hello:2", traffic=[{"revisionName": "hello-00001", "percent": 100}]))
    assert world.get(REV, "hello-00002")["metadata"]["labels"][names.ROUTING_STATE_LABEL] == "reserve"
    assert world.get(resources.POD_AUTOSCALERS, "hello-00002")["spec"]["reachability"] == ""
    await world.make_ready("hello-00002")
    assert world.get(resources.POD_AUTOSCALERS, "hello-00002")["spec"]["reachability"] == "Unreachable"
    assert world.condition(KSVC, "hello")[0] == "True"


async def test_a_failing_new_revision_leaves_traffic_alone_and_says_why(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(image="hello:broken"))
    pod = _pod("hello-00002", {"lastState": {"terminated": {"exitCode": 5, "message": "no config"}}})
    world.api.put(resources.PODS, pod)
    deployment = world.get(resources.DEPLOYMENTS, "hello-00002-deployment")
    deployment["status"] = {"observedGeneration": 1, "replicas": 1, "unavailableReplicas": 1}
    world.api.put(resources.DEPLOYMENTS, deployment)
    await world.settle()
    assert world.condition(REV, "hello-00002") == ("False", "ExitCode5", "Container failed with: no config")
    text = 'Revision "hello-00002" failed with message: Container failed with: no config.'
    assert world.condition(CFG, "hello") == ("False", "RevisionFailed", text)
    assert world.condition(KSVC, "hello") == ("False", "RevisionFailed", text)
    assert world.condition(RT, "hello")[0] == "True"
    assert world.get(KSVC, "hello")["status"]["traffic"][0]["revisionName"] == "hello-00001"
    assert world.get(resources.POD_AUTOSCALERS, "hello-00002")["spec"]["reachability"] == "Unreachable"


async def test_an_image_that_cannot_be_pulled_fails_everything_above_it(world):
    await world.apply(service(image="nowhere:1"))
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    world.api.put(resources.PODS, _pod("hello-00001", waiting))
    deployment = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")
    deployment["status"] = {"observedGeneration": 1, "replicas": 1, "unavailableReplicas": 1}
    world.api.put(resources.DEPLOYMENTS, deployment)
    await world.settle()
    assert world.condition(REV, "hello-00001") == ("False", "ErrImagePull", "no such image")
    for resource in (KSVC, CFG, RT):
        status, reason, message = world.condition(resource, "hello")
        assert (status, bool(reason), bool(message)) == ("False", True, True)
    changed = world.get(resources.PODS, "hello-00001-pod")
    changed["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = "ImagePullBackOff"
    world.api.put(resources.PODS, changed)
    await world.settle()
    assert world.condition(REV, "hello-00001")[1] == "ErrImagePull", (
        "the two reasons take turns; the condition must not"
    )


async def test_a_split_by_name_and_tag(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(image="hello:2"))
    await world.make_ready("hello-00002")
    split = [
        {"revisionName": "hello-00001", "percent": 20, "tag": "old"},
        {"latestRevision": True, "percent": 80},
    ]
    await world.apply(service(image="hello:2", traffic=split))
    url = "http://old-hello.default.svc.cluster.local"
    assert world.get(RT, "hello")["status"]["traffic"] == [
        {"revisionName": "hello-00001", "latestRevision": False, "percent": 20, "tag": "old", "url": url},
        {"revisionName": "hello-00002", "latestRevision": True, "percent": 80},
    ]
    assert world.condition(KSVC, "hello")[0] == "True"
    assert world.get(REV, "hello-00001")["metadata"]["labels"][names.ROUTING_STATE_LABEL] == "active"


async def test_a_bad_target_freezes_the_route_on_its_last_good_state(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(traffic=[{"revisionName": "hello-00009", "percent": 100}]))
    text = 'Revision "hello-00009" referenced in traffic not found.'
    assert world.condition(RT, "hello", "AllTrafficAssigned") == ("False", "RevisionMissing", text)
    assert world.condition(RT, "hello", "IngressReady")[:2] == ("Unknown", "IngressNotConfigured")
    assert world.condition(KSVC, "hello", "RoutesReady")[0] == "False"
    assert world.get(RT, "hello")["status"]["traffic"][0]["revisionName"] == "hello-00001"


async def test_a_name_of_the_users_choosing_and_a_rollback_to_it(world):
    await world.apply(_named("blue", 1))
    await world.make_ready("hello-blue")
    assert world.condition(KSVC, "hello")[0] == "True"
    await world.apply(_named("green", 2))
    await world.make_ready("hello-green")
    assert world.get(KSVC, "hello")["status"]["latestReadyRevisionName"] == "hello-green"
    await world.apply(_named("blue", 1))
    assert world.get(KSVC, "hello")["status"]["latestCreatedRevisionName"] == "hello-blue"
    assert world.get(KSVC, "hello")["status"]["traffic"][0]["revisionName"] == "hello-blue"
    assert len(world.api.all(REV)) == 2


async def test_metadata_of_a_service_reaches_its_children_but_no_revision(world):
    made = service()
    made["metadata"] |= {"labels": {"team": "blue"}, "annotations": {"note": "x"}}
    await world.apply(made)
    for resource in (CFG, RT):
        metadata = world.get(resource, "hello")["metadata"]
        assert metadata["labels"]["team"] == "blue"
        assert metadata["annotations"]["note"] == "x"
        assert metadata["annotations"][names.CREATOR_ANNOTATION] == "ann@example.com"
    revision = world.get(REV, "hello-00001")["metadata"]
    assert "team" not in revision["labels"]
    assert "note" not in revision["annotations"]
    assert revision["annotations"][names.CREATOR_ANNOTATION] == "ann@example.com"


async def test_autoscaling_annotations_can_be_edited_on_a_revision(world):
    await world.apply(service(annotations={"autoscaling.knative.dev/target": "5"}))
    assert (
        world.get(resources.POD_AUTOSCALERS, "hello-00001")["metadata"]["annotations"]["autoscaling.knative.dev/target"]
        == "5"
    )
    revision = world.get(REV, "hello-00001")
    revision["metadata"]["annotations"]["autoscaling.knative.dev/target"] = "9"
    world.api.put(REV, revision)
    await world.settle()
    scaler = world.get(resources.POD_AUTOSCALERS, "hello-00001")
    assert scaler["metadata"]["annotations"]["autoscaling.knative.dev/target"] == "9"
    deployment = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")
    template = deployment["spec"]["template"]["metadata"]
    assert not any(key.startswith("autoscaling") for key in template["annotations"])


async def test_a_foreign_deployment_is_left_alone(world):
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello-00001-deployment", "namespace": NAMESPACE},
        "spec": {},
    }
    await world.api.create(resources.DEPLOYMENTS, foreign)
    await world.apply(service())
    text = 'There is an existing Deployment "hello-00001-deployment" that we do not own.'
    assert world.condition(REV, "hello-00001") == ("False", "NotOwned", text)
    assert world.get(resources.DEPLOYMENTS, "hello-00001-deployment")["spec"] == {}


@pytest.mark.parametrize(("resource", "condition"), [(CFG, "ConfigurationsReady"), (RT, "RoutesReady")])
async def test_a_foreign_child_of_the_same_name_is_told(world, resource, condition):
    spec = {"traffic": [{"configurationName": "x", "percent": 100}]} if resource is RT else service()["spec"]
    await world.api.create(resource, {"metadata": {"name": "hello", "namespace": NAMESPACE}, "spec": spec})
    await world.apply(service())
    text = f'There is an existing {resource.kind} "hello" that we do not own.'
    assert world.condition(KSVC, "hello", condition) == ("False", "NotOwned", text)
    assert world.condition(KSVC, "hello")[1] == "NotOwned"


async def test_a_revision_name_that_another_configuration_has_is_taken(world):
    other = {"metadata": {"name": "hello-blue", "namespace": NAMESPACE}, "spec": {"containers": [{"image": "x"}]}}
    await world.api.create(REV, other)
    await world.apply(_named("blue", 1))
    text = 'Revision creation failed with message: revisions.serving.knative.dev "hello-blue" already exists.'
    assert world.condition(CFG, "hello") == ("False", "RevisionFailed", text)
    assert world.condition(KSVC, "hello", "RoutesReady")[1] == "RevisionNameTaken"


async def test_visibility_follows_the_label_of_the_service(world):
    network = Network(domains=(Domain("example.com"),))
    world.worker.world.config = dataclasses.replace(world.config, network=network)
    await world.apply(service())
    await world.make_ready("hello-00001")
    assert world.get(KSVC, "hello")["status"]["url"] == "http://hello.default.example.com"
    local = service()
    local["metadata"]["labels"] = {names.VISIBILITY_LABEL: "cluster-local"}
    await world.apply(local)
    assert world.get(KSVC, "hello")["status"]["url"] == "http://hello.default.svc.cluster.local"
    assert world.condition(RT, "hello", "CertificateProvisioned")[2] == "TLS is not enabled for cluster-local"


async def test_old_revisions_are_collected(world):
    strict = Retention(since_create_s=None, since_last_active_s=None, min_non_active=0, max_non_active=0)
    world.worker.world.config = dataclasses.replace(world.config, retention=strict)
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(image="hello:2"))
    assert len(world.api.all(REV)) == 2, "the old one still has the traffic"
    await world.make_ready("hello-00002")
    assert [found["metadata"]["name"] for found in world.api.all(REV)] == ["hello-00002"]


async def test_a_deleted_latest_revision_is_made_again(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.api.delete(REV, "hello-00001", NAMESPACE)
    for resource, name in (
        (resources.DEPLOYMENTS, "hello-00001-deployment"),
        (resources.POD_AUTOSCALERS, "hello-00001"),
    ):
        await world.api.delete(resource, name, NAMESPACE)
    await world.api.delete(resources.SERVICES, "hello-00001-private", NAMESPACE)
    await world.settle()
    assert world.get(REV, "hello-00001")
    await world.make_ready("hello-00001")
    assert world.condition(KSVC, "hello")[0] == "True"


async def test_a_tag_that_is_too_long_for_a_host_is_told(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.apply(service(traffic=[{"percent": 100, "tag": "t" * 60}]))
    status, reason, message = world.condition(RT, "hello", "AllTrafficAssigned")
    assert (status, reason) == ("False", "ErrorConfig")
    assert "63 characters" in message
    assert world.get(RT, "hello")["status"]["traffic"] == [
        {"revisionName": "hello-00001", "latestRevision": True, "percent": 100}
    ]


async def test_a_refused_deployment_fails_its_revision_and_is_tried_again(world):
    world.api.refuse("create", resources.DEPLOYMENTS, ApiError(403, "Forbidden", "exceeded quota"), times=3)
    seen = []
    world.api.on_store = seen.append
    await world.apply(service())
    failed = [obj for obj in seen if conditions.find(obj, "ResourcesAvailable")]
    assert any(conditions.find(obj, "ResourcesAvailable").get("reason") == "FailedCreate" for obj in failed)
    assert world.condition(REV, "hello-00001", "ResourcesAvailable")[:2] == ("Unknown", "Deploying")
    assert world.get(resources.DEPLOYMENTS, "hello-00001-deployment")


async def test_deleting_a_route_releases_its_revisions(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    await world.api.delete(KSVC, "hello", NAMESPACE)
    await world.api.delete(RT, "hello", NAMESPACE)
    await world.settle()
    revision = world.get(REV, "hello-00001")["metadata"]
    assert revision["labels"][names.ROUTING_STATE_LABEL] == "reserve"
    assert names.ROUTES_ANNOTATION not in revision["annotations"]


async def test_an_initial_scale_annotation_sets_the_first_replicas(world):
    await world.apply(service(annotations={"autoscaling.knative.dev/initial-scale": "3"}))
    assert world.get(resources.DEPLOYMENTS, "hello-00001-deployment")["spec"]["replicas"] == 3


def _named(name, image):
    made = service(image=f"hello:{image}")
    made["spec"]["template"]["metadata"] = {"name": f"hello-{name}"}
    return made


def _pod(revision, container):
    return {
        "metadata": {
            "name": f"{revision}-pod",
            "namespace": NAMESPACE,
            "labels": {names.REVISION_LABEL: revision},
        },
        "status": {"phase": "Pending", "containerStatuses": [{"name": "user-container", **container}]},
    }


RECREATE = {"annotations": {"tidegate.dev/rollout": "recreate", "autoscaling.knative.dev/min-scale": "1"}}


async def test_without_room_for_two_the_old_revision_goes_before_the_new_one_comes(world):
    await world.apply(service(**RECREATE))
    await world.make_ready("hello-00001")
    deployment = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    await world.apply(service(image="hello:2", **RECREATE))
    assert world.get(RT, "hello")["status"]["traffic"][0]["revisionName"] == "hello-00002"
    assert world.condition(KSVC, "hello")[0] == "Unknown"
    old = world.get(resources.POD_AUTOSCALERS, "hello-00001")
    assert old["spec"]["reachability"] == "Unreachable"
    assert old["metadata"]["annotations"]["autoscaling.knative.dev/window"] == "6s"
    assert world.get(resources.POD_AUTOSCALERS, "hello-00002")["spec"]["reachability"] == "Reachable"
    await world.make_idle("hello-00001")
    await world.make_ready("hello-00002")
    assert world.condition(KSVC, "hello")[0] == "True"
    assert world.get(KSVC, "hello")["status"]["latestReadyRevisionName"] == "hello-00002"


async def test_a_successor_that_does_not_start_gives_the_traffic_and_its_place_back(world):
    await world.apply(service(**RECREATE))
    await world.make_ready("hello-00001")
    await world.apply(service(image="hello:2", **RECREATE))
    await world.make_idle("hello-00001")
    world.play_autoscaler("hello-00002", "False", "TimedOut", "The target could not be activated.")
    await world.settle()
    assert world.get(RT, "hello")["status"]["traffic"][0]["revisionName"] == "hello-00001"
    assert world.condition(KSVC, "hello")[0] == "False"
    back = world.get(resources.POD_AUTOSCALERS, "hello-00001")
    assert back["spec"]["reachability"] == "Reachable"
    assert world.get(resources.POD_AUTOSCALERS, "hello-00002")["spec"]["reachability"] == "Unreachable"
    await world.apply(service(image="hello:3", **RECREATE))
    assert world.get(RT, "hello")["status"]["traffic"][0]["revisionName"] == "hello-00003"
