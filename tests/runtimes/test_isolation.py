"""Models in worker processes: equal to those of the server's own, bounded, and nobody's trouble but their own.

Every worker here is a real process. How they are worded, packed and restarted is in test_isolation_plans.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtimes.failures import InferenceError, Kind
from runtimes.frame import Frame
from runtimes.isolation import worker_link
from runtimes.isolation.remote_model import RemoteModel
from runtimes.messages import InferRequest
from runtimes.repository.slots import State
from runtimes.tensors import of_array
from tests.support.model_servers import Client, client_of, serving

pytestmark = pytest.mark.slow

FORKING_CODE = """
import os, signal, time
class M:
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    def predict(self, inputs):
        if inputs["x"][0, 0] == -1:
            if os.fork() == 0:
                for _ in range(6000):
                    if not os.path.exists("HELD"):
                        break
                    time.sleep(0.01)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
        os.system("ls -l /proc/self/fd > FOUND")
        return inputs["x"]
"""
ONCE_CODE = """
import os, signal
from pathlib import Path
class M:
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    def load(self):
        starts = Path("STARTS")
        starts.write_text((starts.read_text() if starts.exists() else "") + "x")
        if starts.read_text() == "xx":
            raise OSError("no room just now")
    def predict(self, inputs):
        if inputs["x"][0, 0] == -1:
            os.kill(os.getpid(), signal.SIGKILL)
        return inputs["x"]
"""
CODE = """
import asyncio, os, signal, time
from pathlib import Path
import numpy as np

HERE = Path(__file__).parent

class M:
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    max_batch_size = 4
    kept = None

    def load(self):
        self.weights = np.ones(MEMORY << 20, dtype=np.uint8)
        while (HERE / "held").exists():
            time.sleep(0.005)

    def predict(self, inputs):
        x = inputs["x"]
        what = x[0, 0]
        if what == -1:
            os.kill(os.getpid(), signal.SIGSEGV)
        if (x[:, 0] == -2).any():
            raise ValueError("no such row")
        if what == -3:
            self.kept = x
        if what == -4:
            return np.ones((1 << 16, 2), np.float32)[: len(x) << 14].reshape(len(x), -1)
        if what == -5:
            time.sleep(600)
        if what == -6:
            (HERE / "inside").touch()
            while not (HERE / "open").exists():
                time.sleep(0.005)
        if what == -7:
            return self.kept[:1]
        if what == -8:
            self.kept = None
        if what == -9:
            return np.full((len(x), 1), os.getpid(), np.int64)
        return x @ np.array([[1.5], [0.25]], np.float32)

    def explain(self, inputs):
        return np.abs(inputs["x"])

    def generate(self, text, parameters):
        for position, word in enumerate(text.split()):
            if word == "fail":
                raise ValueError(f"at {position}")
            yield word
"""
ROWS_CODE = """
class M:
    payload = "json"
    def predict(self, rows):
        return [{"row": row} for row in rows]
"""
COROUTINE_CODE = """
import asyncio
from pathlib import Path
class M:
    async def predict(self, inputs):
        try:
            Path("HERE/inside").touch()
            await asyncio.sleep(600)
        finally:
            Path("HERE/left").touch()
            while not Path("HERE/open").exists():
                await asyncio.sleep(0.005)
"""
TEXT_CODE = """
import numpy as np
class M:
    inputs = [{"name": "t", "datatype": "BYTES", "shape": [-1]}]
    async def predict(self, inputs):
        return {"t": inputs["t"][::-1], "n": np.array([len(each) for each in inputs["t"]], np.uint8)}
"""


def model(root: Path, name: str, code: str = CODE, settings: str = "", memory_mib: int = 1) -> None:
    (root / name / "1").mkdir(parents=True)
    (root / name / "1" / "model.py").write_text(code.replace("MEMORY", str(memory_mib)))
    if settings:
        (root / name / "model-settings.json").write_text(settings)


@contextlib.asynccontextmanager
async def isolated(root: Path, **settings: Any) -> AsyncIterator[tuple[Frame, Client]]:
    chosen = {"isolate": True, "allow_code": True, "worker_arena_mib": 2, **settings}
    async with serving(model_repository=str(root), **chosen) as frame, client_of(frame) as http:
        yield frame, http


def rows(*first: float) -> dict[str, Any]:
    data = [value for each in first for value in (each, 1.0)]
    return {"inputs": [{"name": "x", "shape": [len(first), 2], "datatype": "FP32", "data": data}]}


def remote(frame: Frame, name: str = "m") -> RemoteModel:
    found = frame.repository.find(name).model
    assert isinstance(found, RemoteModel)
    return found


async def until(check: Any, limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not check():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def patient_for_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine tells late how a worker ended, which is what these tests want to hear."""
    monkeypatch.setattr(worker_link, "END_LIMIT_S", 30.0)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_answers_are_those_of_a_model_in_the_server(tmp_path: Path) -> None:
    model(tmp_path, "m")
    model(tmp_path, "rows", ROWS_CODE)
    model(tmp_path, "text", TEXT_CODE)
    asked = [
        ("/v2/models/m/infer", rows(0.1, 0.2, 0.3, 0.4, 0.5)),
        ("/v2/models/m/infer", rows(-2)),
        ("/v2/models/m/infer", {"inputs": [{"name": "y", "shape": [1], "datatype": "FP32", "data": [1]}]}),
        ("/v1/models/m:predict", {"instances": [[1, 2], [3, 4]]}),
        ("/v1/models/m:explain", {"instances": [[-1, 2]]}),
        ("/v2/models/m/generate_stream", {"text_input": "a b c"}),
        ("/v2/models/m/generate_stream", {"text_input": "a fail"}),
        ("/v1/models/rows:predict", {"instances": [{"a": [1, None]}, "text", 2.5]}),
        (
            "/v2/models/text/infer",
            {"inputs": [{"name": "t", "shape": [3], "datatype": "BYTES", "data": ["ä", "", "bc"]}]},
        ),
    ]
    answers: dict[bool, list[Any]] = {}
    for is_isolated in (True, False):
        async with isolated(tmp_path, isolate=is_isolated) as (frame, http):
            assert isinstance(frame.repository.find("m").model, RemoteModel) is is_isolated
            answers[is_isolated] = [await http.post(path, document) for path, document in asked]
            for path in ("/v2/models/m", "/v2/models/m/config", "/v2/models/m/ready"):
                answers[is_isolated].append(await http.get(path))
    assert answers[True] == answers[False]
    assert "Traceback" not in str(answers[True]) and "model.py" not in str(answers[True])
    assert answers[True][1][1]["error"] == "model 'm' failed: ValueError: no such row"


async def test_requests_share_calls_of_the_worker(tmp_path: Path) -> None:
    model(tmp_path, "m")
    async with isolated(tmp_path) as (frame, http):
        batcher = frame.repository.find("m").batcher
        for values, wanted in (((1, 2, 3, 4), [200] * 4), ((1, 2, -2, 4), [200, 200, 500, 200])):
            (tmp_path / "m" / "1" / "open").unlink(missing_ok=True)
            busy = asyncio.create_task(http.post("/v2/models/m/infer", rows(-6)))
            await until(lambda: batcher.in_flight)
            asked = [asyncio.create_task(http.post("/v2/models/m/infer", rows(value))) for value in values]
            await until(lambda: batcher.waiting == 4)
            (tmp_path / "m" / "1" / "open").touch()
            answers = await asyncio.gather(*asked)
            assert [status for status, _ in answers] == wanted, "only the request at fault fails"
            assert (await busy)[0] == 200
        assert frame.repository.find("m").statistics.batches[4].count == 1
        assert remote(frame).link.arena.taken_bytes == 0


async def test_a_crash_is_told_and_the_worker_started_again(tmp_path: Path) -> None:
    model(tmp_path, "m")
    model(tmp_path, "other")
    async with isolated(tmp_path) as (frame, http):
        held = tmp_path / "m" / "1" / "held"
        held.touch()  # its second start is not over before this goes
        status, answer = await http.post("/v2/models/m/infer", rows(-1))
        assert (status, answer["reason"]) == (503, "worker_ended")
        assert answer["error"] == "the model's worker process ended: it was killed by SIGSEGV"
        slot = frame.repository.slot("m")
        assert slot.state in (State.UNAVAILABLE, State.LOADING)
        assert slot.reason == "its worker process was killed by SIGSEGV; it is started again after 0.5 s"
        assert (await http.post("/v2/models/m/infer", rows(1)))[1]["reason"] == "load_failed"
        assert (await http.post("/v2/models/other/infer", rows(1)))[0] == 200, "its trouble is its own"
        held.unlink()
        await until(lambda: slot.state is State.READY)
        assert (await http.post("/v2/models/m/infer", rows(1)))[0] == 200
        metrics = (await http.get("/metrics"))[1].decode()
        assert 'model_worker_ends_total{model="m",version="1",reason="SIGSEGV"} 1' in metrics
        assert 'model_worker_resident_bytes{model="m",version="1"}' in metrics


async def test_a_worker_whose_child_lives_on_has_ended_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked process holds its parent's sockets: that one of them is open does not mean that the worker lives."""
    monkeypatch.setattr(worker_link, "END_LIMIT_S", 0.2)
    held = tmp_path / "held"
    held.touch()
    model(tmp_path, "m", FORKING_CODE.replace("FOUND", str(tmp_path / "found")).replace("HELD", str(held)))
    async with isolated(tmp_path) as (frame, http):
        assert (await http.post("/v2/models/m/infer", rows(1)))[0] == 200
        assert "memfd" not in (tmp_path / "found").read_text()
        link = remote(frame).link
        async with asyncio.timeout(50):  # the child lives for a minute
            status, answer = await http.post("/v2/models/m/infer", rows(-1))
        held.unlink()
        assert status >= 500 and "was killed by SIGKILL" in answer["error"]
        assert link.is_gone.is_set()


async def test_a_restart_that_fails_is_tried_again(tmp_path: Path) -> None:
    """What keeps a worker from starting may be the moment's: memory that the dead one still holds, say."""
    model(tmp_path / "models", "m", ONCE_CODE.replace("STARTS", str(tmp_path / "starts")))
    async with isolated(tmp_path / "models") as (_frame, http):
        assert (await http.post("/v2/models/m/infer", rows(-1)))[0] >= 500
        await until(lambda: (tmp_path / "starts").read_text() == "xxx")
        async with asyncio.timeout(60):
            while (await http.post("/v2/models/m/infer", rows(1)))[0] != 200:
                await asyncio.sleep(0.01)


async def test_restarts_end_and_the_repository_api_begins_anew(tmp_path: Path) -> None:
    model(tmp_path, "m")
    async with isolated(tmp_path) as (frame, http):
        slot = frame.repository.slot("m")
        slot.restarts.in_a_row = 5
        await http.post("/v2/models/m/infer", rows(-1))
        assert slot.reason.endswith("load it again by the repository API")
        index = (await http.post("/v2/repository/index"))[1]
        assert (index[0]["state"], index[0]["reason"]) == ("UNAVAILABLE", slot.reason)
        assert (await http.get("/v2/models/m/ready"))[0] == 503
        assert (await http.post("/v2/repository/models/m/load"))[0] == 200
        assert (await http.post("/v2/models/m/infer", rows(1)))[0] == 200


async def test_on_demand_the_next_request_after_the_pause_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(tmp_path, "m")
    async with isolated(tmp_path, model_control="on-demand") as (frame, http):
        now = time.monotonic()
        monkeypatch.setattr(frame.repository, "_clock", lambda: now)
        assert (await http.post("/v2/models/m/infer", rows(-1)))[0] == 503
        slot = frame.repository.slot("m")
        assert slot.retry_at == now + 0.5
        assert (await http.post("/v2/models/m/infer", rows(1)))[0] == 503
        now = slot.retry_at
        assert slot.servable is None, "nobody asked meanwhile"
        assert (await http.post("/v2/models/m/infer", rows(1)))[0] == 200


async def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    model(tmp_path, "m")
    async with isolated(tmp_path, worker_call_limit_s=0.2) as (frame, http):
        pid = remote(frame).link.pid
        status, answer = await http.post("/v2/models/m/infer", rows(-5))
        assert (status, answer["reason"]) == (503, "worker_ended")
        assert "hung in predict for 0.2 s" in answer["error"]
        await until(lambda: not is_alive(pid))
        await until(lambda: frame.repository.worker_ends == {("m", "1", "hung"): 1})


async def test_memory_of_a_call_is_its_own_until_the_worker_is_done(tmp_path: Path) -> None:
    model(tmp_path, "m")
    async with isolated(tmp_path) as (frame, _):
        servable, arena = frame.repository.find("m"), remote(frame).link.arena
        inputs = [of_array("x", np.array([[-6, 0]], np.float32))]
        leaving = asyncio.create_task(servable.infer(InferRequest("m", inputs)))
        await until((tmp_path / "m" / "1" / "inside").exists)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert arena.taken_bytes > 0, "the model still reads there"
        with pytest.raises(InferenceError) as caught:
            await servable.infer(InferRequest("m", inputs, deadline=time.monotonic() + 0.05))
        assert caught.value.kind is Kind.LATE
        assert arena.taken_bytes > 0, "the model still reads there"
        (tmp_path / "m" / "1" / "open").touch()
        await until(lambda: arena.taken_bytes == 0)


async def test_the_shared_memory_is_bounded(tmp_path: Path) -> None:
    model(tmp_path, "m", CODE.replace("max_batch_size = 4", "instances = 2"))
    async with isolated(tmp_path) as (frame, http):
        arena = remote(frame).link.arena
        large = {"x": np.zeros((1 << 17, 2), np.float32)}  # 1 MiB: two do not fit beside their answers
        large["x"][0, 0] = -6

        async def ask(rows: Any) -> Any:
            found = await frame.repository.find("m").infer(InferRequest("m", [of_array("x", rows)]))
            return found.outputs[0].array

        asked = [asyncio.create_task(ask(large["x"])) for _ in range(2)]
        (refused,), (inside,) = await asyncio.wait(asked, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(InferenceError) as caught:
            await refused
        assert caught.value.kind is Kind.QUEUE_FULL
        (tmp_path / "m" / "1" / "open").touch()
        assert len(await inside) == 1 << 17
        with pytest.raises(InferenceError) as caught:
            await ask(np.zeros((1 << 19, 2), np.float32))
        assert caught.value.kind is Kind.TOO_LARGE and "worker_arena_mib" in str(caught.value)
        assert (await http.post("/v2/models/m/infer", rows(-4)))[0] == 200, "a larger answer is given more room"
        assert arena.taken_bytes == 0


async def test_answers_that_are_the_inputs_leave_nothing_behind(tmp_path: Path) -> None:
    model(tmp_path, "m", "class M:\n    def predict(self, inputs):\n        return inputs['x']\n")
    async with isolated(tmp_path) as (frame, _):
        for number in range(50):
            asked = InferRequest("m", [of_array("x", np.full(1 << 16, number, np.float32))])
            made = await frame.repository.find("m").infer(asked)
            assert (made.outputs[0].array == number).all()
            assert remote(frame).link.arena.taken_bytes == 0


async def test_one_large_answer_does_not_take_the_room_of_the_small_ones(tmp_path: Path) -> None:
    code = (
        "import numpy as np\nclass M:\n    def predict(self, inputs):\n        return np.zeros(int(inputs['x'][0]))\n"
    )
    model(tmp_path, "m", code)
    async with isolated(tmp_path) as (frame, _):
        arena = remote(frame).link.arena

        async def ask(size: int) -> int:
            made = await frame.repository.find("m").infer(InferRequest("m", [of_array("x", [size])]))
            return len(made.outputs[0].array)

        assert await ask(200_000) == 200_000
        with pytest.raises(InferenceError) as caught:
            await ask(300_000)
        assert caught.value.kind is Kind.TOO_LARGE
        held = arena.take(arena.size_bytes - 3 * 4096)
        assert held is not None
        assert await ask(3) == 3, "the room that is usual is not there: the least will do"
        with pytest.raises(InferenceError) as caught:
            await ask(10_000)
        assert caught.value.kind is Kind.QUEUE_FULL
        arena.give_back(held)
        for _ in range(60):
            await ask(1)
        assert remote(frame).link._answer_bytes == 4096, "what was large once is forgotten"
        assert arena.taken_bytes == 0


async def test_texts_of_numpy_and_parameters_that_cannot_be_sent(tmp_path: Path) -> None:
    code = "import numpy as np\nclass M:\n    def predict(self, inputs):\n        return np.array(['a', 'bcd'])\n"
    model(tmp_path, "m", code)
    async with isolated(tmp_path) as (frame, http):
        outputs = (await http.post("/v1/models/m:predict", {"instances": [1]}))[1]
        assert outputs == {"predictions": ["a", "bcd"]}
        asked = InferRequest("m", [of_array("x", [1])], parameters={"big": 1 << 70})
        with pytest.raises(InferenceError):
            await frame.repository.find("m").infer(asked)
        assert remote(frame).link.arena.taken_bytes == 0


async def test_a_coroutine_that_nobody_waits_for_is_cancelled_in_the_worker(tmp_path: Path) -> None:
    model(tmp_path / "models", "m", COROUTINE_CODE.replace("HERE", str(tmp_path)))
    async with isolated(tmp_path / "models") as (frame, _):
        arena = remote(frame).link.arena
        leaving = asyncio.create_task(frame.repository.find("m").infer(InferRequest("m", [of_array("x", [1])])))
        await until((tmp_path / "inside").exists)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await until((tmp_path / "left").exists)
        assert arena.taken_bytes > 0, "the worker has not said yet that it is done"
        (tmp_path / "open").touch()
        await until(lambda: arena.taken_bytes == 0)


async def test_what_a_model_keeps_of_its_inputs_stays_as_it_was(tmp_path: Path) -> None:
    model(tmp_path, "m")
    async with isolated(tmp_path) as (frame, http):
        arena = remote(frame).link.arena
        assert (await http.post("/v2/models/m/infer", rows(-3)))[0] == 200
        assert arena.taken_bytes > 0
        for value in range(20):
            await http.post("/v2/models/m/infer", rows(value))
        kept = await http.post("/v2/models/m/infer", rows(-7))
        assert kept[1]["outputs"][0]["data"] == [-3.0, 1.0]
        await http.post("/v2/models/m/infer", rows(-8))
        await until(lambda: arena.taken_bytes == 0)


async def test_memory_is_the_workers_and_comes_back(tmp_path: Path) -> None:
    for name in "abc":
        model(tmp_path, name, memory_mib=64)
    options = {"model_control": "on-demand", "memory_budget_mib": 240, "min_residency_s": 0.0}
    async with isolated(tmp_path, **options) as (frame, http):
        pids = {}
        for name in "ab":
            pids[name] = int((await http.post(f"/v2/models/{name}/infer", rows(-9)))[1]["outputs"][0]["data"][0])
            slot = frame.repository.slot(name)
            assert 64 << 20 < slot.size_bytes < 110 << 20, "measured, not what the files weigh"
        frame.repository.slot("c").size_bytes = 140 << 20  # beside one of them, not both
        await http.post("/v2/models/c/infer", rows(1))
        assert sorted(servable.name for servable in frame.repository.servables()) == ["b", "c"]
        assert not is_alive(pids["a"]) and is_alive(pids["b"]), "all that a took is free, and nothing of b's"
        await frame.repository.weigh()
        assert frame.repository.slot("b").size_bytes > 64 << 20


async def test_a_models_own_setting_wins(tmp_path: Path) -> None:
    model(tmp_path, "own", settings='{"parameters": {"extra": {"isolate": true}}}')
    model(tmp_path, "here")
    async with isolated(tmp_path, isolate=False) as (frame, _):
        kinds = {servable.name: type(servable.model).__name__ for servable in frame.repository.servables()}
        assert kinds == {"own": "RemoteModel", "here": "Model"}


@pytest.mark.parametrize(
    ("code", "start_s", "reason"),
    [
        ("raise RuntimeError('not today')", 300.0, "ImportFailed: .*RuntimeError: not today"),
        ("import os; os._exit(7)", 300.0, "its worker process exited with code 7"),
        ("import time; time.sleep(600)", 0.5, "did not load it within 0.5 s"),
    ],
    ids=["raises", "exits", "hangs"],
)
async def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path, code: str, start_s: float, reason: str) -> None:
    model(tmp_path, "m", code)
    async with isolated(tmp_path, worker_start_s=start_s) as (frame, http):
        status, answer = await http.post("/v2/models/m/infer", rows(1))
        assert (status, answer["reason"]) == (503, "load_failed")
        with pytest.raises(InferenceError, match=reason):
            frame.repository.find("m")


async def test_a_stream_that_nobody_reads_any_more_is_closed_in_the_worker(tmp_path: Path) -> None:
    code = CODE.replace("            yield word", "            yield word\n            Path(WHERE).touch()")
    code = code.replace("import numpy", "from pathlib import Path\nimport numpy").replace(
        "        for position",
        "        try:\n            yield 'a'\n            yield 'b'\n        finally:\n"
        f"            Path({str(tmp_path / 'closed')!r}).touch()\n        for position",
    )
    model(tmp_path / "models", "m", code)
    async with isolated(tmp_path / "models") as (frame, _):
        pieces = frame.repository.find("m").generated("x", {}, float("inf"))
        assert await anext(pieces) == "a"
        await pieces.aclose()
        await until((tmp_path / "closed").exists)


def started(root: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a server with workers as a process group of its own; return it and its port."""
    command = [sys.executable, "-m", "runtimes.python", "--model-repository", str(root), "--isolate", "true"]
    command += ["--allow-code", "true", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    lines = []
    while "serving m on" not in (line := process.stderr.readline()):
        lines.append(line)
        assert line, "".join(lines)
    return process, int(line.partition("127.0.0.1:")[2].split('"')[0])


def group(process: subprocess.Popen[str]) -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and is_in(entry, process.pid)]


def is_in(entry: Path, session: int) -> bool:
    try:
        state, _parent, _group, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:  # it has just ended
        return False
    return state != "Z" and int(its_session) == session


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_server(tmp_path: Path, number: signal.Signals) -> None:
    model(tmp_path, "m")
    process, port = started(tmp_path)
    assert process.stderr is not None
    with process.stderr:
        try:
            url = f"http://127.0.0.1:{port}/v1/models/m:predict"
            with urllib.request.urlopen(url, b'{"instances": [[2, 4]]}', timeout=60) as answer:
                assert answer.read() == b'{"predictions":[[4.0]]}'
            assert len(group(process)) == 3, "server, zygote, worker"
            mapped = [Path(f"/proc/{pid}/maps").read_text() for pid in group(process)]
            assert sum("memfd:tidegate-worker" in each for each in mapped) == 2
            assert not any("/dev/shm" in each for each in mapped), "shared memory with a name would outlive them"
            if number == signal.SIGKILL:
                process.kill()
            else:
                os.killpg(process.pid, number)  # as whoever ends a container does
            assert process.wait(60) == (0 if number == signal.SIGTERM else -9)
            limit = time.monotonic() + 60
            while group(process):
                assert time.monotonic() < limit
                time.sleep(0.01)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
