"""Which models there are, which versions are served, and which are in memory.

layout.py reads a folder `<model>/<version>/...` into plain data; config_text.py reads Triton's config.pbtxt;
versions.py (pure) chooses versions and resolves labels; residency.py and swap_plan.py (pure) decide what is evicted for
what, and when; store.py does it: loads once per model, measures, evicts, and hands out servables.
"""
