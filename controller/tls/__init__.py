"""Certificates: who signs them, when they are renewed, and how gateways get those that they serve.

`plan` (pure) says what a key pair needs; `authority` makes and reads X.509; `cert_manager` (pure) writes the same wish
in cert-manager's words; `pairs` reads, writes and copies Secrets; `keeper` puts the steps together for one object.
The objects' statuses are the reconcilers' business (`reconcile.certificate`, `reconcile.domain_mapping`).
"""
