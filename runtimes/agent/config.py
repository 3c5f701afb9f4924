"""Settings of the agent before a model server of others: file < environment < flag."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.process.settings import setting


@dataclass(frozen=True)
class Config:
    """Settings of `python -m runtimes.agent`."""

    user_port: int = setting("port of the model server on 127.0.0.1", env="USER_PORT")
    host: str = setting("address to listen on", default="127.0.0.1", env="HOST")
    port: int = setting("port; 0: any free one", default=9081, env="PORT")
    payload_log_url: str = setting("sink for CloudEvents of what the server is asked and answers", default="")
    payload_log_mode: str = setting("what is sent there: all, request or response", default="all")
    payload_log_queue: int = setting("events that wait for the sink before more are dropped", default=100)
    payload_log_attributes: str = setting("further attributes of these events, as name=value,name=value", default="")
    max_batch_size: int = setting("rows of V1 predictions that share one call; 0: none do", default=0)
    max_batch_delay_ms: float = setting("how long a request waits for company (ms)", default=0.0)
    max_queue_size: int = setting("requests that wait for a batch before 429", default=256)
    instances: int = setting("batches that the server works on at a time", default=1)
    body_limit_mib: int = setting("largest request or answer that is held (MiB)", default=64)
    server_start_s: float = setting("the server takes connections within this time (s)", default=600.0)
    server_timeout_s: float = setting("the server answers within this time (s)", default=600.0)
    drain_s: float = setting("time for requests in flight after SIGTERM (s)", default=30.0)
    log_level: str = setting("debug, info, warning or error", default="info")

    def __post_init__(self) -> None:
        if not 0 < self.user_port < 65_536:
            raise ValueError(f"USER_PORT is {self.user_port}: it must be the port of the model server")
        if self.max_batch_size < 0 or self.instances < 1 or self.max_queue_size < 1:
            raise ValueError("max_batch_size is not negative, instances and max_queue_size are at least 1")
