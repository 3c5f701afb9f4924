"""The settings of the whole installation: ConfigMaps of the system namespace as typed values.

reading     typed keys of one ConfigMap, problems collected with the key's name
defaults    config-defaults: what a revision gets when its author says nothing
features    config-features: which pod fields are allowed
deployment  config-deployment: how a revision's pods are made
network     config-network and config-domain: hosts and schemes
retention   config-gc: which old revisions go

A key that is absent has its documented default; one that does not parse is a problem, and the caller keeps what it had.
"""
