"""ClusterRoles with an aggregationRule: their rules are those of the roles that its selectors find.

Pure. Authorization reads stored rules only, so this is what makes aggregated roles mean something.
"""

from __future__ import annotations

from cluster.api import selectors
from cluster.controllers.actions import Patch, Plan
from tidegate.kube import resources
from tidegate.kube.api import Object, name_of


def plan(role: Object, roles: list[Object]) -> Plan:
    """Return what gives `role` the rules of the selected ones among `roles`."""
    wanted = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
    if wanted is None:
        return Plan()
    try:
        parsed = [selectors.from_label_selector(one) for one in wanted]
    except selectors.SelectorError:
        return Plan()
    rules: list[Object] = []
    for one in sorted(roles, key=name_of):
        if name_of(one) != name_of(role) and any(selector.matches(one) for selector in parsed):
            rules += [rule for rule in one.get("rules") or [] if rule not in rules]
    if rules == (role.get("rules") or []):
        return Plan()
    return Plan([Patch(resources.CLUSTER_ROLES, "", name_of(role), {"rules": rules})])
