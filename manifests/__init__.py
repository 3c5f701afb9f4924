"""The Kubernetes objects Tidegate is made of: CRDs, RBAC, one file per component, ConfigMaps, overlays.

base            what every cluster gets
overlays/local  what one machine gets (`tidegate up`)
rendered        overlays/local as `kubectl kustomize` prints it, for machines without kubectl; a test holds it equal
"""
