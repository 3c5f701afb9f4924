"""Makes the cluster match the objects: Service → Configuration + Route → Revision → Deployment + PodAutoscaler.

handlers (kopf watches) → objects (what is) → triggers (whom it concerns) → workqueue → gather → reconcile/ (what should
be) → apply. Beside it: admission (defaulting and validation) behind webhook, certificates, secrets, digests of images.

Verbs used. get, list, watch, create, update, patch, delete on: serving.knative.dev services, configurations,
revisions, routes; autoscaling.internal.knative.dev podautoscalers; apps deployments; core services. get, list, watch:
serving.knative.dev domainmappings; core pods, configmaps, namespaces; apiextensions.k8s.io customresourcedefinitions.
patch: the status of what is reconciled. get, list, watch, create, delete: networking.internal.knative.dev
clusterdomainclaims. create, patch: core events. get, create, update in tidegate-system: core secrets `report-key`,
`webhook-certs`. get, list, patch: admissionregistration.k8s.io mutatingwebhookconfigurations,
validatingwebhookconfigurations.
"""
