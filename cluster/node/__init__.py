"""The process node: runs Pods as local process groups. A plain Kubernetes client.

agent         watches the pods bound here, one worker per pod
pod_worker    async shell of one pod: performs what lifecycle asks for, publishes its status
lifecycle, pod_status, backoff, environment, images, ports, volumes, probe_plan   pure
process, forkserver, template   starting and stopping a container's process group
probes, hooks, logs, addresses, sources   the rest of a container's surroundings
kubelet       logs over HTTP for the API server
service_proxy clusterIP:port -> ready endpoint
registration, reaper   the Node object and its Lease; no orphan survives

It reaches everything by the Kubernetes API, so it also serves as a virtual node of a foreign cluster.
"""
