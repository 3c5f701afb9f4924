"""The recommender: two inputs in rows and in columns, by V1 and V2, one score per pair; it learnt something."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.recommender import train
from tests.support.model_servers import client_of, serving

PAIRS = {"products": [[1], [2]], "users": [[25], [3]]}
"""The request of the field's texts."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    users, products, right = train.train()
    # Half of the pairs is chance; the noise in the ratings allows 78 %.
    assert right > 0.7
    return train.write(tmp_path_factory.mktemp("models"), users, products)


async def test_rows_columns_and_tensors_give_the_same_scores(folder: Path) -> None:
    async with serving(model_dir=str(folder), model_name="recommender") as frame, client_of(frame) as http:
        rows = [{"products": [1], "users": [25]}, {"products": [2], "users": [3]}]
        _, by_rows = await http.post("/v1/models/recommender:predict", {"instances": rows})
        _, by_columns = await http.post("/v1/models/recommender:predict", {"inputs": PAIRS})
        tensors = [
            {"name": name, "shape": [2, 1], "datatype": "INT64", "data": values} for name, values in PAIRS.items()
        ]
        _, by_tensors = await http.post("/v2/models/recommender/infer", {"inputs": tensors})
    assert by_rows["predictions"] == by_columns["outputs"]
    assert [len(row) for row in by_columns["outputs"]] == [1, 1]
    assert by_tensors["outputs"][0]["shape"] == [2, 1]
    assert by_tensors["outputs"][0]["data"] == pytest.approx([score for [score] in by_columns["outputs"]])
    assert all(0 < score < 1 for [score] in by_columns["outputs"])


async def test_the_unknown_get_the_mean_and_a_missing_input_is_named(folder: Path) -> None:
    async with serving(model_dir=str(folder), model_name="recommender") as frame, client_of(frame) as http:
        strange = {"products": [[1], [1]], "users": [[10**6], [-1]]}
        _, answer = await http.post("/v1/models/recommender:predict", {"inputs": strange})
        assert answer["outputs"][0] == answer["outputs"][1]
        status, answer = await http.post("/v1/models/recommender:predict", {"inputs": {"products": [[1]]}})
        assert (status, "users" in answer["error"]) == (400, True)
