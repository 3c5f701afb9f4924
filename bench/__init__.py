"""Measurements of the data plane, each one a command: `python -m bench proxy`, `python -m bench memory`.

Both sides of a comparison run in one run, alternating, and the value is their ratio. `proxy.py` is CPU per request of
whole processes beside nginx, Envoy and aiohttp; `memory.py` is what connections and bodies cost; `directors.py` and
`engine.py` look at single parts. Nothing here is installed with the product.
"""
