"""The settings of a model server, the same for every runtime: file < environment < flag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tidegate.process.settings import setting


@dataclass(frozen=True)
class Config:
    """Settings of a model server."""

    host: str = setting("address to listen on", default="127.0.0.1", env="HOST")
    port: int = setting("port of the HTTP protocols; 0: any free one", default=8080, env="PORT")
    grpc_port: int = setting("port of the V2 gRPC protocol; 0: none, -1: any free one", default=0, env="GRPC_PORT")
    model_name: str = setting("name of the model", default="model", env="MODEL_NAME")
    model_dir: str = setting("folder of one model", default="", env="MODEL_DIR")
    model_repository: str = setting("folder of many models, <model>/<version>/...", default="", env="MODEL_REPOSITORY")
    model_class: str = setting("import path of a model class, module:Class", default="", env="MODEL_CLASS")
    model_control: str = setting("what is in memory: all, explicit (by the API), on-demand", default="all")
    allow_code: bool = setting("run code that comes with a model (pickles, model.py, .mar handlers)", default=False)
    memory_budget_mib: int = setting("memory for all models together; 0: no limit (MiB)", default=0)
    min_residency_s: float = setting("a model stays this long before another may push it out (s)", default=1.0)
    max_swap_wait_s: float = setting("a request for a model waits at most this long for room (s)", default=10.0)
    isolate: bool = setting("each model of a folder lives in a worker process of its own", default=False)
    worker_arena_mib: int = setting(
        "memory that a server shares with a worker, for tensors in flight (MiB)", default=256
    )
    worker_start_s: float = setting("a worker loads its model within this time (s)", default=300.0)
    worker_call_limit_s: float = setting(
        "a worker that takes longer for one call hangs: it is ended (s)", default=600.0
    )
    poll_s: float = setting("read the repository folder again every so often; 0: never (s)", default=0.0)
    max_batch_size: int = setting("rows that share one call of the model; 0: as the model says", default=0)
    max_batch_delay_ms: float = setting("how long a request waits for company (ms)", default=0.0)
    least_rows: int = setting("fill smaller batches up to this; 2 makes answers independent of their batch", default=1)
    instances: int = setting("calls of a model at a time; 0: as the model says", default=0)
    max_queue_size: int = setting("requests that wait for a model before 429; 0: as the model says (256)", default=0)
    body_limit_mib: int = setting("largest request body (MiB)", default=64)
    drain_s: float = setting("time for requests in flight after SIGTERM (s)", default=30.0)
    payload_log_url: str = setting("sink for CloudEvents of what models are asked and answer; empty: none", default="")
    payload_log_mode: str = setting("what is sent there: all, request or response", default="all")
    payload_log_queue: int = setting("events that wait for the sink before more are dropped", default=100)
    payload_log_attributes: str = setting(
        "further attributes of these events, as name=value,name=value; source is one of them", default=""
    )
    predictor_host: str = setting(
        "of a transformer: host of its predictor; a class without predict gets its answers",
        default="",
        env="PREDICTOR_HOST",
    )
    predictor_protocol: str = setting(
        "how the predictor is asked: v1 or v2 (JSON)", default="v1", env="PREDICTOR_PROTOCOL"
    )
    predictor_timeout_s: float = setting(
        "the predictor answers within this time, its cold start included (s)", default=300.0
    )
    device: str = setting("torch: cpu, cuda, cuda:N, or auto", default="auto")
    dtype: str = setting("torch: convert the model's weights to float32, float16 or bfloat16; empty: keep", default="")
    threads: int = setting("torch and onnx: threads of one call; 0: the library's choice", default=0)
    log_level: str = setting("debug, info, warning or error", default="info")

    def __post_init__(self) -> None:
        if self.model_control not in ("all", "explicit", "on-demand"):
            raise ValueError(f"model_control: {self.model_control!r} is not all, explicit or on-demand")
        for name in ("worker_arena_mib", "worker_start_s", "worker_call_limit_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not more than 0")
        if self.model_class and self.model_repository:
            raise ValueError("give model_class (one model) or model_repository (many), not both")
        if self.model_dir and self.model_repository:
            raise ValueError("give model_dir (one model) or model_repository (many), not both")
        for name in ("model_dir", "model_repository"):
            folder = getattr(self, name)
            if folder and not Path(folder).is_dir():
                raise ValueError(f"{name}: there is no folder {folder}")

    def batching(self) -> dict[str, object]:
        """Return the batching settings that were given, by the names of `contract.settings_of`."""
        chosen: dict[str, object] = {}
        if self.max_batch_size:
            chosen["max_batch_size"] = self.max_batch_size
        if self.max_batch_delay_ms:
            chosen["max_batch_delay_s"] = self.max_batch_delay_ms / 1e3
        if self.least_rows > 1:
            chosen["least_rows"] = self.least_rows
        if self.instances:
            chosen["instances"] = self.instances
        if self.max_queue_size:
            chosen["max_queue_size"] = self.max_queue_size
        return chosen
