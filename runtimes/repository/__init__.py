"""Which models there are, which versions are served, and which are in memory.

layout.py reads a folder `<model>/<version>/...` into plain data, config_text.py (pure) Triton's config.pbtxt;
versions.py (pure) chooses versions and resolves labels; slots.py are the records, catalog.py answers what there is;
swap_plan.py (pure) decides what is loaded next and what goes for it; store.py does it and hands out servables.
"""
