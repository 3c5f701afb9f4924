"""Walks an InferenceGraph: one request through several services. `python -m runtimes.graph` is its router.

walk.py goes from node to node (it decides, and asks by what it is given), seldon.py reads what routers and combiners
answer, upstream.py asks a service over HTTP, counts.py counts, router.py is the HTTP side, __main__.py the process.
"""
