"""All ConfigMaps as one value."""

from controller import cluster_config
from controller.cluster_config import ClusterConfig


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
