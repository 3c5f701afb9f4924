"""What all tests share."""

from __future__ import annotations

import asyncio

# Python 3.11 makes an event loop for whoever first asks for "the" loop outside of one. pytest-asyncio asks, keeps
# nothing, and the garbage collector complains about the unclosed loop in some later test. With the loop set to None
# it is not made.
asyncio.set_event_loop(None)
