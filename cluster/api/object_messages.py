"""Kinds that clients send, apart from pod templates (see `pod_messages`), in their protobuf encoding.

Pure data, read by `protobuf`. One message is `Name = field:number:type ...`; a type is s(tring), y (bytes), i(nteger),
b(oolean), T(ime), U (microseconds), q(uantity), x (integer or string), J(SON), L(ist of strings in a message), another
message's name, [repeated] or {map}; `!` marks scalars of which an empty value counts, `@` fields merged upwards.
Source of the facts: the published generated.proto files of the Kubernetes API (v1.3x).
"""

MESSAGES = """
Pod = metadata:1:ObjectMeta spec:2:PodSpec status:3:PodStatus
PodStatus = observedGeneration:17:i phase:1:s conditions:2:[PodCondition] message:3:s reason:4:s
    nominatedNodeName:11:s hostIP:5:s hostIPs:16:[HostIP] podIP:6:s podIPs:12:[PodIP] startTime:7:T
    initContainerStatuses:10:[ContainerStatus] containerStatuses:8:[ContainerStatus] qosClass:9:s
    ephemeralContainerStatuses:13:[ContainerStatus] resize:14:s resourceClaimStatuses:15:[PodResourceClaimStatus]
    extendedResourceClaimStatus:18:PodExtendedResourceClaimStatus allocatedResources:19:{q}
    resources:20:ResourceRequirements nodeAllocatableResourceClaimStatuses:21:[NodeAllocatableResourceClaimStatus]
    volumeHealth:22:[PodVolumeHealth]
PodCondition = type:1:s observedGeneration:7:i status:2:s lastProbeTime:3:T lastTransitionTime:4:T reason:5:s
    message:6:s
HostIP = ip:1:s
PodIP = ip:1:s
ContainerStatus = name:1:s state:2:ContainerState lastState:3:ContainerState ready:4:b restartCount:5:i image:6:s
    imageID:7:s containerID:8:s started:9:b! allocatedResources:10:{q} resources:11:ResourceRequirements
    volumeMounts:12:[VolumeMountStatus] user:13:ContainerUser allocatedResourcesStatus:14:[ResourceStatus]
    stopSignal:15:s!
ContainerState = waiting:1:ContainerStateWaiting running:2:ContainerStateRunning terminated:3:ContainerStateTerminated
ContainerStateWaiting = reason:1:s message:2:s
ContainerStateRunning = startedAt:1:T
ContainerStateTerminated = exitCode:1:i signal:2:i reason:3:s message:4:s startedAt:5:T finishedAt:6:T containerID:7:s
VolumeMountStatus = name:1:s mountPath:2:s readOnly:3:b recursiveReadOnly:4:s! volumeStatus:5:VolumeStatus
VolumeStatus = image:1:ImageVolumeStatus
ImageVolumeStatus = imageRef:1:s
ContainerUser = linux:1:LinuxContainerUser
LinuxContainerUser = uid:1:i gid:2:i supplementalGroups:3:[i]
ResourceStatus = name:1:s resources:2:[ResourceHealth]
ResourceHealth = resourceID:1:s health:2:s message:6:s!
PodResourceClaimStatus = name:1:s resourceClaimName:2:s!
PodExtendedResourceClaimStatus = requestMappings:1:[ContainerExtendedResourceRequest] resourceClaimName:2:s
ContainerExtendedResourceRequest = containerName:1:s resourceName:2:s requestName:3:s
NodeAllocatableResourceClaimStatus = resourceClaimName:1:s containers:2:[s] mapping:4:[NodeAllocatableMappedResources]
    overhead:5:[NodeAllocatableOverheadResources]
NodeAllocatableMappedResources = name:1:s quantity:2:q
NodeAllocatableOverheadResources = name:1:s perPod:2:q perContainer:3:q
PodVolumeHealth = name:1:s healthConditions:2:[VolumeHealthCondition] lastTransitionTime:3:T
VolumeHealthCondition = status:1:s reason:2:s message:3:s
Service = metadata:1:ObjectMeta spec:2:ServiceSpec status:3:ServiceStatus
ServiceSpec = ports:1:[ServicePort] selector:2:{s} clusterIP:3:s clusterIPs:18:[s] type:4:s externalIPs:5:[s]
    sessionAffinity:7:s loadBalancerIP:8:s loadBalancerSourceRanges:9:[s] externalName:10:s externalTrafficPolicy:11:s
    healthCheckNodePort:12:i publishNotReadyAddresses:13:b sessionAffinityConfig:14:SessionAffinityConfig
    ipFamilies:19:[s] ipFamilyPolicy:17:s! allocateLoadBalancerNodePorts:20:b! loadBalancerClass:21:s!
    internalTrafficPolicy:22:s! trafficDistribution:23:s!
ServicePort = name:1:s protocol:2:s appProtocol:6:s! port:3:i targetPort:4:x nodePort:5:i
SessionAffinityConfig = clientIP:1:ClientIPConfig
ClientIPConfig = timeoutSeconds:1:i!
ServiceStatus = loadBalancer:1:LoadBalancerStatus conditions:2:[Condition]
LoadBalancerStatus = ingress:1:[LoadBalancerIngress]
LoadBalancerIngress = ip:1:s hostname:2:s ipMode:3:s! ports:4:[PortStatus]
PortStatus = port:1:i protocol:2:s error:3:s!
Condition = type:1:s status:2:s observedGeneration:3:i lastTransitionTime:4:T reason:5:s message:6:s
Namespace = metadata:1:ObjectMeta spec:2:NamespaceSpec status:3:NamespaceStatus
NamespaceSpec = finalizers:1:[s]
NamespaceStatus = phase:1:s conditions:2:[NamespaceCondition]
NamespaceCondition = type:1:s status:2:s lastTransitionTime:4:T reason:5:s message:6:s
Node = metadata:1:ObjectMeta spec:2:NodeSpec status:3:NodeStatus
NodeSpec = podCIDR:1:s podCIDRs:7:[s] providerID:3:s unschedulable:4:b taints:5:[Taint] externalID:2:s
    podPreemptionPolicy:8:NodePodPreemptionPolicy
Taint = key:1:s value:2:s effect:3:s timeAdded:4:T
NodePodPreemptionPolicy = disableResizePreemption:1:[s]
NodeStatus = capacity:1:{q} allocatable:2:{q} phase:3:s conditions:4:[NodeCondition] addresses:5:[NodeAddress]
    daemonEndpoints:6:NodeDaemonEndpoints nodeInfo:7:NodeSystemInfo images:8:[ContainerImage] volumesInUse:9:[s]
    volumesAttached:10:[AttachedVolume] runtimeHandlers:12:[NodeRuntimeHandler] features:13:NodeFeatures
    declaredFeatures:14:[s]
NodeCondition = type:1:s status:2:s lastHeartbeatTime:3:T lastTransitionTime:4:T reason:5:s message:6:s
NodeAddress = type:1:s address:2:s
NodeDaemonEndpoints = kubeletEndpoint:1:DaemonEndpoint
DaemonEndpoint = Port:1:i
NodeSystemInfo = machineID:1:s systemUUID:2:s bootID:3:s kernelVersion:4:s osImage:5:s containerRuntimeVersion:6:s
    kubeletVersion:7:s kubeProxyVersion:8:s operatingSystem:9:s architecture:10:s swap:11:NodeSwapStatus
NodeSwapStatus = capacity:1:i!
ContainerImage = names:1:[s] sizeBytes:2:i
AttachedVolume = name:1:s devicePath:2:s
NodeRuntimeHandler = name:1:s features:2:NodeRuntimeHandlerFeatures
NodeRuntimeHandlerFeatures = recursiveReadOnlyMounts:1:b! userNamespaces:2:b!
NodeFeatures = supplementalGroupsPolicy:1:b!
ConfigMap = metadata:1:ObjectMeta immutable:4:b! data:2:{s} binaryData:3:{y}
Secret = metadata:1:ObjectMeta immutable:5:b! data:2:{y} stringData:4:{s} type:3:s
ServiceAccount = metadata:1:ObjectMeta secrets:2:[ObjectReference] imagePullSecrets:3:[LocalObjectReference]
    automountServiceAccountToken:4:b!
ObjectReference = kind:1:s namespace:2:s name:3:s uid:4:s apiVersion:5:s resourceVersion:6:s fieldPath:7:s
Event = metadata:1:ObjectMeta involvedObject:2:ObjectReference reason:3:s message:4:s source:5:EventSource
    firstTimestamp:6:T lastTimestamp:7:T count:8:i type:9:s eventTime:10:U series:11:EventSeries action:12:s
    related:13:ObjectReference reportingComponent:14:s reportingInstance:15:s
EventSource = component:1:s host:2:s
EventSeries = count:1:i lastObservedTime:2:U
Endpoints = metadata:1:ObjectMeta subsets:2:[EndpointSubset]
EndpointSubset = addresses:1:[EndpointAddress] notReadyAddresses:2:[EndpointAddress] ports:3:[EndpointPort]
EndpointAddress = ip:1:s hostname:3:s nodeName:4:s! targetRef:2:ObjectReference
EndpointPort = name:1:s port:2:i protocol:3:s appProtocol:4:s!
PersistentVolumeClaim = metadata:1:ObjectMeta spec:2:PersistentVolumeClaimSpec status:3:PersistentVolumeClaimStatus
PersistentVolumeClaimStatus = phase:1:s accessModes:2:[s] capacity:3:{q} conditions:4:[PersistentVolumeClaimCondition]
    allocatedResources:5:{q} allocatedResourceStatuses:7:{s} currentVolumeAttributesClassName:8:s!
    modifyVolumeStatus:9:ModifyVolumeStatus healthStatus:10:VolumeHealthStatus
PersistentVolumeClaimCondition = type:1:s status:2:s lastProbeTime:3:T lastTransitionTime:4:T reason:5:s message:6:s
ModifyVolumeStatus = targetVolumeAttributesClassName:1:s status:2:s
VolumeHealthStatus = healthConditions:1:[VolumeHealthCondition] lastTransitionTime:2:T
ResourceQuota = metadata:1:ObjectMeta spec:2:ResourceQuotaSpec status:3:ResourceQuotaStatus
ResourceQuotaSpec = hard:1:{q} scopes:2:[s] scopeSelector:3:ScopeSelector
ScopeSelector = matchExpressions:1:[ScopedResourceSelectorRequirement]
ScopedResourceSelectorRequirement = scopeName:1:s operator:2:s values:3:[s]
ResourceQuotaStatus = hard:1:{q} used:2:{q}
LimitRange = metadata:1:ObjectMeta spec:2:LimitRangeSpec
LimitRangeSpec = limits:1:[LimitRangeItem]
LimitRangeItem = type:1:s max:2:{q} min:3:{q} default:4:{q} defaultRequest:5:{q} maxLimitRequestRatio:6:{q}
Binding = metadata:1:ObjectMeta target:2:ObjectReference
Deployment = metadata:1:ObjectMeta spec:2:DeploymentSpec status:3:DeploymentStatus
DeploymentSpec = replicas:1:i! selector:2:LabelSelector template:3:PodTemplateSpec strategy:4:DeploymentStrategy
    minReadySeconds:5:i revisionHistoryLimit:6:i! paused:7:b progressDeadlineSeconds:9:i!
DeploymentStrategy = type:1:s rollingUpdate:2:RollingUpdateDeployment
RollingUpdateDeployment = maxUnavailable:1:x maxSurge:2:x
DeploymentStatus = observedGeneration:1:i replicas:2:i updatedReplicas:3:i readyReplicas:7:i availableReplicas:4:i
    unavailableReplicas:5:i terminatingReplicas:9:i! conditions:6:[DeploymentCondition] collisionCount:8:i!
DeploymentCondition = type:1:s status:2:s lastUpdateTime:6:T lastTransitionTime:7:T reason:4:s message:5:s
ReplicaSet = metadata:1:ObjectMeta spec:2:ReplicaSetSpec status:3:ReplicaSetStatus
ReplicaSetSpec = replicas:1:i! minReadySeconds:4:i selector:2:LabelSelector template:3:PodTemplateSpec
ReplicaSetStatus = replicas:1:i fullyLabeledReplicas:2:i readyReplicas:4:i availableReplicas:5:i
    terminatingReplicas:7:i! observedGeneration:3:i conditions:6:[ReplicaSetCondition]
ReplicaSetCondition = type:1:s status:2:s lastTransitionTime:3:T reason:4:s message:5:s
Role = metadata:1:ObjectMeta rules:2:[PolicyRule]
PolicyRule = verbs:1:[s] apiGroups:2:[s] resources:3:[s] resourceNames:4:[s] nonResourceURLs:5:[s]
RoleBinding = metadata:1:ObjectMeta subjects:2:[Subject] roleRef:3:RoleRef
Subject = kind:1:s apiGroup:2:s name:3:s namespace:4:s
RoleRef = apiGroup:1:s kind:2:s name:3:s
ClusterRole = metadata:1:ObjectMeta rules:2:[PolicyRule] aggregationRule:3:AggregationRule
AggregationRule = clusterRoleSelectors:1:[LabelSelector]
ClusterRoleBinding = metadata:1:ObjectMeta subjects:2:[Subject] roleRef:3:RoleRef
SelfSubjectAccessReview = metadata:1:ObjectMeta spec:2:SelfSubjectAccessReviewSpec status:3:SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec = resourceAttributes:1:ResourceAttributes nonResourceAttributes:2:NonResourceAttributes
ResourceAttributes = namespace:1:s verb:2:s group:3:s version:4:s resource:5:s subresource:6:s name:7:s
    fieldSelector:8:FieldSelectorAttributes labelSelector:9:LabelSelectorAttributes
FieldSelectorAttributes = rawSelector:1:s requirements:2:[FieldSelectorRequirement]
FieldSelectorRequirement = key:1:s operator:2:s values:3:[s]
LabelSelectorAttributes = rawSelector:1:s requirements:2:[LabelSelectorRequirement]
NonResourceAttributes = path:1:s verb:2:s
SubjectAccessReviewStatus = allowed:1:b denied:4:b reason:2:s evaluationError:3:s
SubjectAccessReview = metadata:1:ObjectMeta spec:2:SubjectAccessReviewSpec status:3:SubjectAccessReviewStatus
SubjectAccessReviewSpec = resourceAttributes:1:ResourceAttributes nonResourceAttributes:2:NonResourceAttributes
    user:3:s groups:4:[s] extra:5:{L} uid:6:s
LocalSubjectAccessReview = metadata:1:ObjectMeta spec:2:SubjectAccessReviewSpec status:3:SubjectAccessReviewStatus
SelfSubjectRulesReview = metadata:1:ObjectMeta spec:2:SelfSubjectRulesReviewSpec status:3:SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec = namespace:1:s
SubjectRulesReviewStatus = resourceRules:1:[ResourceRule] nonResourceRules:2:[NonResourceRule] incomplete:3:b
    evaluationError:4:s
ResourceRule = verbs:1:[s] apiGroups:2:[s] resources:3:[s] resourceNames:4:[s]
NonResourceRule = verbs:1:[s] nonResourceURLs:2:[s]
SelfSubjectReview = metadata:1:ObjectMeta status:2:SelfSubjectReviewStatus
SelfSubjectReviewStatus = userInfo:1:UserInfo
UserInfo = username:1:s uid:2:s groups:3:[s] extra:4:{L}
TokenReview = metadata:1:ObjectMeta spec:2:TokenReviewSpec status:3:TokenReviewStatus
TokenReviewSpec = token:1:s audiences:2:[s]
TokenReviewStatus = authenticated:1:b user:2:UserInfo audiences:4:[s] error:3:s
TokenRequest = metadata:1:ObjectMeta spec:2:TokenRequestSpec status:3:TokenRequestStatus
TokenRequestSpec = audiences:1:[s] expirationSeconds:4:i! boundObjectRef:3:BoundObjectReference
    attestations:5:{AttestationValue}
BoundObjectReference = kind:1:s apiVersion:2:s name:3:s uid:4:s
AttestationValue = items:1:[s]
TokenRequestStatus = token:1:s expirationTimestamp:2:T
PodDisruptionBudget = metadata:1:ObjectMeta spec:2:PodDisruptionBudgetSpec status:3:PodDisruptionBudgetStatus
PodDisruptionBudgetSpec = minAvailable:1:x selector:2:LabelSelector maxUnavailable:3:x unhealthyPodEvictionPolicy:4:s!
PodDisruptionBudgetStatus = observedGeneration:1:i disruptedPods:2:{T} disruptionsAllowed:3:i currentHealthy:4:i
    desiredHealthy:5:i expectedPods:6:i conditions:7:[Condition]
Eviction = metadata:1:ObjectMeta deleteOptions:2:DeleteOptions
DeleteOptions = gracePeriodSeconds:1:i! preconditions:2:Preconditions orphanDependents:3:b! propagationPolicy:4:s!
    dryRun:5:[s] ignoreStoreReadErrorWithClusterBreakingPotential:6:b!
Preconditions = uid:1:s! resourceVersion:2:s!
PriorityClass = metadata:1:ObjectMeta value:2:i globalDefault:3:b description:4:s preemptionPolicy:5:s!
NetworkPolicy = metadata:1:ObjectMeta spec:2:NetworkPolicySpec
NetworkPolicySpec = podSelector:1:LabelSelector ingress:2:[NetworkPolicyIngressRule]
    egress:3:[NetworkPolicyEgressRule] policyTypes:4:[s]
NetworkPolicyIngressRule = ports:1:[NetworkPolicyPort] from:2:[NetworkPolicyPeer]
NetworkPolicyPort = protocol:1:s! port:2:x endPort:3:i!
NetworkPolicyPeer = podSelector:1:LabelSelector namespaceSelector:2:LabelSelector ipBlock:3:IPBlock
IPBlock = cidr:1:s except:2:[s]
NetworkPolicyEgressRule = ports:1:[NetworkPolicyPort] to:2:[NetworkPolicyPeer]
Lease = metadata:1:ObjectMeta spec:2:LeaseSpec
LeaseSpec = holderIdentity:1:s! leaseDurationSeconds:2:i! acquireTime:3:U renewTime:4:U leaseTransitions:5:i!
    strategy:6:s! preferredHolder:7:s!
EndpointSlice = metadata:1:ObjectMeta addressType:4:s endpoints:2:[Endpoint] ports:3:[SlicePort]
Endpoint = addresses:1:[s] conditions:2:EndpointConditions hostname:3:s! targetRef:4:ObjectReference
    deprecatedTopology:5:{s} nodeName:6:s! zone:7:s! hints:8:EndpointHints
EndpointConditions = ready:1:b! serving:2:b! terminating:3:b!
EndpointHints = forZones:1:[ForZone] forNodes:2:[ForNode]
ForZone = name:1:s
ForNode = name:1:s
SlicePort = name:1:s! protocol:2:s! port:3:i! appProtocol:4:s!
Scale = metadata:1:ObjectMeta spec:2:ScaleSpec status:3:ScaleStatus
ScaleSpec = replicas:1:i
ScaleStatus = replicas:1:i selector:2:s
MutatingWebhookConfiguration = metadata:1:ObjectMeta webhooks:2:[MutatingWebhook]
MutatingWebhook = name:1:s clientConfig:2:WebhookClientConfig rules:3:[RuleWithOperations] failurePolicy:4:s!
    matchPolicy:9:s! namespaceSelector:5:LabelSelector objectSelector:11:LabelSelector sideEffects:6:s!
    timeoutSeconds:7:i! admissionReviewVersions:8:[s] reinvocationPolicy:10:s! matchConditions:12:[MatchCondition]
WebhookClientConfig = url:3:s! service:1:ServiceReference caBundle:2:y
ServiceReference = namespace:1:s name:2:s path:3:s! port:4:i!
RuleWithOperations = operations:1:[s] @:2:Rule
Rule = apiGroups:1:[s] apiVersions:2:[s] resources:3:[s] scope:4:s!
MatchCondition = name:1:s expression:2:s
ValidatingWebhookConfiguration = metadata:1:ObjectMeta webhooks:2:[ValidatingWebhook]
ValidatingWebhook = name:1:s clientConfig:2:WebhookClientConfig rules:3:[RuleWithOperations] failurePolicy:4:s!
    matchPolicy:9:s! namespaceSelector:5:LabelSelector objectSelector:10:LabelSelector sideEffects:6:s!
    timeoutSeconds:7:i! admissionReviewVersions:8:[s] matchConditions:11:[MatchCondition]
HorizontalPodAutoscaler = metadata:1:ObjectMeta spec:2:HorizontalPodAutoscalerSpec
HorizontalPodAutoscalerSpec = scaleTargetRef:1:CrossVersionObjectReference minReplicas:2:i! maxReplicas:3:i
    metrics:4:[MetricSpec] behavior:5:HorizontalPodAutoscalerBehavior
HorizontalPodAutoscalerV1 = metadata:1:ObjectMeta spec:2:HorizontalPodAutoscalerSpecV1
HorizontalPodAutoscalerSpecV1 = scaleTargetRef:1:CrossVersionObjectReference minReplicas:2:i! maxReplicas:3:i
    targetCPUUtilizationPercentage:4:i
CrossVersionObjectReference = kind:1:s name:2:s apiVersion:3:s
MetricSpec = type:1:s object:2:ObjectMetricSource pods:3:PodsMetricSource resource:4:ResourceMetricSource
    external:5:PodsMetricSource containerResource:7:ContainerResourceMetricSource
ObjectMetricSource = describedObject:1:CrossVersionObjectReference target:2:MetricTarget metric:3:MetricIdentifier
PodsMetricSource = metric:1:MetricIdentifier target:2:MetricTarget
ResourceMetricSource = name:1:s target:2:MetricTarget
ContainerResourceMetricSource = name:1:s target:2:MetricTarget container:3:s
MetricIdentifier = name:1:s selector:2:LabelSelector
MetricTarget = type:1:s value:2:q averageValue:3:q averageUtilization:4:i
HorizontalPodAutoscalerBehavior = scaleUp:1:HPAScalingRules scaleDown:2:HPAScalingRules
HPAScalingRules = selectPolicy:1:s policies:2:[HPAScalingPolicy] stabilizationWindowSeconds:3:i! tolerance:4:q
HPAScalingPolicy = type:1:s value:2:i periodSeconds:3:i
"""
