"""A model is a plain class: called in this process it says what it says over the network."""

from __future__ import annotations

import numpy as np

from tests.support.model_servers import Doubler, Recommender, client_of, serving


async def test_a_model_answers_the_same_called_and_served() -> None:
    rows = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, -1.0, 8.0]]
    called = Doubler().predict({"x": np.array(rows, dtype=np.float32)})
    columns = {"products": [[1.0], [2.0]], "users": [[25.0], [3.0]]}
    scored = Recommender().predict({name: np.array(column, np.float32) for name, column in columns.items()})
    async with serving(Doubler(), model_name="doubler") as frame, client_of(frame) as http:
        served = await http.post("/v1/models/doubler:predict", {"instances": rows})
    async with serving(Recommender(), model_name="recommender") as frame, client_of(frame) as http:
        answer = await http.post("/v1/models/recommender:predict", {"inputs": columns})
    assert served == (200, {"predictions": called.tolist()})
    assert answer[0] == 200 and np.array_equal(np.array(answer[1]["outputs"], np.float32), scored)
