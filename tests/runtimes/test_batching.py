"""The batcher in virtual time: named regressions of batchers in the field, and what it promises of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from runtimes.batch_assembly import Form
from runtimes.batch_plan import BatchLimits
from runtimes.batching import Batcher, BatchSettings
from runtimes.failures import InferenceError, Kind
from runtimes.statistics import Statistics
from runtimes.tensors import Parameters, Tensor

pytestmark = pytest.mark.looptime


class Model:
    """Doubles `x` after `takes_s`; remembers its batches; fails for rows with a negative number."""

    def __init__(self, takes_s: float = 1.0) -> None:
        self.takes_s = takes_s
        self.batches: list[list[list[float]]] = []
        self.running = 0
        self.most_running = 0

    async def __call__(self, inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        self.batches.append(inputs[0].array.tolist())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.running -= 1
        if (inputs[0].array < 0).any():
            raise ValueError("negative")
        return [Tensor("y", "FP32", inputs[0].array * 2)]


def batcher(model: Any, *, form: Form = Form.STRICT, least_rows: int = 1, **limits: Any) -> Batcher:
    chosen = BatchLimits(**{"max_rows": 4, **limits})
    settings = BatchSettings(limits=chosen, joins=True, form=form, least_rows=least_rows)
    return Batcher(settings, model, Statistics(), clock=asyncio.get_running_loop().time)


def rows(*values: float, width: int = 1) -> list[Tensor]:
    return [Tensor("x", "FP32", np.array([[value] * width for value in values], dtype=np.float32))]


async def ask(made: Batcher, *values: float, width: int = 1, deadline: float = math.inf, **parameters: Any) -> Any:
    outputs = await made.submit(rows(*values, width=width), parameters, deadline)
    return outputs[0].array.tolist()


async def test_mlserver_defect_a_cancelled_member_leaves_the_others_their_answers() -> None:
    """MLServer's AdaptiveBatcher: of three requests in one batch the second is cancelled, the third never completes."""
    model = Model()
    made = batcher(model)
    asked = [asyncio.create_task(ask(made, value)) for value in (1, 2, 3)]
    await asyncio.sleep(0.5)
    asked[1].cancel()
    assert [await asked[0], await asked[2]] == [[[2]], [[6]]]
    with pytest.raises(asyncio.CancelledError):
        await asked[1]
    assert model.batches == [[[1], [2], [3]]]
    assert await ask(made, 4) == [[8]], "and the batcher goes on"


async def test_kserve_a_failure_is_a_failure_and_only_its_own() -> None:
    """KServe's agent answers 200 with the error in `message`, for the whole batch."""
    model = Model()
    made = batcher(model)
    answers = await asyncio.gather(ask(made, 1), ask(made, -1), ask(made, 3), return_exceptions=True)
    assert answers[0] == [[2]] and answers[2] == [[6]]
    assert isinstance(answers[1], ValueError)
    assert model.batches == [[[1], [-1], [3]], [[1]], [[-1]], [[3]]]


async def test_kserve_several_batches_run_at_a_time(looptime: Any) -> None:
    """KServe's agent blocks on one upstream call."""
    model = Model()
    made = batcher(model, max_rows=1, max_in_flight=3)
    await asyncio.gather(*(ask(made, value) for value in (1, 2, 3)))
    assert model.most_running == 3
    assert looptime == 1


async def test_kserve_parameters_are_kept_and_keep_requests_apart() -> None:
    """KServe's agent drops client headers and extra keys of the request: a batch ran under those of one of them."""
    seen: list[Parameters] = []

    async def model(inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        seen.append(parameters)
        return list(inputs)

    made = batcher(model, max_in_flight=9)
    await asyncio.gather(ask(made, 1, tenant="a"), ask(made, 2, tenant="b"), ask(made, 3, tenant="a"))
    assert sorted(parameters["tenant"] for parameters in seen) == ["a", "b"]


async def test_kserve_shapes_and_datatypes_never_mix() -> None:
    """KServe's agent runs a whole batch under the path of the latest request."""
    model = Model()
    made = batcher(model, max_in_flight=9)
    doubles = [Tensor("x", "FP64", np.array([[5.0]]))]
    answers = await asyncio.gather(ask(made, 1), ask(made, 2, width=2), made.submit(doubles, {}, math.inf))
    assert answers[:2] == [[[2]], [[4, 4]]]
    assert answers[2][0].array.dtype == np.float64
    assert len(model.batches) == 3


async def test_kserve_nothing_polls(looptime: Any) -> None:
    """KServe's agent looks every 100 microseconds: here an idle batcher has no timer, a waiting one exactly one."""
    model = Model(takes_s=0)
    made = batcher(model, max_delay_s=10.0, is_adaptive=False)
    asked = asyncio.create_task(ask(made, 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert made._timer is not None
    assert await asked == [[2]]
    await asyncio.sleep(0)
    assert made._timer is None
    assert looptime == 10


async def test_kserve_no_batch_exceeds_the_maximum() -> None:
    """KServe's agent appends whole requests: a batch may be larger than its maximum."""
    model = Model(takes_s=0)
    made = batcher(model, max_rows=4)
    answers = await asyncio.gather(ask(made, *range(10)), ask(made, 1, 2, 3))
    assert answers == [[[value * 2] for value in range(10)], [[2], [4], [6]]]
    assert max(len(batch) for batch in model.batches) <= 4


async def test_kserve_a_leaving_client_is_not_computed() -> None:
    """KServe's agent ignores the context of a client that leaves."""
    model = Model()
    made = batcher(model, max_rows=1)
    asked = [asyncio.create_task(ask(made, value)) for value in (1, 2, 3)]
    await asyncio.sleep(0.5)
    asked[1].cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert model.batches == [[[1]], [[3]]]
    assert (made.waiting, made.in_flight) == (0, 0)


async def test_a_batch_that_nobody_waits_for_is_ended_where_that_is_possible(looptime: Any) -> None:
    model = Model(takes_s=100)
    settings = BatchSettings(limits=BatchLimits(max_rows=4), joins=True)
    made = Batcher(settings, model, Statistics(), is_cancellable=True, clock=asyncio.get_running_loop().time)
    asked = [asyncio.create_task(ask(made, value)) for value in (1, 2)]
    await asyncio.sleep(1)
    asked[0].cancel()
    await asyncio.sleep(1)
    assert model.running == 1, "the other one still waits"
    asked[1].cancel()
    await asyncio.sleep(0.1)
    assert (model.running, made.in_flight) == (0, 0)
    assert looptime < 3


async def test_a_member_cancelled_in_the_turn_that_starts_it_harms_nobody() -> None:
    model = Model()
    made = batcher(model)
    asked = [asyncio.create_task(ask(made, value)) for value in (1, 2)]
    await asyncio.sleep(0)
    asked[0].cancel()
    assert await asked[1] == [[4]]
    assert made.waiting == 0


async def test_a_full_queue_is_refused_at_once(looptime: Any) -> None:
    made = batcher(Model(), max_rows=1, max_queue=1)
    running = asyncio.create_task(ask(made, 1))
    await asyncio.sleep(0.1)
    waiting = asyncio.create_task(ask(made, 2))
    await asyncio.sleep(0)
    with pytest.raises(InferenceError) as caught:
        await ask(made, 3)
    assert caught.value.kind is Kind.QUEUE_FULL
    assert looptime == pytest.approx(0.1)
    assert [await running, await waiting] == [[[2]], [[4]]]


async def test_a_deadline_that_passes_in_the_queue_is_late_and_never_runs() -> None:
    model = Model()
    made = batcher(model, max_rows=1)
    running = asyncio.create_task(ask(made, 1))
    await asyncio.sleep(0)
    with pytest.raises(InferenceError) as caught:
        await ask(made, 2, deadline=asyncio.get_running_loop().time() + 0.5)
    assert caught.value.kind is Kind.LATE
    await running
    assert model.batches == [[[1]]]


async def test_the_wrong_number_of_rows_is_the_models_failure_not_a_mix_up() -> None:
    async def model(inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        return [Tensor("y", "FP32", np.zeros((1, 1), np.float32))]

    with pytest.raises(InferenceError, match="one output row per input row") as caught:
        await ask(batcher(model), 1, 2)
    assert caught.value.kind is Kind.MODEL_FAILED


@pytest.mark.parametrize(("inputs", "text"), [([], "empty"), ([np.float32(1)], "no row"), ([[1], [1, 2]], "2 rows")])
async def test_inputs_that_have_no_common_rows_are_refused(inputs: list[Any], text: str) -> None:
    tensors = [Tensor(f"x{at}", "FP32", np.asarray(value)) for at, value in enumerate(inputs)]
    with pytest.raises(InferenceError, match=text):
        await batcher(Model()).submit(tensors, {}, math.inf)


async def test_the_floor_fills_small_batches_up_and_nobody_sees_it() -> None:
    model = Model(takes_s=0)
    made = batcher(model, least_rows=2)
    assert await ask(made, 3) == [[6]]
    assert model.batches == [[[3], [3]]]


async def test_padded_requests_of_different_lengths_share_a_batch() -> None:
    seen: list[Any] = []

    async def model(inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        seen.append({tensor.name: tensor.array.tolist() for tensor in inputs})
        return [Tensor("y", "FP32", inputs[0].array.sum(axis=1, keepdims=True))]

    made = batcher(model, form=Form.PADDED)
    assert await asyncio.gather(ask(made, 1, width=1), ask(made, 2, 3, width=3)) == [[[1]], [[6], [9]]]
    assert seen == [{"x": [[1, 0, 0], [2, 2, 2], [3, 3, 3]], "x_lengths": [1, 3, 3]}]


async def test_ragged_requests_lie_end_to_end() -> None:
    seen: list[Any] = []

    async def model(inputs: Sequence[Tensor], parameters: Parameters) -> list[Tensor]:
        seen.append({tensor.name: tensor.array.tolist() for tensor in inputs})
        values, lengths = inputs[0].array, inputs[1].array
        sums = np.add.reduceat(values, np.concatenate([[0], np.cumsum(lengths)[:-1]]))
        return [Tensor("y", "FP32", sums[:, None])]

    made = batcher(model, form=Form.RAGGED)
    assert await asyncio.gather(ask(made, 1, width=2), ask(made, 2, 3, width=3)) == [[[2]], [[6], [9]]]
    assert seen == [{"x": [1, 1, 2, 2, 2, 3, 3, 3], "x_lengths": [2, 3, 3]}]


async def test_closing_fails_what_waits_and_lets_run_what_runs() -> None:
    made = batcher(Model(), max_rows=1)
    asked = [asyncio.create_task(ask(made, value)) for value in (1, 2)]
    await asyncio.sleep(0.5)
    made.close()
    assert await asked[0] == [[2]]
    with pytest.raises(InferenceError, match="unloaded"):
        await asked[1]


@pytest.mark.parametrize("moment", range(6))
async def test_cancelled_at_any_moment_the_batcher_is_whole_afterwards(moment: int) -> None:
    model = Model(takes_s=0.2)
    made = batcher(model, max_rows=2, max_delay_s=0.1, is_adaptive=False)
    asked = [asyncio.create_task(ask(made, value)) for value in range(5)]
    await asyncio.sleep(0.07 * moment)
    for task in asked[::2]:
        task.cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answers[1], answers[3]] == [[[2]], [[6]]]
    await asyncio.sleep(1)
    assert (made.waiting, made.in_flight, len(made._waiters)) == (0, 0, 0)
