"""kopf without the Kubernetes client libraries that it imports where they are installed.

It wants them only to recognise their objects, of which there are none here; together they are 15 MB and a fifth of a
second of a process that is otherwise small. For the length of kopf's import they are made to look absent.
"""

from __future__ import annotations

import sys

_CLIENTS = ("kubernetes", "kubernetes_asyncio", "pykube")

_hidden = [name for name in _CLIENTS if name not in sys.modules]
for _name in _hidden:
    sys.modules[_name] = None  # type: ignore[assignment]
try:
    import kopf
finally:
    for _name in _hidden:
        del sys.modules[_name]

__all__ = ["kopf"]
