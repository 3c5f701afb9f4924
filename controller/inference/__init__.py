"""InferenceService (serving.kserve.io/v1beta1) → a Knative Service per component and a Route of its own. All pure.

component   what a predictor or transformer asks for, whichever way it is written
runtimes    which ServingRuntime serves a model format, and why others do not
shipped     the runtimes that come with Tidegate
template    component + runtime → the template of a Knative Service
canary      which revisions get which share, and what counts as rolled out
status      the InferenceService's status from its children
graph       InferenceGraph (serving.kserve.io/v1alpha1) → the Knative Service of its router
"""
