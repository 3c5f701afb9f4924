"""The app of a simulation: a Knative Service's YAML, checked as at the API; complaints name file and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.figures import ROOT
from loadtest.simulate import app as apps
from loadtest.simulate import pricing, report
from loadtest.simulate.app import App, AppError
from loadtest.simulate.pricing import PriceError, Prices

HEAD = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\nspec: {template: {"
GOOD = HEAD + "metadata: {annotations: {autoscaling.knative.dev/target: '7'}}, spec: {containers: [{image: x}]}}}\n"


def written(folder: Path, text: str) -> Path:
    (folder / "app.yaml").write_text(text)
    return folder / "app.yaml"


def test_what_a_service_says_is_taken_over(tmp_path: Path) -> None:
    spec = "spec: {containerConcurrency: 4, timeoutSeconds: 30, containers: [{image: x, resources: {limits: {cpu: '2', "
    text = HEAD + spec + "memory: 4Gi, nvidia.com/gpu: 1}, requests: {cpu: 500m}}}]}}}"
    found = apps.load(written(tmp_path, "kind: ConfigMap\n---\n" + text))
    assert (found.name, found.container_concurrency, found.timeout_s) == ("web", 4, 30)
    assert (found.cpu, found.memory_gib, found.gpus) == (0.5, 4, 1)
    assert (found.slots, found.queue_limit, found.spec.total) == (4, 40, 4)


def test_annotations_decide_the_target(tmp_path: Path) -> None:
    found = apps.load(written(tmp_path, GOOD))
    assert (found.spec.target, found.slots, found.timeout_s) == (pytest.approx(4.9), 7, 300)


@pytest.mark.parametrize(
    "path", [*(ROOT / "examples").glob("*/service.yaml"), report.APP], ids=lambda path: path.parent.name
)
def test_every_example_can_be_simulated(path: Path) -> None:
    assert apps.load(path).name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: Deployment", "no document of kind Service"),
        ("[", "it is not YAML"),
        ("apiVersion: v1\nkind: Service\n", "apiVersion is v1, not serving.knative.dev/v1"),
        (HEAD.replace("spec: {template: {", "spec: 3"), "field spec is missing or not an object"),
        (HEAD + "}}", "field spec is missing"),
        (HEAD + "spec: {containers: []}}}", "field spec.template.spec.containers must list"),
        (GOOD.replace("'7'", "'-7'"), "annotations: .*autoscaling.knative.dev/target"),
        (GOOD.replace("containers:", "containerConcurrency: -1, containers:"), "containerConcurrency is -1"),
        (GOOD.replace("image: x", "resources: {limits: {cpu: lots}}"), "field resources cpu: 'lots' is not a quantity"),
    ],
)
def test_a_complaint_names_file_and_field(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(AppError, match=rf"(?s)app\.yaml: .*{problem}"):
        apps.load(written(tmp_path, text))


def test_a_missing_file_is_told() -> None:
    with pytest.raises(AppError, match="cannot be read"):
        apps.load(Path("/nowhere.yaml"))


def test_settings_of_the_autoscaler_may_come_from_its_config_map(tmp_path: Path) -> None:
    config = apps.load_config(written(tmp_path, "kind: ConfigMap\ndata: {stable-window: 30s}\n"))
    assert App(config=config).spec.stable_window_s == 30
    with pytest.raises(AppError, match="stable-window"):
        apps.load_config(written(tmp_path, "data: {stable-window: soon}\n"))
    with pytest.raises(AppError, match="not a usable ConfigMap"):
        apps.load_config(written(tmp_path, "[]"))


# Prices


def test_prices_follow_the_apps_resources() -> None:
    prices = Prices(per_cpu_hour=1.0, per_gib_hour=0.5, per_gpu_hour=10.0, per_million_requests=2.0)
    app = App(cpu=2.0, memory_gib=4.0, gpus=1.0)
    assert prices.pod_hour(app) == 14.0
    assert prices.cost(app, 1800.0, 500_000) == 8.0


def test_a_gpu_is_priced_by_the_table_of_gpus() -> None:
    assert pricing.choose("", App(gpus=1.0)).per_gpu_hour > 0
    assert pricing.choose("", App()).per_cpu_hour > 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("per_hour: 3", "field per_hour is not known; there are .*per_cpu_hour"),
        ("per_cpu_hour: -3", "field per_cpu_hour is -3.*at least 0"),
        ("per_cpu_hour: .nan", "field per_cpu_hour is nan"),
        ("per_cpu_hour: true", "field per_cpu_hour is True"),
        ("[1]", "it is not a mapping"),
        ("[", "not a table of prices"),
    ],
)
def test_a_wrong_table_is_told(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(PriceError, match=rf"(?s)prices\.yaml: {problem}"):
        pricing.choose(str(tmp_path / "prices.yaml"), App())


def test_a_table_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(PriceError, match="there are cpu, gpu, or a file"):
        pricing.choose("tpu", App())
