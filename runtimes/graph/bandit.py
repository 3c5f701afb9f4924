"""Routers that learn from rewards which of their steps is best: classes for `python -m runtimes.python`.

A graph's Router asks `route`; whoever learns what an answer was worth tells it by Seldon's `/api/v1.0/send-feedback`:
`{"reward": 0.9, "response": {"meta": {"routing": {"root": 1}}}}`, with the step that its X-Graph-Routing named.
What was learned lives in the process: keep it at one pod (`minReplicas: 1`, `maxReplicas: 1`).
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Mapping
from typing import Any

DEFAULT_ARMS, DEFAULT_EPSILON = 2, 0.1


class Bandit:
    """What both have: the arms' rewards, between 0 and 1, and how they are told. ARMS says how many steps there are."""

    def __init__(self) -> None:
        self.arms = int(os.environ.get("ARMS", DEFAULT_ARMS))
        if self.arms < 1:
            raise ValueError("ARMS is the number of steps, at least 1")
        self.random = random.Random()
        self.lock = threading.Lock()
        self.counts = [0] * self.arms
        self.rewards = [0.0] * self.arms

    def predict(self, inputs: Any) -> Any:
        """Answer the request itself: a router stands in a graph."""
        return inputs

    def route(self, inputs: Any) -> int:
        """Return the step to ask."""
        with self.lock:
            return self.choose()

    def choose(self) -> int:
        """Return the step to ask, by what is known."""
        raise NotImplementedError

    def send_feedback(self, document: Mapping[str, Any]) -> None:
        """Learn from one answer; a reward beyond 0 to 1 counts as the nearer of them."""
        reward = document.get("reward")
        try:
            (said,) = document["response"]["meta"]["routing"].values()
            arm = int(said)
        except (AttributeError, KeyError, TypeError, ValueError):
            reward = None
        if isinstance(reward, bool) or not isinstance(reward, int | float):
            raise ValueError('write {"reward": 1, "response": {"meta": {"routing": {"NODE": STEP}}}}')
        if not 0 <= arm < self.arms:
            raise ValueError(f"there are steps 0 to {self.arms - 1}")
        with self.lock:
            self.counts[arm] += 1
            self.rewards[arm] += min(max(float(reward), 0.0), 1.0)

    def metrics(self) -> list[dict[str, Any]]:
        """Return what is known of each step."""
        return [
            {"type": "GAUGE", "key": key, "value": values[arm], "tags": {"arm": str(arm)}}
            for key, values in (("bandit_rewarded", self.counts), ("bandit_reward", self.rewards))
            for arm in range(self.arms)
        ]


class EpsilonGreedy(Bandit):
    """The best so far, and of ten requests one (EPSILON) to any: so a step that got better is found."""

    def __init__(self) -> None:
        super().__init__()
        self.epsilon = float(os.environ.get("EPSILON", DEFAULT_EPSILON))

    def choose(self) -> int:
        """Return the best step, or now and then any."""
        untried = [arm for arm in range(self.arms) if not self.counts[arm]]
        if untried or self.random.random() < self.epsilon:
            return self.random.choice(untried or range(self.arms))
        return max(range(self.arms), key=lambda arm: self.rewards[arm] / self.counts[arm])


class Thompson(Bandit):
    """Each step as often as it is likely to be the best: a draw from what its rewards make probable (beta)."""

    def choose(self) -> int:
        """Return the step with the highest draw."""
        draws = [
            self.random.betavariate(1 + won, 1 + max(count - won, 0.0))
            for won, count in zip(self.rewards, self.counts, strict=True)
        ]
        return max(range(self.arms), key=draws.__getitem__)
