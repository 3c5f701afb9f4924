"""InferenceService: what is read, which runtime is chosen, what it becomes, canaries by KServe's table, its status."""

from __future__ import annotations

from typing import Any

import pytest

from controller import cluster_config
from controller.cluster_config import ClusterConfig
from controller.gather import World
from controller.inference import canary, component, credentials, shipped, status, template
from controller.inference.canary import Rollout
from controller.inference.component import Model
from controller.inference.runtimes import Refusal, choose
from controller.model_credentials import ModelCredentials
from controller.objects import Objects
from controller.reconcile import inference_service, metadata, model_storage
from controller.reconcile import revision as reconcile_revision
from controller.reconcile.inference_service import Observed
from controller.reconcile.outcome import Apply, Delete
from controller.triggers import Key
from tests.support.fake_api import FakeApi
from tidegate.contracts import names, problems
from tidegate.contracts.config.deployment import ModelCache
from tidegate.kube import resources

Object = dict[str, Any]
NOW = 1_700_000_000.0


def isvc(predictor: Object | None = None, **more: Any) -> Object:
    meta = {"name": "flowers", "namespace": "ml", "uid": "u1", "generation": 1, **more.pop("metadata", {})}
    spec = {"predictor": predictor or {"sklearn": {"storageUri": "s3://models/flowers"}}, **more}
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": meta, "spec": spec}


def runtime(name: str, form: str = "sklearn", **spec: Any) -> Object:
    entry = {"name": form, "autoSelect": True, **spec.pop("format", {})}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": name, "creationTimestamp": spec.pop("created", "2026-01-01T00:00:00Z")},
        "spec": {
            "supportedModelFormats": [entry],
            "protocolVersions": ["v1", "v2"],
            "containers": [{"name": "kserve-container", "image": f"{name}:1", "args": ["--model_name={{.Name}}"]}],
            **spec,
        },
    }


# What is read


MODELS = [
    ({"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://a"}}, "sklearn", "", "v1"),
    ({"model": {"modelFormat": {"name": "onnx", "version": "1"}}}, "onnx", "1", "v2"),
    ({"model": {"modelFormat": {"name": "sklearn"}, "protocolVersion": "v2"}}, "sklearn", "", "v2"),
    ({"xgboost": {"storageUri": "gs://a"}}, "xgboost", "", "v1"),
    ({"triton": {"storageUri": "gs://a", "runtimeVersion": "24.1"}}, "triton", "", "v2"),
    ({"pytorch": {}}, "pytorch", "", "v1"),
]


@pytest.mark.parametrize(("predictor", "form", "version", "protocol"), MODELS)
def test_a_model_is_read_in_every_way_of_writing_it(predictor: Object, form: str, version: str, protocol: str) -> None:
    found = component.read(isvc(predictor), "predictor")
    assert found is not None
    assert found.model is not None
    assert (found.model.format, found.model.version, found.model.protocol) == (form, version, protocol)
    assert found.min_replicas == 1, "KServe's default: not to zero unless asked"


REFUSED = [
    ({}, "missing field(s): spec.predictor"),
    ({"predictor": {"minReplicas": 1}}, "expected exactly one, got neither: spec.predictor.containers"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "onnx": {"storageUri": "y"}}}, "expected exactly one, got several"),
    ({"predictor": {"model": {"storageUri": "x"}}}, "missing field(s): spec.predictor.model.modelFormat.name"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "minReplicas": 3, "maxReplicas": 2}},
     "invalid value: 2: spec.predictor.maxReplicas"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "canaryTrafficPercent": 101}},
     "expected 0 <= 101 <= 100: spec.predictor.canaryTrafficPercent"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "scaleMetric": "cats"}},
     "invalid value: cats: spec.predictor.scaleMetric"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "logger": {"mode": "all"}}},
     "invalid value: : spec.predictor.logger.url\nwrite http://host/path"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "logger": {"url": "http://s", "mode": "some"}}},
     "invalid value: some: spec.predictor.logger.mode"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "logger": {"url": "http://s", "storage": {}}}},
     "storage is not served yet: spec.predictor.logger.storage"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "batcher": {"maxBatchSize": 0}}},
     "expected 1 <= 0 <= 65536: spec.predictor.batcher.maxBatchSize"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "batcher": {"timeout": 60}}},
     "timeout is not served yet: spec.predictor.batcher.timeout"),
    ({"predictor": {"sklearn": {"storageUri": "x"}, "autoScaling": {"metrics": []}}},
     "autoScaling is not served yet: spec.predictor.autoScaling"),
    ({"predictor": {"sklearn": {"storageUri": "x"}}, "explainer": {"art": {}}},
     "missing field(s): spec.explainer.containers"),
    ({"predictor": {"sklearn": {"storageUri": "x"}}, "transformer": {"minReplicas": 1}},
     "missing field(s): spec.transformer.containers"),
    ({"predictor": {"sklearn": {"storageUri": "x"}}, "predicter": {}}, "must not set the field(s): spec.predicter"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_what_is_refused_and_how_it_is_told(spec: Object, message: str) -> None:
    assert message in problems.render(component.validate({"spec": spec}))


def test_good_ones_are_not_refused() -> None:
    for predictor, *_ in MODELS:
        assert component.validate(isvc(predictor)) == []
    assert component.validate(isvc({"containers": [{"image": "x"}]})) == []


# Which runtime


def chosen(model: Model, *in_cluster: Object, in_namespace: tuple[Object, ...] = ()) -> str:
    found = choose(model, in_namespace, in_cluster)
    return f"{found.reason}: {found.message}" if isinstance(found, Refusal) else str(found["metadata"]["name"])


SKLEARN = Model("sklearn")
CHOICES = [
    ("the only one", SKLEARN, [runtime("a")], "a"),
    ("by priority", SKLEARN, [runtime("a"), runtime("b", format={"priority": 2})], "b"),
    ("the newest among equals", SKLEARN, [runtime("a"), runtime("b", created="2026-02-01T00:00:00Z")], "b"),
    ("by name at last", SKLEARN, [runtime("b"), runtime("a")], "a"),
    ("not a disabled one", SKLEARN, [runtime("a", disabled=True), runtime("b")], "b"),
    ("its version", Model("sklearn", "1.4"), [runtime("a", format={"version": "0"}), runtime("b")], "b"),
    ("a version's family", Model("sklearn", "1.4"), [runtime("a", format={"version": "1"})], "a"),
    ("its protocol", Model("sklearn", protocol="grpc-v2"),
     [runtime("a"), runtime("b", protocolVersions=["grpc-v2"])], "b"),
    ("a named one needs no autoSelect", Model("sklearn", runtime="a"),
     [runtime("a", format={"autoSelect": False}), runtime("b")], "a"),
    ("none for the format", Model("pmml"), [runtime("a")],
     "NoSupportingRuntime: no ServingRuntime serves pmml by v1: none supports this format"),
    ("why the near ones do not", SKLEARN, [runtime("a", format={"autoSelect": False})],
     "NoSupportingRuntime: no ServingRuntime serves sklearn by v1 (a: it is not selected by itself (autoSelect))"),
    ("a name nobody has", Model("sklearn", runtime="z"), [runtime("a")],
     "RuntimeNotRecognized: there is no ServingRuntime 'z' here (known: a)"),
    ("a named one that is disabled", Model("sklearn", runtime="a"), [runtime("a", disabled=True)],
     "RuntimeDisabled: ServingRuntime 'a': it is disabled"),
    ("a named one that does not fit", Model("onnx", runtime="a", protocol="v2"), [runtime("a")],
     "InvalidPredictorSpec: ServingRuntime 'a': it does not support the format onnx"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "runtimes", "name"), [row[1:] for row in CHOICES], ids=[row[0] for row in CHOICES])
def test_choice_of_a_runtime(model: Model, runtimes: list[Object], name: str) -> None:
    assert chosen(model, *runtimes) == name


def test_runtimes_of_the_namespace_come_first_and_shipped_ones_last() -> None:
    assert chosen(SKLEARN, runtime("a", format={"priority": 9}), in_namespace=(runtime("mine"),)) == "mine"
    assert chosen(SKLEARN, *shipped.runtimes([runtime("a", format={"priority": 1})])) == "a"
    assert chosen(SKLEARN, *shipped.runtimes()) == "tidegate-sklearn"
    own = runtime("tidegate-sklearn", format={"version": "7"})
    assert chosen(Model("sklearn", "7"), *shipped.runtimes([own])) == "tidegate-sklearn"
    assert sum(one["metadata"]["name"] == "tidegate-sklearn" for one in shipped.runtimes([own])) == 1


@pytest.mark.parametrize("form", ["pytorch", "torch", "torchscript", "torch-export", "safetensors"])
def test_torchs_ways_of_keeping_a_model_are_one_runtime(form: str) -> None:
    assert chosen(Model(form), *shipped.runtimes()) == "tidegate-torch"
    assert chosen(Model(form, protocol="grpc-v2"), *shipped.runtimes()) == "tidegate-torch-grpc"


TRITONS = [
    (Model("triton", protocol="v2"), "tidegate-triton"),
    (Model("triton", protocol="grpc-v2"), "tidegate-triton-grpc"),
    (Model("tensorrt", protocol="v2", runtime="tidegate-triton"), "tidegate-triton"),
    (Model("onnx", protocol="v2"), "tidegate-onnx"),
]


@pytest.mark.parametrize(("model", "name"), TRITONS)
def test_triton_is_chosen_for_its_own_format_and_by_name_for_what_its_backends_may_read(
    model: Model, name: str
) -> None:
    assert chosen(model, *shipped.runtimes()) == name


def test_triton_is_not_chosen_for_what_its_backends_may_not_read() -> None:
    assert "tidegate-triton: it is not selected by itself" in chosen(
        Model("tensorrt", protocol="v2"), *shipped.runtimes()
    )
    assert "it speaks v2, not v1" in chosen(Model("triton", protocol="v1"), *shipped.runtimes())


def test_tritons_adapter_has_one_port_for_both_protocols() -> None:
    for name, ports in (("tidegate-triton", None), ("tidegate-triton-grpc", [{"name": "h2c", "containerPort": 9000}])):
        (found,) = [one for one in shipped.runtimes() if one["metadata"]["name"] == name]
        (container,) = found["spec"]["containers"]
        assert container["args"] == ["--model-name={{.Name}}", "--model-dir=/mnt/models"]
        assert container.get("ports") == ports
        assert container["readinessProbe"] == {"httpGet": {"path": "/v2/health/ready"}}


# What it becomes


def compiled(service: Object, one: Object | None = None) -> Object:
    part = component.read(service, "predictor")
    assert part is not None
    return template.template(service, part, one or runtime("r"))


def test_the_authors_fields_lie_over_the_runtimes() -> None:
    predictor = {
        "serviceAccountName": "reader",
        "model": {
            "modelFormat": {"name": "sklearn"},
            "storageUri": "s3://models/flowers",
            "args": ["--workers=2"],
            "env": [{"name": "LEVEL", "value": "debug"}],
            "resources": {"limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}},
        },
    }
    base = runtime("r", nodeSelector={"gpu": "yes"})
    base["spec"]["containers"][0]["env"] = [{"name": "LEVEL", "value": "info"}, {"name": "KEEP", "value": "1"}]
    spec = compiled(isvc(predictor), base)["spec"]
    (main,) = spec["containers"]
    assert main["image"] == "r:1"
    assert main["args"] == ["--model_name=flowers", "--workers=2"]
    assert {one["name"]: one["value"] for one in main["env"]} == {"LEVEL": "debug", "KEEP": "1", "PROTOCOL": "v1"}
    assert main["resources"]["limits"] == {"memory": "1Gi", "nvidia.com/gpu": "1", "cpu": "1"}
    assert main["resources"]["requests"]["memory"] == "1Gi", "the request follows the limit"
    assert (spec["serviceAccountName"], spec["nodeSelector"]) == ("reader", {"gpu": "yes"})


SCALING = [
    ({}, {"class": "kpa.autoscaling.knative.dev", "min-scale": "1"}),
    ({"minReplicas": 0}, {"class": "kpa.autoscaling.knative.dev", "min-scale": "0"}),
    ({"minReplicas": 2, "maxReplicas": 10, "scaleTarget": 1, "scaleMetric": "concurrency"},
     {"class": "kpa.autoscaling.knative.dev", "min-scale": "2", "max-scale": "10", "target": "1",
      "metric": "concurrency"}),
    ({"scaleMetric": "cpu", "scaleTarget": 80},
     {"class": "hpa.autoscaling.knative.dev", "min-scale": "1", "metric": "cpu", "target": "80"}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "annotations"), SCALING)
def test_scaling_fields_become_annotations(fields: Object, annotations: dict[str, str]) -> None:
    made = compiled(isvc({"sklearn": {"storageUri": "x"}, **fields}))["metadata"]["annotations"]
    found = {key.partition("/")[2]: value for key, value in made.items() if key.startswith("autoscaling.knative.dev/")}
    assert found == annotations


def test_annotations_and_labels_go_down_but_not_kserves_own() -> None:
    meta = {
        "labels": {"team": "a"},
        "annotations": {"serving.kserve.io/enable-tag-routing": "true", "tidegate.dev/preload": "torch"},
    }
    head = compiled(isvc(metadata=meta))["metadata"]
    assert head["labels"]["team"] == "a"
    assert head["annotations"]["tidegate.dev/preload"] == "torch"
    assert "serving.kserve.io/enable-tag-routing" not in head["annotations"]
    assert head["annotations"][template.STORAGE_URI_ANNOTATION] == "s3://models/flowers"


# Canary, by the table of KServe's semantics: an edit makes a revision, it becomes ready, the block follows


class Cluster:
    """The Knative side of one component: a Service whose revisions become ready at once, unless they are bad."""

    def __init__(self) -> None:
        self.rollout = Rollout()
        self.revisions = 0
        self.ready = ""

    def edit(self, percent: int | None, *, is_new: bool = True, is_bad: bool = False) -> list[tuple[str, int]]:
        """Apply an edit and return the shares that result."""
        if is_new:
            self.revisions += 1
        for _ in range(2):  # the controller looks again when the Service has moved
            block = canary.traffic(percent, self.rollout, tags=False)
            created = f"r{self.revisions}"
            if not is_bad:
                self.ready = created
            told = [{**entry, "revisionName": entry.get("revisionName") or self.ready} for entry in block]
            service = {
                "status": {
                    "latestCreatedRevisionName": created,
                    "latestReadyRevisionName": self.ready,
                    "traffic": told,
                }
            }
            self.rollout = canary.after(self.rollout, service)
        shares: dict[str, int] = {}
        for entry in told:
            shares[entry["revisionName"]] = shares.get(entry["revisionName"], 0) + entry["percent"]
        return list(shares.items())


def test_canary_semantics() -> None:
    cluster = Cluster()
    assert cluster.edit(10) == [("r1", 100)], "the first deployment ignores the percentage"
    assert cluster.rollout.rolled_out == "r1"
    assert cluster.edit(10) == [("r2", 10), ("r1", 90)]
    assert cluster.edit(10) == [("r3", 10), ("r1", 90)], "an edit during a canary keeps the base"
    assert cluster.edit(50, is_new=False) == [("r3", 50), ("r1", 50)]
    assert cluster.edit(0, is_new=False) == [("r3", 0), ("r1", 100)], "0 pins the base"
    assert cluster.edit(None, is_new=False) == [("r3", 100)], "without a percentage the latest is promoted"
    assert (cluster.rollout.rolled_out, cluster.rollout.previous) == ("r3", "r1")
    assert cluster.edit(None, is_bad=True) == [("r3", 100)], "a revision that fails gets nothing"
    assert cluster.rollout.rolled_out == "r3"
    assert cluster.edit(100) == [("r5", 100)]
    assert (cluster.rollout.rolled_out, cluster.rollout.previous) == ("r5", "r3")


def test_tags_of_a_canary() -> None:
    block = canary.traffic(10, Rollout("b", "b", "a"), tags=True)
    assert [(entry["tag"], entry["percent"]) for entry in block] == [("latest", 10), ("prev", 90)]
    bare = canary.without_tags(block, "flowers-predictor")
    assert bare == [
        {"latestRevision": True, "percent": 10, "configurationName": "flowers-predictor"},
        {"revisionName": "a", "latestRevision": False, "percent": 90},
    ]


# The whole


def observed(service: Object, **more: Any) -> Observed:
    return Observed(service, cluster_runtimes=shipped.runtimes(), **more)


def ready(obj: Object, **more: Any) -> Object:
    meta = {"uid": f"uid-{obj['metadata']['name']}", "generation": 1}
    said = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}], **more}
    return obj | {"metadata": obj["metadata"] | meta, "status": said}


def condition(made: Object, kind: str) -> Object:
    return next(one for one in made["conditions"] if one["type"] == kind)


def test_from_nothing_to_ready() -> None:
    service = isvc({"sklearn": {"storageUri": "x"}, "minReplicas": 0})
    first = inference_service.reconcile(observed(service), NOW)
    (apply,) = first.actions
    assert isinstance(apply, Apply)
    assert (apply.obj["kind"], apply.obj["metadata"]["name"]) == ("Service", "flowers-predictor")
    assert metadata.owner_reference(service) in apply.obj["metadata"]["ownerReferences"]
    assert first.status is not None
    assert condition(first.status, "Ready")["status"] == "Unknown"
    assert first.status["modelStatus"]["states"]["targetModelState"] == "Pending"

    child = ready(
        apply.obj,
        latestCreatedRevisionName="flowers-predictor-00001",
        latestReadyRevisionName="flowers-predictor-00001",
        url="http://flowers-predictor.ml.example.com",
        traffic=[{"revisionName": "flowers-predictor-00001", "latestRevision": True, "percent": 100}],
    )
    second = inference_service.reconcile(observed(service, services={"predictor": child}), NOW)
    (route,) = second.actions
    assert isinstance(route, Apply)
    assert (route.obj["kind"], route.obj["metadata"]["name"]) == ("Route", "flowers")
    assert route.obj["spec"]["traffic"] == [
        {"latestRevision": True, "percent": 100, "configurationName": "flowers-predictor"}
    ]

    told = ready(route.obj, url="http://flowers.ml.example.com", address={"url": "http://flowers.ml.svc"})
    revision = ready({"metadata": {"name": "flowers-predictor-00001"}}, actualReplicas=0)
    third = inference_service.reconcile(
        observed(
            service,
            services={"predictor": child},
            route=told,
            revisions={"flowers-predictor-00001": revision},
        ),
        NOW,
    )
    assert third.actions == ()
    assert third.status is not None
    assert third.status["url"] == "http://flowers.ml.example.com"
    assert condition(third.status, "Ready")["status"] == "True"
    assert third.status["modelStatus"]["transitionStatus"] == "UpToDate"
    assert third.status["modelStatus"]["states"]["activeModelState"] == "Standby", "at zero"
    assert third.status["components"]["predictor"]["latestRolledoutRevision"] == "flowers-predictor-00001"


def test_no_runtime_is_told_as_kserve_tells_it() -> None:
    made = inference_service.reconcile(observed(isvc({"pmml": {"storageUri": "x"}})), NOW).status
    assert made is not None
    assert made["modelStatus"]["transitionStatus"] == "InvalidSpec"
    assert made["modelStatus"]["lastFailureInfo"]["reason"] == "NoSupportingRuntime"
    assert condition(made, "PredictorReady")["status"] == "False"
    assert condition(made, "Ready")["reason"] == "NoSupportingRuntime"


def test_a_model_that_fails_to_load_is_told_with_its_exit_code() -> None:
    failed = {
        "metadata": {"name": "r2", "generation": 1},
        "status": {
            "observedGeneration": 1,
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "ExitCode3", "message": "no such file: model.joblib"}
            ],
        },
    }
    made = status.of_model(failed, ready({"metadata": {"name": "r1"}}, actualReplicas=1))
    assert made["transitionStatus"] == "BlockedByFailedLoad"
    assert made["states"] == {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"}
    info = made["lastFailureInfo"]
    assert (info["reason"], info["exitCode"], info["modelRevisionName"]) == ("ModelLoadFailed", 3, "r2")
    assert info["message"] == "no such file: model.joblib"


def test_a_transformer_stands_in_front_and_knows_its_predictor() -> None:
    service = isvc(transformer={"containers": [{"image": "resize", "args": ["--size=28"]}]})
    made = inference_service.reconcile(observed(service), NOW)
    by_name = {action.obj["metadata"]["name"]: action.obj for action in made.actions if isinstance(action, Apply)}
    assert set(by_name) == {"flowers-predictor", "flowers-transformer"}
    (container,) = by_name["flowers-transformer"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == [
        "--size=28", "--model_name", "flowers", "--predictor_host", "flowers-predictor.ml"
    ]  # fmt: skip
    children = {
        kind: ready(by_name[f"flowers-{kind}"], latestReadyRevisionName=f"{kind}-1")
        for kind in ("predictor", "transformer")
    }
    again = inference_service.reconcile(observed(service, services=children), NOW)
    (route,) = again.actions
    assert isinstance(route, Apply)
    assert route.obj["spec"]["traffic"][0]["configurationName"] == "flowers-transformer"


def test_explanations_under_the_common_host_are_the_explainers_while_there_is_one() -> None:
    service = isvc(explainer={"containers": [{"image": "alibi"}]})
    made = inference_service.reconcile(observed(service), NOW)
    children = {
        kind: ready(found)
        for kind in ("predictor", "explainer")
        for action in made.actions
        if isinstance(action, Apply) and (found := action.obj)["metadata"]["name"] == f"flowers-{kind}"
    }
    (route,) = inference_service.reconcile(observed(service, services=children), NOW).actions
    assert isinstance(route, Apply)
    assert route.obj["metadata"]["annotations"][names.EXPLAINER_ANNOTATION] == "flowers-explainer"
    again = inference_service.reconcile(observed(isvc(), services=children, route=ready(route.obj)), NOW)
    assert [action.obj["metadata"]["name"] for action in again.actions if isinstance(action, Delete)] == [
        "flowers-explainer"
    ]
    (route,) = [action for action in again.actions if isinstance(action, Apply)]
    assert names.EXPLAINER_ANNOTATION not in route.obj["metadata"]["annotations"]


def test_an_explainer_may_ask_a_copy_and_leave_the_predictor_alone() -> None:
    service = isvc(
        {"sklearn": {"storageUri": "x"}, "minReplicas": 2, "logger": {"url": "http://sink/"}},
        explainer={"containers": [{"image": "alibi"}]},
        metadata={"annotations": {component.EXPLAINER_ASKS_ANNOTATION: "copy"}},
    )
    assert component.validate(service) == []
    made = inference_service.reconcile(observed(service), NOW)
    by_name = {action.obj["metadata"]["name"]: action.obj for action in made.actions if isinstance(action, Apply)}
    assert set(by_name) == {"flowers-predictor", "flowers-explainer", "flowers-predictor-copy"}
    (explainer,) = by_name["flowers-explainer"]["spec"]["template"]["spec"]["containers"]
    assert variables(explainer)["PREDICTOR_HOST"] == "flowers-predictor-copy.ml"
    served, copied = (by_name[f"flowers-predictor{end}"]["spec"]["template"] for end in ("", "-copy"))
    assert copied["metadata"]["annotations"][names.AUTOSCALING + "min-scale"] == "0"
    assert served["metadata"]["annotations"][names.AUTOSCALING + "min-scale"] == "2"
    (original,), (same,) = (found["spec"]["containers"] for found in (served, copied))
    assert (same["image"], same["args"]) == (original["image"], original["args"])
    assert "TIDEGATE_PAYLOAD_LOG_URL" in variables(original) and "TIDEGATE_PAYLOAD_LOG_URL" not in variables(same)
    assert made.status is not None
    assert condition(made.status, "PredictorCopyReady")["status"] == "Unknown"
    without = inference_service.reconcile(
        observed(isvc(), services={"predictor-copy": ready(by_name["flowers-predictor-copy"])}), NOW
    )
    assert Delete(ready(by_name["flowers-predictor-copy"])) in without.actions


def test_whom_an_explainer_asks_is_one_of_two() -> None:
    service = isvc(metadata={"annotations": {component.EXPLAINER_ASKS_ANNOTATION: "other"}})
    (problem,) = component.validate(service)
    assert "expected predictor or copy" in problem.message or "expected predictor or copy" in str(problem)


def test_an_explainer_has_a_host_of_its_own_and_knows_its_predictor() -> None:
    service = isvc(explainer={"containers": [{"image": "alibi"}], "minReplicas": 0, "timeout": 100})
    assert component.validate(service) == []
    made = inference_service.reconcile(observed(service), NOW)
    by_name = {action.obj["metadata"]["name"]: action.obj for action in made.actions if isinstance(action, Apply)}
    spec = by_name["flowers-explainer"]["spec"]["template"]["spec"]
    assert spec["timeoutSeconds"] == 100
    assert variables(spec["containers"][0])["PREDICTOR_HOST"] == "flowers-predictor.ml"
    kinds = ("predictor", "explainer")
    children = {kind: ready(by_name[f"flowers-{kind}"], latestReadyRevisionName=f"{kind}-1") for kind in kinds}
    children["explainer"]["status"]["url"] = "http://flowers-explainer.ml.example.com"
    again = inference_service.reconcile(observed(service, services=children), NOW)
    (route,) = again.actions
    assert isinstance(route, Apply)
    assert route.obj["spec"]["traffic"][0]["configurationName"] == "flowers-predictor"
    assert again.status is not None
    assert again.status["components"]["explainer"]["url"] == "http://flowers-explainer.ml.example.com"
    assert condition(again.status, "ExplainerReady")["status"] == "True"


def test_a_transformer_of_ours_is_told_by_variables_alone() -> None:
    container = {"image": "tidegate.dev/runtimes/python", "args": ["steps:Steps"]}
    made = inference_service.reconcile(observed(isvc(transformer={"containers": [container]})), NOW)
    by_name = {action.obj["metadata"]["name"]: action.obj for action in made.actions if isinstance(action, Apply)}
    (found,) = by_name["flowers-transformer"]["spec"]["template"]["spec"]["containers"]
    assert found["args"] == ["steps:Steps"]
    assert variables(found) == {
        "PREDICTOR_HOST": "flowers-predictor.ml",
        "MODEL_NAME": "flowers",
        "PREDICTOR_PROTOCOL": "v1",
    }


def variables(container: Object) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env") or []}


def test_logger_and_batcher_are_settings_of_our_servers() -> None:
    logger = {"url": "http://broker.events/default", "mode": "response"}
    predictor = {"sklearn": {"storageUri": "s3://b/m"}, "logger": logger, "batcher": {"maxLatency": 20}}
    service = isvc(predictor)
    assert component.validate(service) == []
    made = inference_service.reconcile(observed(service), NOW)
    (applied,) = made.actions
    assert isinstance(applied, Apply)
    spec = applied.obj["spec"]["template"]["spec"]
    assert not {"logger", "batcher"} & set(spec)
    found = variables(spec["containers"][0])
    about = found.pop("TIDEGATE_PAYLOAD_LOG_ATTRIBUTES")
    assert "inferenceservicename=flowers,namespace=ml,component=predictor" in about
    assert found == {
        "TIDEGATE_PAYLOAD_LOG_URL": "http://broker.events/default",
        "TIDEGATE_PAYLOAD_LOG_MODE": "response",
        "TIDEGATE_MAX_BATCH_SIZE": "32",
        "TIDEGATE_MAX_BATCH_DELAY_MS": "20",
        "PROTOCOL": "v1",
    }


def test_before_a_server_of_others_stands_an_agent() -> None:
    container = {
        "name": "kserve-container",
        "image": "mine:1",
        "ports": [{"containerPort": 5000}],
        "env": [{"name": "A", "value": "b"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 5000}, "periodSeconds": 3},
        "livenessProbe": {"httpGet": {"path": "/live"}},
    }
    fields = {"logger": {"url": "http://sink/"}, "batcher": {"maxBatchSize": 8}}
    for predictor in ({"containers": [container], **fields}, {"sklearn": {"storageUri": "x"}, **fields}):
        service = isvc(predictor)
        assert component.validate(service) == []
        made = inference_service.reconcile(Observed(service, cluster_runtimes=[runtime("theirs")]), NOW)
        (applied,) = made.actions
        assert isinstance(applied, Apply)
        server, agent = applied.obj["spec"]["template"]["spec"]["containers"]
        assert (agent["name"], agent["image"]) == ("agent", "tidegate.dev/runtimes/agent")
        assert agent["ports"] == [{"containerPort": 9081}] and "ports" not in server
        found = variables(agent)
        assert found["USER_PORT"] == variables(server)["PORT"] == ("5000" if "containers" in predictor else "8080")
        assert (found["TIDEGATE_PAYLOAD_LOG_URL"], found["TIDEGATE_MAX_BATCH_SIZE"]) == ("http://sink/", "8")
        assert not any(name.startswith("TIDEGATE_") for name in variables(server))
        if "containers" in predictor:
            assert agent["readinessProbe"] == {"httpGet": {"path": "/ready"}, "periodSeconds": 3}
            assert "readinessProbe" not in server
            assert server["livenessProbe"]["httpGet"]["port"] == 5000
            assert variables(server)["A"] == "b"


def test_triton_is_logged_by_an_agent_and_makes_its_own_batches() -> None:
    model = {"modelFormat": {"name": "triton"}, "storageUri": "x"}
    made = inference_service.reconcile(observed(isvc({"model": model, "logger": {"url": "http://s/"}})), NOW)
    (applied,) = made.actions
    assert isinstance(applied, Apply)
    names_of = [one["name"] for one in applied.obj["spec"]["template"]["spec"]["containers"]]
    assert names_of == ["kserve-container", "agent"]
    made = inference_service.reconcile(observed(isvc({"model": model, "batcher": {}})), NOW)
    assert made.actions == () and made.status is not None
    told = condition(made.status, "PredictorReady")
    assert told["reason"] == "NotServed" and "use the server's own batching" in told["message"]


def test_a_container_that_speaks_grpc_is_not_logged_and_that_is_told() -> None:
    container = {"name": "kserve-container", "image": "mine", "ports": [{"name": "h2c", "containerPort": 9000}]}
    service = isvc({"containers": [container], "logger": {"url": "http://s/"}})
    made = inference_service.reconcile(observed(service), NOW)
    assert made.status is not None
    assert "gRPC calls are not logged" in condition(made.status, "PredictorReady")["message"]


def test_grpc_calls_are_not_logged_and_that_is_told() -> None:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "x", "protocolVersion": "grpc-v2"}
    service = isvc({"model": model, "logger": {"url": "http://s"}})
    made = inference_service.reconcile(observed(service), NOW)
    assert made.status is not None
    assert "gRPC calls are not logged" in condition(made.status, "PredictorReady")["message"]


def test_a_component_that_is_asked_for_no_more_goes_and_a_stopped_service_keeps_its_memory() -> None:
    service = isvc()
    first = inference_service.reconcile(observed(isvc(transformer={"containers": [{"image": "x"}]})), NOW)
    children = {
        action.obj["metadata"]["labels"]["component"]: ready(action.obj)
        for action in first.actions
        if isinstance(action, Apply)
    }
    gone = inference_service.reconcile(observed(service, services=children), NOW).actions
    assert [one.obj["metadata"]["name"] for one in gone if isinstance(one, Delete)] == ["flowers-transformer"]

    stopped = isvc(metadata={"annotations": {"serving.kserve.io/stop": "true"}})
    stopped["status"] = {"components": {"predictor": {"latestRolledoutRevision": "r1"}}}
    made = inference_service.reconcile(observed(stopped, services=children), NOW)
    assert all(isinstance(one, Delete) for one in made.actions)
    assert len(made.actions) == 2
    assert made.status is not None
    assert condition(made.status, "Stopped")["status"] == "True"
    assert condition(made.status, "Ready")["reason"] == "Stopped"
    assert made.status["components"] == {"predictor": {"latestRolledoutRevision": "r1"}}


def test_a_foreign_child_is_left_alone() -> None:
    foreign = {"kind": "Service", "metadata": {"name": "flowers-predictor", "namespace": "ml", "uid": "x"}}
    made = inference_service.reconcile(observed(isvc(), services={"predictor": foreign}), NOW)
    assert made.actions == ()
    assert made.status is not None
    assert condition(made.status, "PredictorReady")["reason"] == "NotOwned"


# Where the model comes from


SECRET = {
    "metadata": {
        "name": "minio",
        "annotations": {
            "serving.kserve.io/s3-endpoint": "minio-service.kubeflow:9000",
            "serving.kserve.io/s3-verifyssl": "0",
            "serving.kubeflow.org/s3-usehttps": "0",
            "serving.kserve.io/s3-region": "us-east-1",
        },
    },
    "data": {"awsAccessKeyID": "bWluaW8=", "awsSecretAccessKey": "c2VjcmV0"},
}


def test_credentials_are_references_and_never_values() -> None:
    found = {one["name"]: one.get("value", one.get("valueFrom")) for one in credentials.variables([SECRET])}
    assert found == {
        "AWS_ACCESS_KEY_ID": {"secretKeyRef": {"name": "minio", "key": "awsAccessKeyID"}},
        "AWS_SECRET_ACCESS_KEY": {"secretKeyRef": {"name": "minio", "key": "awsSecretAccessKey"}},
        "S3_ENDPOINT": "minio-service.kubeflow:9000",
        "AWS_DEFAULT_REGION": "us-east-1",
        "S3_VERIFY_SSL": "0",
        "S3_USE_HTTPS": "0",
    }


def test_a_model_is_fetched_by_a_container_that_alone_has_the_credentials() -> None:
    pod = {"containers": [{"name": "kserve-container", "image": "x"}, {"name": "queue-proxy", "image": "q"}]}
    made = model_storage.add(pod, {template.STORAGE_URI_ANNOTATION: "s3://b/m"}, "fetcher", [{"name": "A"}])
    (initializer,) = made["initContainers"]
    assert (initializer["image"], initializer["args"]) == ("fetcher", ["s3://b/m", "/mnt/models"])
    assert initializer["env"] == [{"name": "A"}]
    main, queue = made["containers"]
    assert main["volumeMounts"] == [{"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True}]
    assert "env" not in main
    assert "volumeMounts" not in queue
    assert model_storage.add(pod, {}, "fetcher") == pod


@pytest.mark.parametrize(
    ("cache", "volume"),
    [
        (ModelCache("hostPath", "/var/models"), {"hostPath": {"path": "/var/models", "type": "DirectoryOrCreate"}}),
        (ModelCache("persistentVolumeClaim", "shared"), {"persistentVolumeClaim": {"claimName": "shared"}}),
    ],
)
def test_the_cache_of_a_node_is_the_fetching_containers_alone(cache: ModelCache, volume: Object) -> None:
    pod = {"containers": [{"name": "kserve-container", "image": "x"}]}
    annotations = {template.STORAGE_URI_ANNOTATION: "s3://b/m"}
    made = model_storage.add(pod, annotations, "fetcher", [{"name": "A"}], cache)
    (initializer,) = made["initContainers"]
    mounted = {one["name"]: one["mountPath"] for one in initializer["volumeMounts"]}
    assert mounted == {"kserve-provision-location": "/mnt/models", "tidegate-model-cache": "/var/cache/tidegate/models"}
    assert {"name": "TIDEGATE_MODEL_CACHE", "value": "/var/cache/tidegate/models"} in initializer["env"]
    assert {"name": "TIDEGATE_MODEL_CACHE_LIMIT_GIB", "value": "100"} in initializer["env"]
    assert {"name": "tidegate-model-cache", **volume} in made["volumes"]
    assert [one["name"] for one in made["containers"][0]["volumeMounts"]] == ["kserve-provision-location"]


def test_config_deployment_says_where_models_are_kept() -> None:
    data = {"data": {"model-cache": "hostPath:/var/models"}}
    config, refused = cluster_config.read({names.CONFIG_DEPLOYMENT: data})
    revision = {
        "metadata": {
            "name": "r",
            "namespace": "ml",
            "uid": "1",
            "annotations": {template.STORAGE_URI_ANNOTATION: "s3://b/m"},
        },
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "spec": {"containers": [{"name": "kserve-container", "image": "x"}]},
    }
    pod = reconcile_revision.deployment(revision, config)["spec"]["template"]["spec"]
    assert not refused
    assert {"path": "/var/models", "type": "DirectoryOrCreate"} in [one.get("hostPath") for one in pod["volumes"]]


def test_a_claim_is_mounted_where_the_model_is_looked_for() -> None:
    pod = {"containers": [{"name": "kserve-container", "image": "x"}]}
    made = model_storage.add(pod, {template.STORAGE_URI_ANNOTATION: "pvc://models/flowers/1"}, "fetcher")
    assert "initContainers" not in made
    (mount,) = made["containers"][0]["volumeMounts"]
    assert (mount["mountPath"], mount["subPath"], mount["readOnly"]) == ("/mnt/models", "flowers/1", True)
    assert made["volumes"][0]["persistentVolumeClaim"]["claimName"] == "models"


async def test_credentials_are_read_once_in_a_while_and_a_missing_account_is_no_error() -> None:
    api = FakeApi()
    await api.create(resources.SECRETS, {**SECRET, "metadata": {**SECRET["metadata"], "namespace": "ml"}})
    await api.create(
        resources.SERVICE_ACCOUNTS,
        {"metadata": {"name": "reader", "namespace": "ml"}, "secrets": [{"name": "minio"}, {"name": "gone"}]},
    )
    world = World(Objects(), ClusterConfig())
    looked = ModelCredentials(api, world)
    for account, count in (("reader", 6), ("nobody", 0)):
        revision = {
            "metadata": {"annotations": {template.STORAGE_URI_ANNOTATION: "s3://b/m"}},
            "spec": {"serviceAccountName": account},
        }
        await looked.look_up(Key("Revision", "ml", "r"), revision, 0.0)
        assert len(world.credentials["ml", account]) == count
    world.credentials.clear()
    await looked.look_up(Key("Revision", "ml", "r"), revision, 29.0)
    assert not world.credentials, "not read again so soon"
    await looked.look_up(Key("Revision", "ml", "r"), revision, 31.0)
    assert ("ml", "nobody") in world.credentials
