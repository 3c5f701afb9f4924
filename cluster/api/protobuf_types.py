"""The numbers of fields in the binary encoding of built-in kinds, the first half.

Pure data, read by `protobuf`. One type is `Name = <number><field>:<type> ...`; a type is s(tring), i(nteger),
b(oolean), n(umber), y (bytes), t(ime), u (microtime), q(uantity), x (integer or string), r (raw JSON), f (field set),
another type's name, [list] or {map}. `<number>*<type>` is a part whose fields stand in the holder itself. `!` marks a
field that is sent only when it is set, so that its zero means something; any other zero is the same as absent.
"""

TYPES = """
Namespace = 1metadata:ObjectMeta 2spec:NamespaceSpec 3status:NamespaceStatus
ConfigMap = 1metadata:ObjectMeta 2data:{s} 3binaryData:{y} 4immutable:b!
Secret = 1metadata:ObjectMeta 2data:{y} 3type:s 4stringData:{s} 5immutable:b!
ServiceAccount = 1metadata:ObjectMeta 2secrets:[ObjectReference] 3imagePullSecrets:[LocalObjectReference]
    4automountServiceAccountToken:b!
Service = 1metadata:ObjectMeta 2spec:ServiceSpec 3status:ServiceStatus
Pod = 1metadata:ObjectMeta 2spec:PodSpec 3status:PodStatus
Event = 1metadata:ObjectMeta 2involvedObject:ObjectReference 3reason:s 4message:s 5source:EventSource
    6firstTimestamp:t 7lastTimestamp:t 8count:i 9type:s 10eventTime:u 11series:EventSeries 12action:s
    13related:ObjectReference 14reportingComponent:s 15reportingInstance:s
Binding = 1metadata:ObjectMeta 2target:ObjectReference
Endpoints = 1metadata:ObjectMeta 2subsets:[EndpointSubset]
ResourceQuota = 1metadata:ObjectMeta 2spec:ResourceQuotaSpec 3status:ResourceQuotaStatus
LimitRange = 1metadata:ObjectMeta 2spec:LimitRangeSpec
PersistentVolumeClaim = 1metadata:ObjectMeta 2spec:PersistentVolumeClaimSpec 3status:PersistentVolumeClaimStatus
Node = 1metadata:ObjectMeta 2spec:NodeSpec 3status:NodeStatus
Deployment = 1metadata:ObjectMeta 2spec:DeploymentSpec 3status:DeploymentStatus
ReplicaSet = 1metadata:ObjectMeta 2spec:ReplicaSetSpec 3status:ReplicaSetStatus
Role = 1metadata:ObjectMeta 2rules:[PolicyRule]
RoleBinding = 1metadata:ObjectMeta 2subjects:[Subject] 3roleRef:RoleRef
ClusterRole = 1metadata:ObjectMeta 2rules:[PolicyRule] 3aggregationRule:AggregationRule
ClusterRoleBinding = 1metadata:ObjectMeta 2subjects:[Subject] 3roleRef:RoleRef
SelfSubjectAccessReview = 1metadata:ObjectMeta 2spec:SelfSubjectAccessReviewSpec 3status:SubjectAccessReviewStatus
SelfSubjectRulesReview = 1metadata:ObjectMeta 2spec:SelfSubjectRulesReviewSpec 3status:SubjectRulesReviewStatus
SubjectAccessReview = 1metadata:ObjectMeta 2spec:SubjectAccessReviewSpec 3status:SubjectAccessReviewStatus
LocalSubjectAccessReview = 1metadata:ObjectMeta 2spec:SubjectAccessReviewSpec 3status:SubjectAccessReviewStatus
TokenRequest = 1metadata:ObjectMeta 2spec:TokenRequestSpec 3status:TokenRequestStatus
TokenReview = 1metadata:ObjectMeta 2spec:TokenReviewSpec 3status:TokenReviewStatus
SelfSubjectReview = 1metadata:ObjectMeta 2status:SelfSubjectReviewStatus
Eviction = 1metadata:ObjectMeta 2deleteOptions:DeleteOptions
PodDisruptionBudget = 1metadata:ObjectMeta 2spec:PodDisruptionBudgetSpec 3status:PodDisruptionBudgetStatus
Lease = 1metadata:ObjectMeta 2spec:LeaseSpec
EndpointSlice = 1metadata:ObjectMeta 2endpoints:[Endpoint] 3ports:[EndpointPort] 4addressType:s
PriorityClass = 1metadata:ObjectMeta 2value:i 3globalDefault:b 4description:s 5preemptionPolicy:s!
Scale = 1metadata:ObjectMeta 2spec:ScaleSpec 3status:ScaleStatus
HorizontalPodAutoscaler = 1metadata:ObjectMeta 2spec:HorizontalPodAutoscalerSpec 3status:HorizontalPodAutoscalerStatus
NetworkPolicy = 1metadata:ObjectMeta 2spec:NetworkPolicySpec
MutatingWebhookConfiguration = 1metadata:ObjectMeta 2Webhooks:[MutatingWebhook]
ValidatingWebhookConfiguration = 1metadata:ObjectMeta 2Webhooks:[ValidatingWebhook]
DeleteOptions = 1gracePeriodSeconds:i! 2preconditions:Preconditions 3orphanDependents:b! 4propagationPolicy:s!
    5dryRun:[s] 6ignoreStoreReadErrorWithClusterBreakingPotential:b!
ObjectMeta = 1name:s 2generateName:s 3namespace:s 4selfLink:s 5uid:s 6resourceVersion:s 7generation:i
    8creationTimestamp:t 9deletionTimestamp:t 10deletionGracePeriodSeconds:i! 11labels:{s} 12annotations:{s}
    13ownerReferences:[OwnerReference] 14finalizers:[s] 17managedFields:[ManagedFieldsEntry]
NamespaceSpec = 1finalizers:[s]
NamespaceStatus = 1phase:s 2conditions:[NamespaceCondition]
ObjectReference = 1kind:s 2namespace:s 3name:s 4uid:s 5apiVersion:s 6resourceVersion:s 7fieldPath:s
LocalObjectReference = 1name:s
ServiceSpec = 1ports:[ServicePort] 2selector:{s} 3clusterIP:s 4type:s 5externalIPs:[s] 7sessionAffinity:s
    8loadBalancerIP:s 9loadBalancerSourceRanges:[s] 10externalName:s 11externalTrafficPolicy:s 12healthCheckNodePort:i
    13publishNotReadyAddresses:b 14sessionAffinityConfig:SessionAffinityConfig 17ipFamilyPolicy:s! 18clusterIPs:[s]
    19ipFamilies:[s] 20allocateLoadBalancerNodePorts:b! 21loadBalancerClass:s! 22internalTrafficPolicy:s!
    23trafficDistribution:s!
ServiceStatus = 1loadBalancer:LoadBalancerStatus 2conditions:[Condition]
PodSpec = 1volumes:[Volume] 2containers:[Container] 3restartPolicy:s 4terminationGracePeriodSeconds:i!
    5activeDeadlineSeconds:i! 6dnsPolicy:s 7nodeSelector:{s} 8serviceAccountName:s 9serviceAccount:s 10nodeName:s
    11hostNetwork:b 12hostPID:b 13hostIPC:b 14securityContext:PodSecurityContext
    15imagePullSecrets:[LocalObjectReference] 16hostname:s 17subdomain:s 18affinity:Affinity 19schedulerName:s
    20initContainers:[Container] 21automountServiceAccountToken:b! 22tolerations:[Toleration]
    23hostAliases:[HostAlias] 24priorityClassName:s 25priority:i! 26dnsConfig:PodDNSConfig 27shareProcessNamespace:b!
    28readinessGates:[PodReadinessGate] 29runtimeClassName:s! 30enableServiceLinks:b! 31preemptionPolicy:s!
    32overhead:{q} 33topologySpreadConstraints:[TopologySpreadConstraint] 34ephemeralContainers:[EphemeralContainer]
    35setHostnameAsFQDN:b! 36os:PodOS 37hostUsers:b! 38schedulingGates:[PodSchedulingGate]
    39resourceClaims:[PodResourceClaim] 40resources:ResourceRequirements 41hostnameOverride:s!
    43schedulingGroup:PodSchedulingGroup 44evictionResponders:[EvictionResponder]
PodStatus = 1phase:s 2conditions:[PodCondition] 3message:s 4reason:s 5hostIP:s 6podIP:s 7startTime:t
    8containerStatuses:[ContainerStatus] 9qosClass:s 10initContainerStatuses:[ContainerStatus] 11nominatedNodeName:s
    12podIPs:[PodIP] 13ephemeralContainerStatuses:[ContainerStatus] 14resize:s
    15resourceClaimStatuses:[PodResourceClaimStatus] 16hostIPs:[HostIP] 17observedGeneration:i
    18extendedResourceClaimStatus:PodExtendedResourceClaimStatus 19allocatedResources:{q}
    20resources:ResourceRequirements 21nodeAllocatableResourceClaimStatuses:[NodeAllocatableResourceClaimStatus]
    22volumeHealth:[PodVolumeHealth]
EventSource = 1component:s 2host:s
EventSeries = 1count:i 2lastObservedTime:u
EndpointSubset = 1addresses:[EndpointAddress] 2notReadyAddresses:[EndpointAddress] 3ports:[EndpointPortCorev1]
ResourceQuotaSpec = 1hard:{q} 2scopes:[s] 3scopeSelector:ScopeSelector
ResourceQuotaStatus = 1hard:{q} 2used:{q}
LimitRangeSpec = 1limits:[LimitRangeItem]
PersistentVolumeClaimSpec = 1accessModes:[s] 2resources:VolumeResourceRequirements 3volumeName:s
    4selector:LabelSelector 5storageClassName:s! 6volumeMode:s! 7dataSource:TypedLocalObjectReference
    8dataSourceRef:TypedObjectReference 9volumeAttributesClassName:s!
PersistentVolumeClaimStatus = 1phase:s 2accessModes:[s] 3capacity:{q} 4conditions:[PersistentVolumeClaimCondition]
    5allocatedResources:{q} 7allocatedResourceStatuses:{s} 8currentVolumeAttributesClassName:s!
    9modifyVolumeStatus:ModifyVolumeStatus 10healthStatus:VolumeHealthStatus
NodeSpec = 1podCIDR:s 2externalID:s 3providerID:s 4unschedulable:b 5taints:[Taint] 6configSource:NodeConfigSource
    7podCIDRs:[s] 8podPreemptionPolicy:NodePodPreemptionPolicy
NodeStatus = 1capacity:{q} 2allocatable:{q} 3phase:s 4conditions:[NodeCondition] 5addresses:[NodeAddress]
    6daemonEndpoints:NodeDaemonEndpoints 7nodeInfo:NodeSystemInfo 8images:[ContainerImage] 9volumesInUse:[s]
    10volumesAttached:[AttachedVolume] 11config:NodeConfigStatus 12runtimeHandlers:[NodeRuntimeHandler]
    13features:NodeFeatures 14declaredFeatures:[s]
DeploymentSpec = 1replicas:i! 2selector:LabelSelector 3template:PodTemplateSpec 4strategy:DeploymentStrategy
    5minReadySeconds:i 6revisionHistoryLimit:i! 7paused:b 9progressDeadlineSeconds:i!
DeploymentStatus = 1observedGeneration:i 2replicas:i 3updatedReplicas:i 4availableReplicas:i 5unavailableReplicas:i
    6conditions:[DeploymentCondition] 7readyReplicas:i 8collisionCount:i! 9terminatingReplicas:i!
ReplicaSetSpec = 1replicas:i! 2selector:LabelSelector 3template:PodTemplateSpec 4minReadySeconds:i
ReplicaSetStatus = 1replicas:i 2fullyLabeledReplicas:i 3observedGeneration:i 4readyReplicas:i 5availableReplicas:i
    6conditions:[ReplicaSetCondition] 7terminatingReplicas:i!
PolicyRule = 1verbs:[s] 2apiGroups:[s] 3resources:[s] 4resourceNames:[s] 5nonResourceURLs:[s]
Subject = 1kind:s 2apiGroup:s 3name:s 4namespace:s
RoleRef = 1apiGroup:s 2kind:s 3name:s
AggregationRule = 1clusterRoleSelectors:[LabelSelector]
SelfSubjectAccessReviewSpec = 1resourceAttributes:ResourceAttributes 2nonResourceAttributes:NonResourceAttributes
SubjectAccessReviewStatus = 1allowed:b 2reason:s 3evaluationError:s 4denied:b
SelfSubjectRulesReviewSpec = 1namespace:s
SubjectRulesReviewStatus = 1resourceRules:[ResourceRule] 2nonResourceRules:[NonResourceRule] 3incomplete:b
    4evaluationError:s
SubjectAccessReviewSpec = 1resourceAttributes:ResourceAttributes 2nonResourceAttributes:NonResourceAttributes 3user:s
    4groups:[s] 5extra:{[s]} 6uid:s
TokenRequestSpec = 1audiences:[s] 3boundObjectRef:BoundObjectReference 4expirationSeconds:i! 5attestations:{[s]}
TokenRequestStatus = 1token:s 2expirationTimestamp:t
TokenReviewSpec = 1token:s 2audiences:[s]
TokenReviewStatus = 1authenticated:b 2user:UserInfo 3error:s 4audiences:[s]
SelfSubjectReviewStatus = 1userInfo:UserInfo
PodDisruptionBudgetSpec = 1minAvailable:x 2selector:LabelSelector 3maxUnavailable:x 4unhealthyPodEvictionPolicy:s!
PodDisruptionBudgetStatus = 1observedGeneration:i 2disruptedPods:{t} 3disruptionsAllowed:i 4currentHealthy:i
    5desiredHealthy:i 6expectedPods:i 7conditions:[Condition]
LeaseSpec = 1holderIdentity:s! 2leaseDurationSeconds:i! 3acquireTime:u 4renewTime:u 5leaseTransitions:i! 6strategy:s!
    7preferredHolder:s!
Endpoint = 1addresses:[s] 2conditions:EndpointConditions 3hostname:s! 4targetRef:ObjectReference
    5deprecatedTopology:{s} 6nodeName:s! 7zone:s! 8hints:EndpointHints
EndpointPort = 1name:s! 2protocol:s! 3port:i! 4appProtocol:s!
ScaleSpec = 1replicas:i
ScaleStatus = 1replicas:i 2selector:s
HorizontalPodAutoscalerSpec = 1scaleTargetRef:CrossVersionObjectReference 2minReplicas:i! 3maxReplicas:i
    4metrics:[MetricSpec] 5behavior:HorizontalPodAutoscalerBehavior
HorizontalPodAutoscalerStatus = 1observedGeneration:i! 2lastScaleTime:t 3currentReplicas:i 4desiredReplicas:i
    5currentMetrics:[MetricStatus] 6conditions:[HorizontalPodAutoscalerCondition]
NetworkPolicySpec = 1podSelector:LabelSelector 2ingress:[NetworkPolicyIngressRule] 3egress:[NetworkPolicyEgressRule]
    4policyTypes:[s]
MutatingWebhook = 1name:s 2clientConfig:WebhookClientConfig 3rules:[RuleWithOperations] 4failurePolicy:s!
    5namespaceSelector:LabelSelector 6sideEffects:s! 7timeoutSeconds:i! 8admissionReviewVersions:[s] 9matchPolicy:s!
    10reinvocationPolicy:s! 11objectSelector:LabelSelector 12matchConditions:[MatchCondition]
ValidatingWebhook = 1name:s 2clientConfig:WebhookClientConfig 3rules:[RuleWithOperations] 4failurePolicy:s!
    5namespaceSelector:LabelSelector 6sideEffects:s! 7timeoutSeconds:i! 8admissionReviewVersions:[s] 9matchPolicy:s!
    10objectSelector:LabelSelector 11matchConditions:[MatchCondition]
Preconditions = 1uid:s! 2resourceVersion:s!
OwnerReference = 1kind:s 3name:s 4uid:s 5apiVersion:s 6controller:b! 7blockOwnerDeletion:b!
ManagedFieldsEntry = 1manager:s 2operation:s 3apiVersion:s 4time:t 6fieldsType:s 7fieldsV1:f 8subresource:s
NamespaceCondition = 1type:s 2status:s 4lastTransitionTime:t 5reason:s 6message:s
ServicePort = 1name:s 2protocol:s 3port:i 4targetPort:x 5nodePort:i 6appProtocol:s!
SessionAffinityConfig = 1clientIP:ClientIPConfig
LoadBalancerStatus = 1ingress:[LoadBalancerIngress]
Condition = 1type:s 2status:s 3observedGeneration:i 4lastTransitionTime:t 5reason:s 6message:s
Volume = 1name:s 2*VolumeSource
Container = 1name:s 2image:s 3command:[s] 4args:[s] 5workingDir:s 6ports:[ContainerPort] 7env:[EnvVar]
    8resources:ResourceRequirements 9volumeMounts:[VolumeMount] 10livenessProbe:Probe 11readinessProbe:Probe
    12lifecycle:Lifecycle 13terminationMessagePath:s 14imagePullPolicy:s 15securityContext:SecurityContext 16stdin:b
    17stdinOnce:b 18tty:b 19envFrom:[EnvFromSource] 20terminationMessagePolicy:s 21volumeDevices:[VolumeDevice]
    22startupProbe:Probe 23resizePolicy:[ContainerResizePolicy] 24restartPolicy:s!
    25restartPolicyRules:[ContainerRestartRule]
EphemeralContainer = 1*EphemeralContainerCommon 2targetContainerName:s
PodSecurityContext = 1seLinuxOptions:SELinuxOptions 2runAsUser:i! 3runAsNonRoot:b! 4supplementalGroups:[i] 5fsGroup:i!
    6runAsGroup:i! 7sysctls:[Sysctl] 8windowsOptions:WindowsSecurityContextOptions 9fsGroupChangePolicy:s!
    10seccompProfile:SeccompProfile 11appArmorProfile:AppArmorProfile 12supplementalGroupsPolicy:s!
    13seLinuxChangePolicy:s!
Affinity = 1nodeAffinity:NodeAffinity 2podAffinity:PodAffinity 3podAntiAffinity:PodAntiAffinity
Toleration = 1key:s 2operator:s 3value:s 4effect:s 5tolerationSeconds:i!
HostAlias = 1ip:s 2hostnames:[s]
PodDNSConfig = 1nameservers:[s] 2searches:[s] 3options:[PodDNSConfigOption]
PodReadinessGate = 1conditionType:s
TopologySpreadConstraint = 1maxSkew:i 2topologyKey:s 3whenUnsatisfiable:s 4labelSelector:LabelSelector 5minDomains:i!
    6nodeAffinityPolicy:s! 7nodeTaintsPolicy:s! 8matchLabelKeys:[s]
PodOS = 1name:s
PodSchedulingGate = 1name:s
PodResourceClaim = 1name:s 3resourceClaimName:s! 4resourceClaimTemplateName:s!
ResourceRequirements = 1limits:{q} 2requests:{q} 3claims:[ResourceClaim]
PodSchedulingGroup = 1podGroupName:s!
EvictionResponder = 1name:s 2priority:i!
PodCondition = 1type:s 2status:s 3lastProbeTime:t 4lastTransitionTime:t 5reason:s 6message:s 7observedGeneration:i
HostIP = 1ip:s
PodIP = 1ip:s
ContainerStatus = 1name:s 2state:ContainerState 3lastState:ContainerState 4ready:b 5restartCount:i 6image:s 7imageID:s
    8containerID:s 9started:b! 10allocatedResources:{q} 11resources:ResourceRequirements
    12volumeMounts:[VolumeMountStatus] 13user:ContainerUser 14allocatedResourcesStatus:[ResourceStatus]
    15stopSignal:s!
PodResourceClaimStatus = 1name:s 2resourceClaimName:s!
PodExtendedResourceClaimStatus = 1requestMappings:[ContainerExtendedResourceRequest] 2resourceClaimName:s
NodeAllocatableResourceClaimStatus = 1resourceClaimName:s 2containers:[s] 4mapping:[NodeAllocatableMappedResources]
    5overhead:[NodeAllocatableOverheadResources]
PodVolumeHealth = 1name:s 2healthConditions:[VolumeHealthCondition] 3lastTransitionTime:t
EndpointAddress = 1ip:s 2targetRef:ObjectReference 3hostname:s 4nodeName:s!
EndpointPortCorev1 = 1name:s 2port:i 3protocol:s 4appProtocol:s!
ScopeSelector = 1matchExpressions:[ScopedResourceSelectorRequirement]
LimitRangeItem = 1type:s 2max:{q} 3min:{q} 4default:{q} 5defaultRequest:{q} 6maxLimitRequestRatio:{q}
LabelSelector = 1matchLabels:{s} 2matchExpressions:[LabelSelectorRequirement]
VolumeResourceRequirements = 1limits:{q} 2requests:{q}
TypedLocalObjectReference = 1apiGroup:s! 2kind:s 3name:s
TypedObjectReference = 1apiGroup:s! 2kind:s 3name:s 4namespace:s!
PersistentVolumeClaimCondition = 1type:s 2status:s 3lastProbeTime:t 4lastTransitionTime:t 5reason:s 6message:s
ModifyVolumeStatus = 1targetVolumeAttributesClassName:s 2status:s
VolumeHealthStatus = 1healthConditions:[VolumeHealthCondition] 2lastTransitionTime:t
Taint = 1key:s 2value:s 3effect:s 4timeAdded:t
NodeConfigSource = 2configMap:ConfigMapNodeConfigSource
NodePodPreemptionPolicy = 1disableResizePreemption:[s]
NodeCondition = 1type:s 2status:s 3lastHeartbeatTime:t 4lastTransitionTime:t 5reason:s 6message:s
NodeAddress = 1type:s 2address:s
NodeDaemonEndpoints = 1kubeletEndpoint:DaemonEndpoint
NodeSystemInfo = 1machineID:s 2systemUUID:s 3bootID:s 4kernelVersion:s 5osImage:s 6containerRuntimeVersion:s
    7kubeletVersion:s 8kubeProxyVersion:s 9operatingSystem:s 10architecture:s 11swap:NodeSwapStatus
ContainerImage = 1names:[s] 2sizeBytes:i
"""
