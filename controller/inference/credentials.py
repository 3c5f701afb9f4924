"""Credentials for fetching a model: from a ServiceAccount's Secrets to variables of the fetching container.

Pure. Values of Secrets are never read here: a variable refers to the Secret's key, and only the Secret's annotations
(endpoint, region, TLS) become text. Names of keys and annotations are KServe's, the older spellings included.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.reconcile.outcome import Object

PREFIX = "serving.kserve.io/"
OLD_PREFIX = "serving.kubeflow.org/"
KEYS = {
    "AWS_ACCESS_KEY_ID": ("AWS_ACCESS_KEY_ID", "awsAccessKeyID", "accesskey"),
    "AWS_SECRET_ACCESS_KEY": ("AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey", "secretkey"),
    "AWS_SESSION_TOKEN": ("AWS_SESSION_TOKEN",),
    "HF_TOKEN": ("HF_TOKEN",),
    "GOOGLE_APPLICATION_CREDENTIALS_JSON": ("gcloud-application-credentials.json",),
    "STORAGE_HTTP_HEADERS": ("headers",),
}
"""Variable -> the keys of a Secret that may hold it, the first one found counts."""
ANNOTATIONS = {
    "s3-endpoint": "S3_ENDPOINT",
    "s3-region": "AWS_DEFAULT_REGION",
    "s3-usehttps": "S3_USE_HTTPS",
    "s3-verifyssl": "S3_VERIFY_SSL",
    "s3-usevirtualbucket": "S3_USE_VIRTUAL_BUCKET",
    "s3-useanoncredential": "S3_ANONYMOUS",
}


def variables(secrets: Sequence[Object]) -> list[Object]:
    """Return the env entries that Secrets stand for; of several with the same variable the first counts."""
    found: dict[str, Object] = {}
    for secret in secrets:
        for entry in (*_from_keys(secret), *_from_annotations(secret)):
            found.setdefault(entry["name"], entry)
    return [found[name] for name in sorted(found)]


def names_of(service_account: Object) -> list[str]:
    """Return the names of the Secrets that a ServiceAccount lists."""
    return [str(one["name"]) for one in service_account.get("secrets") or [] if one.get("name")]


def _from_keys(secret: Object) -> list[Object]:
    name = secret["metadata"]["name"]
    keys = {*(secret.get("data") or {}), *(secret.get("stringData") or {})}
    entries = []
    for variable, known in KEYS.items():
        key = next((one for one in known if one in keys), None)
        if key is not None:
            entries.append({"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
    return entries


def _from_annotations(secret: Object) -> list[Object]:
    own = secret["metadata"].get("annotations") or {}
    entries = []
    for suffix, variable in ANNOTATIONS.items():
        value = own.get(PREFIX + suffix, own.get(OLD_PREFIX + suffix))
        if value is not None:
            entries.append({"name": variable, "value": str(value)})
    return entries
