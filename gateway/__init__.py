"""The edge: every request of a client arrives here.

pipeline  admit → route → pick → relay → record: read this first
routes    (pure) host → revision by exact weight; an immutable table for the public, one for the cluster
affinity  (pure) the pod of a session, where a revision asks for it
pick      (pure) ready pod with the fewest requests in flight, or "through the activator"
probes    (pure) which requests are probes or scrapes: they neither wake nor keep a service
certificate  of the TLS port; read again when its files change
ports     for clients: plain, TLS where it is set up, and one for the cluster
watch     keeps table and endpoints current by swapping immutable snapshots
workers   several processes on one port; seat: a worker's tie to them; totals (pure): their figures together
wakes     the last requests that met a revision without a ready pod
metrics   Prometheus counters

A request flows client → wire → pipeline → wire → queueproxy or activator. Access to the Kubernetes API: get, list,
watch of routes and domainmappings (serving.knative.dev), podautoscalers (autoscaling.internal.knative.dev) and
endpointslices (discovery.k8s.io), and of config-observability (core configmaps).
"""
