"""The Kubernetes client side: every component is a Kubernetes client and nothing else.

api        the verbs as a protocol, and the errors
resources  the kinds we use
connect    where the API server is and with which credentials
client     the protocol over HTTPS
cache      list-watch caches: an always-current snapshot and callbacks
events     Kubernetes Events for people
"""
