"""The built-in controllers of the local cluster.

deployments, replicasets, endpoints, owners, namespaces, scheduler, nodes   pure plans: objects + now -> actions
actions, conditions   (pure) what a plan may ask for; status conditions
views                 a cache that already knows this process's own writes
workqueue             level-triggered keys: coalesced, backed off one by one
manager               watches, runs the plan of a changed key, performs its actions

Flow: watch event -> key -> plan -> actions -> API server -> watch event.
"""
