"""Fetching models: from a URI into a folder, through a cache that all pods of a node share.

source      (pure) what a storage URI means
listing     (pure) what is there, what is here, what must be fetched
remotes     one class per scheme: list entries, read bytes from an offset
cache       content-addressed files, manifests, locks, eviction
archive     unpacks tar and zip with every path and size checked
download    one entry: resume, retry with a deadline, checksum
fetch       the steps in order; read this first
`python -m runtimes.storage URI FOLDER` is what runs before a model server.
"""
