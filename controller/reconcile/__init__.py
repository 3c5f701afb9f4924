"""What should be, from what is: one file per kind, pure.

outcome        what a reconciler asks for: actions, the new status, when to look again
metadata       labels, annotations and owners that children get; whether a child needs an apply at all
service        Service → Configuration + Route
configuration  Configuration → Revision, latest created and latest ready
revision       Revision → Deployment + PodAutoscaler + private Service
revision_pod   the pod of a revision: user containers and queue-proxy
revision_status  how a revision is, from its Deployment, PodAutoscaler and pods
route          Route → the traffic table in its status
rollout        a new revision's share, step by step
placeholders   the names of a route inside the cluster
domain_mapping a domain of the user's choosing → a route
labeler        which revisions are routed, written on them
gc             which old revisions go

Everything is level-triggered: each call sees all there is and assumes nothing of calls before.
"""
