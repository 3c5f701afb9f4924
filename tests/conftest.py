"""What all tests share."""

from __future__ import annotations

import asyncio
import os

from hypothesis import HealthCheck, settings

# Python 3.11 makes an event loop for whoever first asks for "the" loop outside of one. pytest-asyncio asks, keeps
# nothing, and the garbage collector complains about the unclosed loop in some later test. With the loop set to None
# it is not made.
asyncio.set_event_loop(None)

# A machine under load is slow, not wrong: properties are judged by what they find. HYPOTHESIS_PROFILE=deep takes longer
# and finds more. CI tries the same cases every time: new counter-examples are looked for where somebody looks at them.
settings.register_profile(
    "fast",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("deep", settings.get_profile("fast"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
