"""The autoscaler: in-flight reports in, replicas and serving mode out.

    connection → ingest → sessions → demand (sources, fleet) ─┐
    watch (pods, settings) ─ leases (which revisions are ours) ┴→ loop: gather → decide → explain → publish

decide and its rules (load, delays, zero) are the scalar form of the decision, fleet_* the form for all revisions at
once; demand, sources, sessions, shares, history, pods, status, explain are pure too; loop is where a turn is put
together.

Permissions it needs: get/list/watch of podautoscalers, of pods and deployments with the label
serving.knative.dev/revision, of ConfigMap config-autoscaler and Secret report-key in the system namespace; patch of
podautoscalers/status and deployments/scale; create and patch of events; leases and ConfigMaps of its own in the system
namespace; HorizontalPodAutoscalers for class hpa.
"""
