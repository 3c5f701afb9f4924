"""The ConfigMaps of the installation: defaults, values, refusals, hosts."""

import pathlib

import pytest
import yaml

from tidegate.contracts import names, problems
from tidegate.contracts.config import defaults, deployment, features, network, observability, retention

MANIFESTS = pathlib.Path(__file__).parents[2] / "manifests" / "base" / "config"


def config_map(**data):
    return {"data": {key.replace("_", "-"): value for key, value in data.items()}}


def example(name):
    """Return the ConfigMap whose data is what the manifest's _example documents as defaults."""
    document = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())
    return {"data": yaml.safe_load(document["data"]["_example"])}


PARSERS = {
    "config-defaults": defaults.parse,
    "config-deployment": deployment.parse,
    "config-gc": retention.parse,
    "config-observability": observability.parse,
    "config-network": lambda found: network.parse(found, None),
}


@pytest.mark.parametrize("name", PARSERS)
def test_documented_defaults_are_the_defaults(name):
    parse = PARSERS[name]
    assert parse(example(name)) == parse(None)
    assert parse(None)[1] == []


def test_documented_features_are_the_defaults():
    flags = example("config-features")["data"]
    assert all(features.Features().state(key) == value for key, value in flags.items())


def test_features_ignore_case_and_unknown_values():
    found = features.parse(
        {"data": {"multi-container": "disabled", "kubernetes.podspec-affinity": "ALLOWED", "x": "y"}}
    )
    assert not found.is_permitted("multi-container")
    assert found.is_permitted("kubernetes.podspec-affinity")
    assert not found.is_enabled("kubernetes.podspec-affinity")
    assert found.state("x") == "Disabled"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"revision_timeout_seconds": "x"}, "invalid value: x: revision-timeout-seconds"),
        ({"revision_timeout_seconds": "900"}, "expected 0 <= 900 <= 600: revision-timeout-seconds"),
        (
            {"container_concurrency": "5", "container_concurrency_max_limit": "3"},
            "expected 0 <= 5 <= 3: container-concurrency",
        ),
        ({"allow_container_concurrency_zero": "false"}, "expected 1 <= 0 <= 1000: container-concurrency"),
        ({"enable_service_links": "maybe"}, "invalid value: maybe: enable-service-links"),
        (
            {"revision_idle_timeout_seconds": "400"},
            "expected 0 <= 400 <= 300: revision-idle-timeout-seconds",
        ),
    ],
)
def test_bad_defaults_are_refused_by_key(data, problem):
    assert problems.render(defaults.parse(config_map(**data))[1]) == problem


def test_service_links_may_be_left_to_kubernetes():
    assert defaults.parse(config_map(enable_service_links="default"))[0].enable_service_links is None


def test_resources_are_taken_where_set():
    found, _ = defaults.parse(config_map(revision_cpu_request="400m", revision_memory_limit="1G"))
    assert (found.requests, found.limits) == ({"cpu": "400m"}, {"memory": "1G"})


@pytest.mark.parametrize(
    "text",
    ["hostPath:relative", "hostPath:/a/../b", "persistentVolumeClaim:", "persistentVolumeClaim:A/b", "emptyDir:"],
)
def test_a_model_cache_is_a_folder_or_a_claim(text):
    (found,) = deployment.parse(config_map(model_cache=text))[1]
    assert problems.render([found]).startswith(f"invalid value: {text}: model-cache\nwrite hostPath:")
    found, refused = deployment.parse(config_map(model_cache="persistentVolumeClaim:a.b-c", model_cache_limit_gib="7"))
    assert (found.model_cache, refused) == (deployment.ModelCache("persistentVolumeClaim", "a.b-c", 7), [])


def test_bad_deployment_values_are_refused():
    assert deployment.parse(config_map(progress_deadline="0s"))[1]
    assert deployment.parse(config_map(progress_deadline="1.5s"))[1]
    assert deployment.parse(config_map(default_affinity_type="x"))[1]
    assert deployment.parse(config_map(progress_deadline="2m"))[0].progress_deadline_s == 120


def test_retention_may_be_disabled():
    found, bad = retention.parse(
        config_map(
            retain_since_create_time="disabled", max_non_active_revisions="disabled", min_non_active_revisions="0"
        )
    )
    assert (found.since_create_s, found.max_non_active, found.min_non_active, bad) == (None, None, 0, [])
    assert retention.parse(config_map(max_non_active_revisions="3"))[1]


ROUTE = {"metadata": {"name": "hello", "namespace": "default", "labels": {"app": "public"}}}


def domains(**data):
    return network.parse(None, {"data": {key.replace("_", "."): value for key, value in data.items()}})[0]


def test_without_a_domain_a_route_is_cluster_local():
    found, _ = network.parse(None, None)
    assert network.is_cluster_local(found, ROUTE)
    assert network.url(found, ROUTE) == "http://hello.default.svc.cluster.local"


@pytest.mark.parametrize("text", ["selector:\n  app: public\n", '{"selector": {"app": "public"}}'])
def test_the_most_specific_domain_wins(text):
    found = domains(example_com="", example_org=text)
    assert network.host(found, ROUTE) == "hello.default.example.org"
    assert network.host(found, {"metadata": {"name": "a", "namespace": "b"}}) == "a.b.example.com"


def test_equally_specific_domains_go_by_name():
    assert network.domain(domains(b_com="", a_com=""), ROUTE) == "a.com"


def test_tags_stand_before_the_name():
    assert network.url(domains(localhost=""), ROUTE, "blue") == "http://blue-hello.default.localhost"


def test_the_visibility_label_makes_a_route_local():
    local = {"metadata": ROUTE["metadata"] | {"labels": {"networking.knative.dev/visibility": "cluster-local"}}}
    assert network.host(domains(example_com=""), local, "blue") == "blue-hello.default.svc.cluster.local"


def test_too_long_a_label_is_an_error():
    with pytest.raises(ValueError, match="63 characters"):
        network.host(domains(example_com=""), ROUTE, "x" * 60)


def test_templates_may_use_labels_and_are_checked():
    template = '{{.Name}}-{{index .Labels "app"}}.{{.Domain}}'
    found, bad = network.parse({"data": {"domain-template": template}}, {"data": {"a.com": ""}})
    assert bad == []
    assert network.host(found, ROUTE) == "hello-public.a.com"
    for wrong in ("{{.Nope}}.{{.Domain}}", "{{.Name}}/{{.Domain}}"):
        found, bad = network.parse({"data": {"domain-template": wrong}}, None)
        assert bad
        assert found.domain_template == network.DOMAIN_TEMPLATE


def test_a_domain_with_a_bad_selector_is_refused():
    assert network.parse(None, {"data": {"a.com": "select everything"}})[1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"logging.enable-request-log": "yes"}, "invalid value: yes: logging.enable-request-log"),
        (
            {"logging.enable-request-log": "true", "logging.request-log-template": " "},
            "missing field(s): logging.request-log-template",
        ),
        ({"logging.request-log-template": "{{.Request.Body}}"}, "is not a field"),
    ],
)
def test_a_request_log_that_cannot_be_written_is_refused(data, said):
    _, found = observability.parse({"data": data})
    assert said in problems.render(found)


def test_a_request_log_of_ones_own():
    data = {"logging.enable-request-log": "true", "logging.request-log-template": "{{.Response.Code}}"}
    values, found = observability.parse({"data": data})
    assert (values.is_request_log_enabled, values.request_log_template, found) == (True, "{{.Response.Code}}", [])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"tracing-protocol": "grpc", "tracing-endpoint": "http://c:4317"}, "knows none and http/protobuf"),
        ({"tracing-protocol": "http/protobuf", "tracing-endpoint": "c:4318"}, "write http://host:4318"),
        ({"tracing-sampling-rate": "1.5"}, "from 0 to 1"),
        ({"tracing-sampling-rate": "often"}, "from 0 to 1"),
        ({"wake-timing": "off"}, "write enabled or disabled"),
    ],
)
def test_what_cannot_be_is_refused_for_observability(data, said):
    _, found = observability.parse({"data": data})
    assert said in problems.render(found)


def test_tracing():
    data = {"tracing-protocol": "http/protobuf", "tracing-endpoint": "http://c:4318", "tracing-sampling-rate": "0.5"}
    values, found = observability.parse({"data": data})
    assert (values.tracing_endpoint, values.tracing_sampling_rate, found) == ("http://c:4318", 0.5, [])
    assert observability.parse({"data": {"tracing-endpoint": "http://c:4318"}})[0].tracing_endpoint == ""


@pytest.mark.parametrize("text", ["kind: ClusterIssuer\nname: letsencrypt\n", '{"name": "letsencrypt"}'])
def test_who_names_an_issuer_means_cert_manager(text):
    found, bad = network.parse(None, None, {"data": {"issuerRef": text}})
    assert bad == []
    assert network.issuer(found, names.EXTERNAL_DOMAIN) == network.Issuer("letsencrypt")
    assert network.issuer(found, names.SYSTEM_INTERNAL) is None
    assert network.certificate_class(found, ROUTE) == names.CERT_MANAGER_CLASS


def test_the_class_of_certificates_is_the_routes_then_config_networks_then_our_own():
    assert network.certificate_class(network.parse(None, None)[0], ROUTE) == names.OWN_CERTIFICATE_CLASS
    found, _ = network.parse({"data": {"certificate-class": "a.example"}}, None, {"data": {"issuerRef": "name: x"}})
    assert network.certificate_class(found, ROUTE) == "a.example"
    for key in ("certificate.class", "certificate-class"):
        said = {"metadata": ROUTE["metadata"] | {"annotations": {f"networking.knative.dev/{key}": "b.example"}}}
        assert network.certificate_class(found, said) == "b.example"
