"""Holds requests while pods come up, and wakes revisions.

pipeline      enter → wait → place → relay → leave: read this first
waiting_room  (pure) bounded queue of one revision: enter, capacity changed, expire, abandon
placement     (pure) seats a revision's requests on its pods, within each pod's concurrency
demand        tells the autoscaler at once when somebody waits, and each second what is in flight
backends      which pod addresses can be used: ready ones, and earlier ones that answered our own probe
watch         keeps revisions, endpoints, the autoscaler's address and the report key current
metrics       Prometheus counters

A request flows gateway → wire → pipeline → wire → queueproxy. Access to the Kubernetes API: get, list, watch of
revisions (serving.knative.dev) and endpointslices (discovery.k8s.io); in the system namespace get, list, watch of the
Secret report-key.
"""
