"""Tables as kubectl prints them: CRD columns, built-in columns, and what comes with each row."""

import pytest

from cluster.api.tables import table

NOW = 1_700_000_000.0
CREATED = "2023-11-14T22:08:20Z"  # NOW - 5 minutes
META = {"name": "a", "namespace": "n", "creationTimestamp": CREATED}


def lines(plural, group, obj, columns=None, wide=False):
    shown = table(plural, group, [{"metadata": META} | obj], NOW, columns)
    kept = [index for index, column in enumerate(shown["columnDefinitions"]) if wide or not column["priority"]]
    titles = [shown["columnDefinitions"][index]["name"].upper() for index in kept]
    return dict(zip(titles, (shown["rows"][0]["cells"][index] for index in kept), strict=True))


def test_frame():
    shown = table("configmaps", "", [{"metadata": META, "data": {"a": "b"}}], NOW, None)
    assert (shown["kind"], shown["apiVersion"], shown["metadata"]) == ("Table", "meta.k8s.io/v1", {})
    assert shown["columnDefinitions"][0] == {
        "name": "Name",
        "type": "string",
        "format": "name",
        "description": "",
        "priority": 0,
    }
    assert shown["columnDefinitions"][1]["type"] == "integer"
    assert shown["rows"][0]["cells"] == ["a", 1, "5m"]
    assert shown["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert shown["rows"][0]["object"]["metadata"] == META


def test_what_comes_with_a_row():
    obj = {"metadata": META, "spec": {}}
    assert table("x", "g", [obj], NOW, None, "Object")["rows"][0]["object"] == obj
    assert table("x", "g", [obj], NOW, None, "None")["rows"][0]["object"] is None


def test_no_objects():
    assert table("pods", "", [], NOW, None)["rows"] == []


COLUMNS = [
    {"name": "URL", "type": "string", "jsonPath": ".status.url"},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Desired", "type": "integer", "jsonPath": ".status.desired"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "On", "type": "boolean", "jsonPath": ".status.on", "priority": 1},
    {"name": "Ratio", "type": "number", "jsonPath": ".status.ratio"},
    {"name": "Object", "type": "string", "jsonPath": ".status.map"},
]


def test_columns_of_a_definition():
    status = {"url": "http://x", "conditions": [{"type": "A"}, {"type": "Ready", "status": "True"}]}
    status |= {"desired": 2, "on": True, "ratio": 0.5, "map": {"a": 1}}
    assert lines("services", "serving.knative.dev", {"status": status}, COLUMNS, wide=True) == {
        "NAME": "a",
        "URL": "http://x",
        "READY": "True",
        "DESIRED": 2,
        "AGE": "5m",
        "ON": True,
        "RATIO": 0.5,
        "OBJECT": '{"a":1}',
    }
    assert "ON" not in lines("services", "serving.knative.dev", {"status": status}, COLUMNS)


def test_columns_without_values():
    empty = lines("services", "serving.knative.dev", {"metadata": {"name": "a"}}, COLUMNS)
    assert set(empty.values()) == {"a", None}
    status = {"desired": "two", "on": 1, "ratio": True}
    wrong = lines("x", "g", {"status": status, "metadata": {"name": "a", "creationTimestamp": "?"}}, COLUMNS)
    assert (wrong["DESIRED"], wrong["RATIO"], wrong["AGE"]) == (None, None, "<invalid>")


TEMPLATE = {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}}
SELECTOR = {
    "matchLabels": {"b": "2", "a": "1"},
    "matchExpressions": [
        {"key": "x", "operator": "In", "values": ["z", "y"]},
        {"key": "w", "operator": "NotIn", "values": ["v"]},
        {"key": "u", "operator": "Exists"},
        {"key": "t", "operator": "DoesNotExist"},
    ],
}
SELECTED = "a=1,b=2,x in (y,z),w notin (v),u,!t"

KINDS = [
    (
        "deployments",
        "apps",
        {
            "spec": {"replicas": 3, "template": TEMPLATE, "selector": SELECTOR},
            "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
        },
        {
            "READY": "1/3",
            "UP-TO-DATE": 2,
            "AVAILABLE": 1,
            "AGE": "5m",
            "CONTAINERS": "c,d",
            "IMAGES": "i,j",
            "SELECTOR": SELECTED,
        },
    ),
    (
        "replicasets",
        "apps",
        {"spec": {"replicas": 3, "template": TEMPLATE}, "status": {"replicas": 2, "readyReplicas": 1}},
        {
            "DESIRED": 3,
            "CURRENT": 2,
            "READY": 1,
            "AGE": "5m",
            "CONTAINERS": "c,d",
            "IMAGES": "i,j",
            "SELECTOR": "<none>",
        },
    ),
    (
        "services",
        "",
        {
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "127.1.128.1",
                "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "nodePort": 30081, "protocol": "UDP"}],
                "selector": {"a": "b"},
            }
        },
        {
            "TYPE": "ClusterIP",
            "CLUSTER-IP": "127.1.128.1",
            "EXTERNAL-IP": "<none>",
            "PORT(S)": "80/TCP,81:30081/UDP",
            "AGE": "5m",
            "SELECTOR": "a=b",
        },
    ),
    (
        "nodes",
        "",
        {
            "metadata": META | {"labels": {"node-role.kubernetes.io/worker": ""}},
            "spec": {"unschedulable": True},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1", "osImage": "os", "kernelVersion": "k"},
            },
        },
        {
            "STATUS": "Ready,SchedulingDisabled",
            "ROLES": "worker",
            "AGE": "5m",
            "VERSION": "v1",
            "INTERNAL-IP": "127.0.0.1",
            "EXTERNAL-IP": "<none>",
            "OS-IMAGE": "os",
            "KERNEL-VERSION": "k",
            "CONTAINER-RUNTIME": "<unknown>",
        },
    ),
    ("namespaces", "", {"status": {"phase": "Active"}}, {"STATUS": "Active", "AGE": "5m"}),
    ("secrets", "", {"type": "Opaque", "data": {"a": ""}}, {"TYPE": "Opaque", "DATA": 1, "AGE": "5m"}),
    ("serviceaccounts", "", {}, {"SECRETS": 0, "AGE": "5m"}),
    (
        "endpoints",
        "",
        {"subsets": [{"addresses": [{"ip": f"127.0.0.{n}"} for n in range(5)], "ports": [{"port": 80}]}]},
        {"ENDPOINTS": "127.0.0.0:80,127.0.0.1:80,127.0.0.2:80 + 2 more...", "AGE": "5m"},
    ),
    (
        "endpointslices",
        "discovery.k8s.io",
        {"addressType": "IPv4", "ports": [{"port": 80}, {}], "endpoints": [{"addresses": ["127.0.0.1"]}]},
        {"ADDRESSTYPE": "IPv4", "PORTS": "80,*", "ENDPOINTS": "127.0.0.1", "AGE": "5m"},
    ),
    (
        "endpointslices",
        "discovery.k8s.io",
        {"addressType": "IPv4"},
        {"ADDRESSTYPE": "IPv4", "PORTS": "<unset>", "ENDPOINTS": "<unset>", "AGE": "5m"},
    ),
    ("leases", "coordination.k8s.io", {"spec": {"holderIdentity": "h"}}, {"HOLDER": "h", "AGE": "5m"}),
    ("clusterroles", "rbac.authorization.k8s.io", {}, {"CREATED AT": CREATED}),
    (
        "rolebindings",
        "rbac.authorization.k8s.io",
        {
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [
                {"kind": "User", "name": "u"},
                {"kind": "Group", "name": "g"},
                {"kind": "ServiceAccount", "namespace": "n", "name": "s"},
            ],
        },
        {"ROLE": "Role/r", "AGE": "5m", "USERS": "u", "GROUPS": "g", "SERVICEACCOUNTS": "n/s"},
    ),
    (
        "validatingwebhookconfigurations",
        "admissionregistration.k8s.io",
        {"webhooks": [{}, {}]},
        {"WEBHOOKS": 2, "AGE": "5m"},
    ),
    ("customresourcedefinitions", "apiextensions.k8s.io", {}, {"CREATED AT": CREATED}),
    (
        "horizontalpodautoscalers",
        "autoscaling",
        {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3}},
        {"REFERENCE": "Deployment/d", "MINPODS": "<unset>", "MAXPODS": 3, "REPLICAS": 0, "AGE": "5m"},
    ),
    (
        "poddisruptionbudgets",
        "policy",
        {"spec": {"minAvailable": 1}},
        {"MIN AVAILABLE": "1", "MAX UNAVAILABLE": "N/A", "ALLOWED DISRUPTIONS": 0, "AGE": "5m"},
    ),
    ("networkpolicies", "networking.k8s.io", {"spec": {}}, {"POD-SELECTOR": "<none>", "AGE": "5m"}),
    ("priorityclasses", "scheduling.k8s.io", {"value": 5}, {"VALUE": 5, "GLOBAL-DEFAULT": "false", "AGE": "5m"}),
    (
        "persistentvolumeclaims",
        "",
        {
            "spec": {"storageClassName": "s"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["A", "B"]},
        },
        {
            "STATUS": "Bound",
            "VOLUME": "",
            "CAPACITY": "1Gi",
            "ACCESS MODES": "A,B",
            "STORAGECLASS": "s",
            "AGE": "5m",
            "VOLUMEMODE": "<unset>",
        },
    ),
    ("things", "unknown.example.com", {}, {"AGE": "5m"}),
]


@pytest.mark.parametrize(
    ("plural", "group", "obj", "expected"), KINDS, ids=[f"{row[0]}-{i}" for i, row in enumerate(KINDS)]
)
def test_built_in_columns(plural, group, obj, expected):
    assert lines(plural, group, obj, wide=True) == {"NAME": "a"} | expected


@pytest.mark.parametrize(
    ("plural", "group"), sorted({(row[0], row[1]) for row in KINDS} | {("pods", ""), ("events", "")})
)
def test_an_empty_object_has_cells_too(plural, group):
    assert lines(plural, group, {"metadata": {"name": "a"}}, wide=True)["NAME"] == "a"


SERVICES = [
    ({"type": "ExternalName", "externalName": "x.example"}, {}, "x.example"),
    ({"type": "LoadBalancer"}, {}, "<pending>"),
    ({"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}, "127.0.0.1"),
    ({"type": "ClusterIP", "externalIPs": ["192.0.2.1"]}, {}, "192.0.2.1"),
]


@pytest.mark.parametrize(("spec", "status", "expected"), SERVICES)
def test_external_address(spec, status, expected):
    assert lines("services", "", {"spec": spec, "status": status})["EXTERNAL-IP"] == expected


@pytest.mark.parametrize(
    ("conditions", "expected"), [([], "Unknown"), ([{"type": "Ready", "status": "False"}], "NotReady")]
)
def test_node_state(conditions, expected):
    assert lines("nodes", "", {"status": {"conditions": conditions}})["STATUS"] == expected


def test_event():
    event = {
        "type": "Warning",
        "reason": "BackOff",
        "message": " restarting \n",
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec"},
        "source": {"component": "kubelet", "host": "local"},
        "firstTimestamp": CREATED,
        "lastTimestamp": "2023-11-14T22:13:00Z",
        "count": 3,
    }
    assert lines("events", "", event, wide=True) == {
        "LAST SEEN": "20s",
        "TYPE": "Warning",
        "REASON": "BackOff",
        "OBJECT": "pod/p",
        "SUBOBJECT": "spec",
        "SOURCE": "kubelet, local",
        "MESSAGE": "restarting",
        "FIRST SEEN": "5m",
        "COUNT": 3,
        "NAME": "a",
    }
    newer = {"eventTime": "2023-11-14T22:13:10.000000Z", "reportingComponent": "tidegate"}
    assert lines("events", "", newer)["LAST SEEN"] == "10s"
    assert lines("events", "", {})["LAST SEEN"] == "<unknown>"
