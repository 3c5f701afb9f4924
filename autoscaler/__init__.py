"""The autoscaler: in-flight reports in, replicas and serving mode out.

    ingest → demand (windows) ─┐
    watch (pods, settings) ────┴→ loop: gather → decide → explain → publish

decide, load, zero, window, demand, state, status and explain are pure; loop is where a turn is put together.

Permissions it needs: get/list/watch of podautoscalers, of pods and deployments with the label
serving.knative.dev/revision, of ConfigMap config-autoscaler and Secret report-key in the system namespace; patch of
podautoscalers/status and deployments/scale; create of events.
"""
