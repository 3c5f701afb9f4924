"""Kubernetes on one machine: an API server with built-in controllers, a process node, and a supervisor over both.

`python -m cluster` is the supervisor (`supervise`, `children`, `instance`); it starts `cluster.api` and `cluster.node`.
Objects live in `store`. Components of Tidegate know nothing of this package: to them it is an API server.
This file stays empty of code, so that the supervisor imports next to nothing.
"""
