"""All ConfigMaps as one value."""

import pytest

from controller import cluster_config
from controller.admission import review
from controller.cluster_config import ClusterConfig
from tidegate.contracts import problems


def test_nothing_at_all_is_the_documented_defaults():
    config, refused = cluster_config.read({})
    assert config == ClusterConfig()
    assert refused == {}


def test_each_map_reaches_its_part():
    config, refused = cluster_config.read(
        {
            "config-defaults": {
                "data": {"revision-timeout-seconds": "5", "revision-response-start-timeout-seconds": "5"}
            },
            "config-deployment": {"data": {"queue-sidecar-image": "q"}},
            "config-domain": {"data": {"a.com": ""}},
            "config-features": {"data": {"multi-container": "Disabled"}},
            "config-gc": {"data": {"min-non-active-revisions": "1"}},
            "config-network": {"data": {"default-external-scheme": "https"}},
            "config-autoscaler": {"data": {"initial-scale": "2", "_example": "initial-scale: 9"}},
        }
    )
    assert refused == {}
    assert config.defaults.timeout_s == 5
    assert config.deployment.sidecar_image == "q"
    assert config.network.domains[0].name == "a.com"
    assert config.network.scheme == "https"
    assert not config.features.is_permitted("multi-container")
    assert config.retention.min_non_active == 1
    assert config.autoscaler.initial_scale == 2


def test_a_bad_map_is_refused_alone():
    before, _ = cluster_config.read({"config-gc": {"data": {"min-non-active-revisions": "1"}}})
    maps = {
        "config-gc": {"data": {"min-non-active-revisions": "x"}},
        "config-deployment": {"data": {"queue-sidecar-image": "q"}},
        "config-autoscaler": {"data": {"stable-window": "1s"}},
    }
    after, refused = cluster_config.read(maps, before)
    assert set(refused) == {"config-gc", "config-autoscaler"}
    assert after.retention.min_non_active == 1
    assert after.deployment.sidecar_image == "q"
    assert after.autoscaler == before.autoscaler


def test_what_comes_from_elsewhere_is_kept():
    before = ClusterConfig(autoscaler_address="a:1", report_key=b"k")
    after, _ = cluster_config.read({}, before)
    assert (after.autoscaler_address, after.report_key) == ("a:1", b"k")
    assert "k'" not in repr(after), "the key is never printed"


BAD_KEYS = [
    ("config-defaults", "revision-timeout-seconds", "x", "timeout_s"),
    ("config-defaults", "revision-timeout-seconds", "601", "timeout_s"),
    ("config-defaults", "max-revision-timeout-seconds", "-1", "max_timeout_s"),
    ("config-defaults", "revision-response-start-timeout-seconds", "301", "response_start_timeout_s"),
    ("config-defaults", "revision-idle-timeout-seconds", "301", "idle_timeout_s"),
    ("config-defaults", "revision-cpu-request", "much", "requests"),
    ("config-defaults", "revision-memory-limit", "-1Mi", "limits"),
    ("config-defaults", "container-name-template", "Not a name", "container_name"),
    ("config-defaults", "init-container-name-template", "{{.Nope}}", "init_container_name"),
    ("config-defaults", "container-concurrency", "1001", "container_concurrency"),
    ("config-defaults", "container-concurrency-max-limit", "0", "container_concurrency_limit"),
    ("config-defaults", "allow-container-concurrency-zero", "maybe", "is_concurrency_zero_allowed"),
    ("config-defaults", "enable-service-links", "maybe", "enable_service_links"),
    ("config-deployment", "progress-deadline", "0s", "progress_deadline_s"),
    ("config-deployment", "progress-deadline", "1.5s", "progress_deadline_s"),
    ("config-deployment", "digest-resolution-timeout", "0s", "digest_timeout_s"),
    ("config-deployment", "queue-sidecar-cpu-request", "much", "sidecar_requests"),
    ("config-deployment", "queue-sidecar-memory-limit", "much", "sidecar_limits"),
    ("config-deployment", "default-affinity-type", "far", "affinity"),
    ("config-deployment", "pod-is-always-schedulable", "maybe", "is_always_schedulable"),
    ("config-network", "domain-template", "{{.Nope}}", "domain_template"),
    ("config-network", "tag-template", "!", "tag_template"),
    ("config-network", "default-external-scheme", "ftp", "scheme"),
    ("config-network", "rollout-duration", "1m", "rollout_duration_s"),
    ("config-network", "http-protocol", "maybe", "http_protocol"),
    ("config-network", "external-domain-tls", "maybe", "has_external_tls"),
    ("config-network", "auto-tls", "maybe", "has_external_tls"),
    ("config-network", "cluster-local-domain-tls", "sometimes", "domain_template"),
    ("config-network", "system-internal-tls", "sometimes", "domain_template"),
    ("config-network", "autocreate-cluster-domain-claims", "maybe", "creates_domain_claims"),
    ("config-network", "mesh-compatibility-mode", "maybe", "domain_template"),
    ("config-network", "enable-mesh-pod-addressability", "maybe", "domain_template"),
    ("config-gc", "retain-since-create-time", "long", "since_create_s"),
    ("config-gc", "retain-since-last-active-time", "-1s", "since_last_active_s"),
    ("config-gc", "min-non-active-revisions", "1001", "min_non_active"),
    ("config-gc", "max-non-active-revisions", "many", "max_non_active"),
    ("config-observability", "logging.enable-request-log", "maybe", "is_request_log_enabled"),
    ("config-observability", "logging.request-log-template", "{{.Nope}}", "request_log_template"),
    ("config-observability", "logging.enable-probe-request-log", "maybe", "is_probe_log_enabled"),
    ("config-observability", "request-metrics-protocol", "pigeon", "tracing_endpoint"),
    ("config-observability", "metrics-protocol", "pigeon", "tracing_endpoint"),
    ("config-observability", "tracing-protocol", "pigeon", "tracing_endpoint"),
    ("config-observability", "tracing-sampling-rate", "2", "tracing_sampling_rate"),
]
PART = {
    "config-defaults": "defaults",
    "config-deployment": "deployment",
    "config-network": "network",
    "config-gc": "retention",
    "config-observability": "observability",
}


@pytest.mark.parametrize(("name", "key", "text", "field"), BAD_KEYS)
def test_a_bad_value_is_refused_by_its_key_and_the_old_one_keeps_working(name, key, text, field):
    bad = {name: {"metadata": {"name": name}, "data": {key: text}}}
    old, _ = cluster_config.read({})
    config, refused = cluster_config.read(bad, old)
    assert [problem.paths for problem in refused[name]] == [(key,)]
    assert getattr(config, PART[name]) is getattr(old, PART[name])
    assert hasattr(getattr(config, PART[name]), field)
    obj = {"kind": "ConfigMap", **bad[name]}
    assert f"data.{key}" in problems.render(review.problems_of(obj, None, config))


@pytest.mark.parametrize("text", ["letsencrypt", "kind: ClusterIssuer", "kind: Vicar\nname: x", "name: x\nage: 3"])
def test_an_issuer_that_is_none_is_refused_by_its_key(text):
    bad = {"config-certmanager": {"metadata": {"name": "config-certmanager"}, "data": {"issuerRef": text}}}
    config, refused = cluster_config.read(bad)
    assert [problem.paths for problem in refused["config-network"]] == [("issuerRef",)]
    assert config.network.issuers == ()
