"""The binary request encoding: hand-made messages, and bodies as kubectl sends them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.protobuf import ProtobufError, decode


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while True:
        out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if not number:
            return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def body(kind, *fields, api_version="v1"):
    what = field(1, api_version) + field(2, kind)
    return b"k8s\x00" + field(1, what) + field(2, b"".join(fields)) + field(3, "") + field(4, "")


NAME = field(1, field(1, "a") + field(3, "") + field(7, 0) + field(8, b""))


def test_config_map():
    entry = field(2, field(1, "key") + field(2, "value"))
    binary = field(3, field(1, "b") + field(2, b"\x00\xff"))
    assert decode(body("ConfigMap", NAME, entry, binary, field(4, 0))) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"key": "value"},
        "binaryData": {"b": "AP8="},
        "immutable": False,
    }


def test_deployment():
    port = field(3, 8080) + field(2, 0)
    resources = field(1, field(1, "cpu") + field(2, field(1, "100m")))
    http = field(2, field(2, field(1, 1) + field(2, 0) + field(3, "http")))
    probe = field(1, http) + field(2, -1)
    container = field(1, "c") + field(2, "x:1") + field(6, port) + field(8, resources) + field(11, probe)
    volume = field(1, "v") + field(2, field(19, field(1, field(1, "cm"))))
    spec = field(2, container) + field(1, volume) + field(11, 0)
    strategy = field(2, field(1, field(1, 0) + field(2, 1)))
    deployment = field(1, 0) + field(3, field(2, spec)) + field(4, strategy) + field(5, 0)
    assert decode(body("Deployment", NAME, field(2, deployment), api_version="apps/v1"))["spec"] == {
        "replicas": 0,
        "strategy": {"rollingUpdate": {"maxUnavailable": 1}},
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "image": "x:1",
                        "ports": [{"containerPort": 8080}],
                        "resources": {"limits": {"cpu": "100m"}},
                        "readinessProbe": {"httpGet": {"port": "http"}, "initialDelaySeconds": -1},
                    }
                ],
                "volumes": [{"name": "v", "configMap": {"name": "cm"}}],
            }
        },
    }


def test_times_raw_json_and_lists_in_messages():
    times = field(1, field(4, field(1, 60) + field(2, 0)) + field(7, field(1, b'{"f:x":{}}')) + field(1, "m"))
    lease = field(2, field(4, field(1, 60) + field(2, 1500)) + field(3, b""))
    decoded = decode(body("Lease", field(1, field(17, times[2:])), lease, api_version="coordination.k8s.io/v1"))
    assert decoded["metadata"]["managedFields"] == [
        {"manager": "m", "time": "1970-01-01T00:01:00Z", "fieldsV1": {"f:x": {}}}
    ]
    assert decoded["spec"] == {"renewTime": "1970-01-01T00:01:00.000001Z"}
    extra = field(5, field(1, "scopes") + field(2, field(1, "a") + field(1, "b")))
    review = decode(body("SubjectAccessReview", field(2, extra), api_version="authorization.k8s.io/v1"))
    assert review["spec"] == {"extra": {"scopes": ["a", "b"]}}


def test_unknown_fields_and_fixed_width_values_are_passed_over():
    odd = varint(90 << 3 | 1) + b"12345678" + varint(91 << 3 | 5) + b"1234" + field(92, "x")
    assert decode(body("ConfigMap", NAME, odd))["metadata"] == {"name": "a"}


BAD = [
    b"",
    b'{"kind":"Pod"}',
    b"k8s\x00",
    body("Unheard", NAME),
    body("ConfigMap", NAME)[:-6],
    body("ConfigMap", varint(1 << 3 | 3)),
    body("ConfigMap", field(1, 5)),
    body("ConfigMap", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    body("ConfigMap", field(1, field(1, b"\xff\xfe"))),
    body("Pod", field(1, field(17, field(7, field(1, b"{"))))),
    # bytes where a number belongs
    body("Lease", NAME, field(2, field(2, b"xy"))),
    body("Lease", NAME, field(2, field(2, b"12"))),
    body("Service", NAME, field(2, field(1, field(4, field(2, b"xy"))))),
]


@pytest.mark.parametrize("data", BAD)
def test_damaged(data):
    with pytest.raises(ProtobufError):
        decode(data)


@given(st.sampled_from(["ConfigMap", "Pod", "Lease", "Service"]), st.binary(max_size=60))
def test_anything_is_read_or_refused(kind, data):
    try:
        decode(body(kind, data))
    except ProtobufError:
        pass
