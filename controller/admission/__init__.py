"""What the API server asks before it stores an object: defaulting and validation, pure.

review         AdmissionReview in, AdmissionReview out; which rules apply to which kind
defaults       what an author left unsaid
metadata       names, annotations and labels of the object itself
revision_spec  the pod-level part of a Revision's spec
containers     one container
volumes        volumes and mounts
sidecar        what queue-proxy asks for
warnings       what is allowed but worth a word
probes         its probes
traffic        the traffic block
domain_mapping a domain and what it stands for
"""
