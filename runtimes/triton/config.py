"""The settings of the Triton adapter: file < environment < flag. Names are those of the other model servers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tidegate.process.settings import setting

CONTROLS = ("all", "explicit", "on-demand")


@dataclass(frozen=True)
class Config:
    """Settings of `python -m runtimes.triton`."""

    host: str = setting("address to listen on", default="127.0.0.1", env="HOST")
    port: int = setting("port of REST and gRPC, both; 0: any free one", default=8080, env="PORT")
    metrics_port: int = setting("port of metrics and health of the adapter; 0: any free one", default=0)
    model_name: str = setting("name of the model in model_dir", default="model", env="MODEL_NAME")
    model_dir: str = setting("folder of one model, or of a model repository", default="", env="MODEL_DIR")
    model_repository: str = setting("folder of many models, <model>/<version>/...", default="", env="MODEL_REPOSITORY")
    model_control: str = setting("what is in memory: all, explicit (by the API), on-demand", default="all")
    max_loaded_models: int = setting("on-demand: models in memory at a time; 0: no limit", default=0)
    min_residency_s: float = setting("a model stays this long before another may push it out (s)", default=1.0)
    max_swap_wait_s: float = setting("after this long a request's model goes before residency (s)", default=10.0)
    max_waiting: int = setting("requests that wait for models before 503", default=1000)
    load_timeout_s: float = setting("one load of a model, and the wait for it (s)", default=300.0)
    start_timeout_s: float = setting("from the start of tritonserver until it is ready (s)", default=60.0)
    drain_s: float = setting("time for requests in flight after SIGTERM (s)", default=30.0)
    body_limit_mib: int = setting("largest REST request body (MiB)", default=64)
    allow_code: bool = setting("let the Python backend run the models' model.py", default=True)
    allow_upload: bool = setting(
        "let clients send files and configurations with a load: code by network", default=False
    )
    tritonserver: str = setting(
        "path of tritonserver; empty: the nvidia-pytriton wheel's, else on PATH", default="", env="TRITONSERVER"
    )
    triton_args: str = setting("further flags of tritonserver, as a shell would read them", default="")
    log_level: str = setting("debug, info, warning or error", default="info")

    def __post_init__(self) -> None:
        if self.model_control not in CONTROLS:
            raise ValueError(f"model_control: {self.model_control!r} is not all, explicit or on-demand")
        if bool(self.model_dir) == bool(self.model_repository):
            raise ValueError("give model_dir (one model, or a repository) or model_repository (many), one of them")
        for name in ("model_dir", "model_repository"):
            folder = getattr(self, name)
            if folder and not Path(folder).is_dir():
                raise ValueError(f"{name}: there is no folder {folder}")
        if self.max_loaded_models and self.model_control != "on-demand":
            raise ValueError("max_loaded_models: needs model_control on-demand")
        for name in ("load_timeout_s", "start_timeout_s", "max_waiting", "body_limit_mib"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: must be positive")
