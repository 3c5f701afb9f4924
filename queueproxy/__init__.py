"""The sidecar in front of one user container.

pipeline   limit → relay → measure: read this first
limiter    (pure) concurrency slots and a bounded FIFO: offer, finish, abandon, expire
meter      (pure) what autoscaling needs to know between two reports
probe      is the app ready? held while it starts
drain      the quiet end after SIGTERM
report     pushes the meter's readings to the autoscaler
metrics    Prometheus counters

A request flows gateway or activator → wire → pipeline → wire → 127.0.0.1:$USER_PORT. It needs no Kubernetes API
access at all: everything it knows comes from its environment.
"""
