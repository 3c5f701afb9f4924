"""Fields of the built-in kinds, apart from pod templates (see `pod_types`).

Pure data, read by `builtin_schemas`. One type is `Name = field:type ...`; a field's type is s(tring), i(nteger),
n(umber), b(oolean), t(ime), q(uantity), x (integer or string), ? (anything), another type's name, [list] or {map}.
Source of the facts: the published Kubernetes OpenAPI (v1.3x); a test compares them with the official Python client.
"""

TYPES = """
Pod = apiVersion:s kind:s metadata:ObjectMeta spec:PodSpec status:PodStatus
PodStatus = allocatedResources:{q} conditions:[PodCondition] containerStatuses:[ContainerStatus]
    ephemeralContainerStatuses:[ContainerStatus] extendedResourceClaimStatus:PodExtendedResourceClaimStatus hostIP:s
    hostIPs:[HostIP] initContainerStatuses:[ContainerStatus] message:s
    nodeAllocatableResourceClaimStatuses:[NodeAllocatableResourceClaimStatus] nominatedNodeName:s observedGeneration:i
    phase:s podIP:s podIPs:[PodIP] qosClass:s reason:s resize:s resourceClaimStatuses:[PodResourceClaimStatus]
    resources:ResourceRequirements startTime:t volumeHealth:?
PodCondition = lastProbeTime:t lastTransitionTime:t message:s observedGeneration:i reason:s status:s type:s
ContainerStatus = allocatedResources:{q} allocatedResourcesStatus:[ResourceStatus] containerID:s image:s imageID:s
    lastState:ContainerState name:s ready:b resources:ResourceRequirements restartCount:i started:b
    state:ContainerState stopSignal:s user:ContainerUser volumeMounts:[VolumeMountStatus]
ResourceStatus = name:s resources:[ResourceHealth]
ResourceHealth = health:s message:s resourceID:s
ContainerState = running:ContainerStateRunning terminated:ContainerStateTerminated waiting:ContainerStateWaiting
ContainerStateRunning = startedAt:t
ContainerStateTerminated = containerID:s exitCode:i finishedAt:t message:s reason:s signal:i startedAt:t
ContainerStateWaiting = message:s reason:s
ContainerUser = linux:LinuxContainerUser
LinuxContainerUser = gid:i supplementalGroups:[i] uid:i
VolumeMountStatus = mountPath:s name:s readOnly:b recursiveReadOnly:s volumeStatus:VolumeStatus
VolumeStatus = image:ImageVolumeStatus
ImageVolumeStatus = imageRef:s
PodExtendedResourceClaimStatus = requestMappings:[ContainerExtendedResourceRequest] resourceClaimName:s
ContainerExtendedResourceRequest = containerName:s requestName:s resourceName:s
HostIP = ip:s
NodeAllocatableResourceClaimStatus = containers:[s] mapping:[NodeAllocatableMappedResources]
    overhead:[NodeAllocatableOverheadResources] resourceClaimName:s
NodeAllocatableMappedResources = name:s quantity:s
NodeAllocatableOverheadResources = name:s perContainer:s perPod:s
PodIP = ip:s
PodResourceClaimStatus = name:s resourceClaimName:s
Service = apiVersion:s kind:s metadata:ObjectMeta spec:ServiceSpec status:ServiceStatus
ServiceSpec = allocateLoadBalancerNodePorts:b clusterIP:s clusterIPs:[s] externalIPs:[s] externalName:s
    externalTrafficPolicy:s healthCheckNodePort:i internalTrafficPolicy:s ipFamilies:[s] ipFamilyPolicy:s
    loadBalancerClass:s loadBalancerIP:s loadBalancerSourceRanges:[s] ports:[ServicePort] publishNotReadyAddresses:b
    selector:{s} sessionAffinity:s sessionAffinityConfig:SessionAffinityConfig trafficDistribution:s type:s
ServicePort = appProtocol:s name:s nodePort:i port:i protocol:s targetPort:x
SessionAffinityConfig = clientIP:ClientIPConfig
ClientIPConfig = timeoutSeconds:i
ServiceStatus = conditions:[Condition] loadBalancer:LoadBalancerStatus
Condition = lastTransitionTime:t message:s observedGeneration:i reason:s status:s type:s
LoadBalancerStatus = ingress:[LoadBalancerIngress]
LoadBalancerIngress = hostname:s ip:s ipMode:s ports:[PortStatus]
PortStatus = error:s port:i protocol:s
Namespace = apiVersion:s kind:s metadata:ObjectMeta spec:NamespaceSpec status:NamespaceStatus
NamespaceSpec = finalizers:[s]
NamespaceStatus = conditions:[NamespaceCondition] phase:s
NamespaceCondition = lastTransitionTime:t message:s reason:s status:s type:s
Node = apiVersion:s kind:s metadata:ObjectMeta spec:NodeSpec status:NodeStatus
NodeSpec = configSource:? externalID:s podCIDR:s podCIDRs:[s] podPreemptionPolicy:NodePodPreemptionPolicy providerID:s
    taints:[Taint] unschedulable:b
NodePodPreemptionPolicy = disableResizePreemption:[s]
Taint = effect:s key:s timeAdded:t value:s
NodeStatus = addresses:[NodeAddress] allocatable:{q} capacity:{q} conditions:[NodeCondition] config:?
    daemonEndpoints:NodeDaemonEndpoints declaredFeatures:[s] features:NodeFeatures images:[ContainerImage]
    nodeInfo:NodeSystemInfo phase:s runtimeHandlers:[NodeRuntimeHandler] volumesAttached:[AttachedVolume]
    volumesInUse:[s]
NodeAddress = address:s type:s
NodeCondition = lastHeartbeatTime:t lastTransitionTime:t message:s reason:s status:s type:s
NodeDaemonEndpoints = kubeletEndpoint:DaemonEndpoint
DaemonEndpoint = Port:i
NodeFeatures = supplementalGroupsPolicy:b
ContainerImage = names:[s] sizeBytes:i
NodeSystemInfo = architecture:s bootID:s containerRuntimeVersion:s kernelVersion:s kubeProxyVersion:s kubeletVersion:s
    machineID:s operatingSystem:s osImage:s runningInUserNamespace:b swap:NodeSwapStatus systemUUID:s
NodeSwapStatus = capacity:i
NodeRuntimeHandler = features:NodeRuntimeHandlerFeatures name:s
NodeRuntimeHandlerFeatures = recursiveReadOnlyMounts:b userNamespaces:b
AttachedVolume = devicePath:s name:s
ConfigMap = apiVersion:s binaryData:{s} data:{s} immutable:b kind:s metadata:ObjectMeta
Secret = apiVersion:s data:{s} immutable:b kind:s metadata:ObjectMeta stringData:{s} type:s
ServiceAccount = apiVersion:s automountServiceAccountToken:b imagePullSecrets:[LocalObjectReference] kind:s
    metadata:ObjectMeta secrets:[ObjectReference]
ObjectReference = apiVersion:s fieldPath:s kind:s name:s namespace:s resourceVersion:s uid:s
Event = action:s apiVersion:s count:i eventTime:t firstTimestamp:t involvedObject:ObjectReference kind:s
    lastTimestamp:t message:s metadata:ObjectMeta reason:s related:ObjectReference reportingComponent:s
    reportingInstance:s series:EventSeries source:EventSource type:s
EventSeries = count:i lastObservedTime:t
EventSource = component:s host:s
Endpoints = apiVersion:s kind:s metadata:ObjectMeta subsets:[EndpointSubset]
EndpointSubset = addresses:[EndpointAddress] notReadyAddresses:[EndpointAddress] ports:[EndpointPort]
EndpointAddress = hostname:s ip:s nodeName:s targetRef:ObjectReference
EndpointPort = appProtocol:s name:s port:i protocol:s
PersistentVolumeClaim = apiVersion:s kind:s metadata:ObjectMeta spec:PersistentVolumeClaimSpec
    status:PersistentVolumeClaimStatus
PersistentVolumeClaimStatus = accessModes:[s] allocatedResourceStatuses:{s} allocatedResources:{q} capacity:{q}
    conditions:[PersistentVolumeClaimCondition] currentVolumeAttributesClassName:s healthStatus:?
    modifyVolumeStatus:ModifyVolumeStatus phase:s
PersistentVolumeClaimCondition = lastProbeTime:t lastTransitionTime:t message:s reason:s status:s type:s
ModifyVolumeStatus = status:s targetVolumeAttributesClassName:s
ResourceQuota = apiVersion:s kind:s metadata:ObjectMeta spec:ResourceQuotaSpec status:ResourceQuotaStatus
ResourceQuotaSpec = hard:{q} scopeSelector:ScopeSelector scopes:[s]
ScopeSelector = matchExpressions:[ScopedResourceSelectorRequirement]
ScopedResourceSelectorRequirement = operator:s scopeName:s values:[s]
ResourceQuotaStatus = hard:{q} used:{q}
LimitRange = apiVersion:s kind:s metadata:ObjectMeta spec:LimitRangeSpec
LimitRangeSpec = limits:[LimitRangeItem]
LimitRangeItem = default:{q} defaultRequest:{q} max:{q} maxLimitRequestRatio:{q} min:{q} type:s
Deployment = apiVersion:s kind:s metadata:ObjectMeta spec:DeploymentSpec status:DeploymentStatus
DeploymentSpec = minReadySeconds:i paused:b progressDeadlineSeconds:i replicas:i revisionHistoryLimit:i
    selector:LabelSelector strategy:DeploymentStrategy template:PodTemplateSpec
DeploymentStrategy = rollingUpdate:RollingUpdateDeployment type:s
RollingUpdateDeployment = maxSurge:x maxUnavailable:x
DeploymentStatus = availableReplicas:i collisionCount:i conditions:[DeploymentCondition] observedGeneration:i
    readyReplicas:i replicas:i terminatingReplicas:i unavailableReplicas:i updatedReplicas:i
DeploymentCondition = lastTransitionTime:t lastUpdateTime:t message:s reason:s status:s type:s
ReplicaSet = apiVersion:s kind:s metadata:ObjectMeta spec:ReplicaSetSpec status:ReplicaSetStatus
ReplicaSetSpec = minReadySeconds:i replicas:i selector:LabelSelector template:PodTemplateSpec
ReplicaSetStatus = availableReplicas:i conditions:[ReplicaSetCondition] fullyLabeledReplicas:i observedGeneration:i
    readyReplicas:i replicas:i terminatingReplicas:i
ReplicaSetCondition = lastTransitionTime:t message:s reason:s status:s type:s
Role = apiVersion:s kind:s metadata:ObjectMeta rules:[PolicyRule]
PolicyRule = apiGroups:[s] nonResourceURLs:[s] resourceNames:[s] resources:[s] verbs:[s]
RoleBinding = apiVersion:s kind:s metadata:ObjectMeta roleRef:RoleRef subjects:[Subject]
RoleRef = apiGroup:s kind:s name:s
Subject = apiGroup:s kind:s name:s namespace:s
ClusterRole = aggregationRule:AggregationRule apiVersion:s kind:s metadata:ObjectMeta rules:[PolicyRule]
AggregationRule = clusterRoleSelectors:[LabelSelector]
ClusterRoleBinding = apiVersion:s kind:s metadata:ObjectMeta roleRef:RoleRef subjects:[Subject]
MutatingWebhookConfiguration = apiVersion:s kind:s metadata:ObjectMeta webhooks:[MutatingWebhook]
MutatingWebhook = admissionReviewVersions:[s] clientConfig:WebhookClientConfig failurePolicy:s
    matchConditions:[MatchCondition] matchPolicy:s name:s namespaceSelector:LabelSelector objectSelector:LabelSelector
    reinvocationPolicy:s rules:[RuleWithOperations] sideEffects:s timeoutSeconds:i
WebhookClientConfig = caBundle:s service:ServiceReference url:s
ServiceReference = name:s namespace:s path:s port:i
MatchCondition = expression:s name:s
RuleWithOperations = apiGroups:[s] apiVersions:[s] operations:[s] resources:[s] scope:s
ValidatingWebhookConfiguration = apiVersion:s kind:s metadata:ObjectMeta webhooks:[ValidatingWebhook]
ValidatingWebhook = admissionReviewVersions:[s] clientConfig:WebhookClientConfig failurePolicy:s
    matchConditions:[MatchCondition] matchPolicy:s name:s namespaceSelector:LabelSelector objectSelector:LabelSelector
    rules:[RuleWithOperations] sideEffects:s timeoutSeconds:i
EndpointSlice = addressType:s apiVersion:s endpoints:[Endpoint] kind:s metadata:ObjectMeta ports:[EndpointPort]
Endpoint = addresses:[s] conditions:EndpointConditions deprecatedTopology:{s} hints:EndpointHints hostname:s
    nodeName:s targetRef:ObjectReference zone:s
EndpointConditions = ready:b serving:b terminating:b
EndpointHints = forNodes:[ForNode] forZones:[ForZone]
ForNode = name:s
ForZone = name:s
Lease = apiVersion:s kind:s metadata:ObjectMeta spec:LeaseSpec
LeaseSpec = acquireTime:t holderIdentity:s leaseDurationSeconds:i leaseTransitions:i preferredHolder:s renewTime:t
    strategy:s
PodDisruptionBudget = apiVersion:s kind:s metadata:ObjectMeta spec:PodDisruptionBudgetSpec
    status:PodDisruptionBudgetStatus
PodDisruptionBudgetSpec = maxUnavailable:x minAvailable:x selector:LabelSelector unhealthyPodEvictionPolicy:s
PodDisruptionBudgetStatus = conditions:[Condition] currentHealthy:i desiredHealthy:i disruptedPods:{t}
    disruptionsAllowed:i expectedPods:i observedGeneration:i
HorizontalPodAutoscaler = apiVersion:s kind:s metadata:ObjectMeta spec:HorizontalPodAutoscalerSpec
    status:HorizontalPodAutoscalerStatus
HorizontalPodAutoscalerSpec = behavior:HorizontalPodAutoscalerBehavior maxReplicas:i metrics:[MetricSpec]
    minReplicas:i scaleTargetRef:CrossVersionObjectReference
HorizontalPodAutoscalerBehavior = scaleDown:HPAScalingRules scaleUp:HPAScalingRules
HPAScalingRules = policies:[HPAScalingPolicy] selectPolicy:s stabilizationWindowSeconds:i tolerance:s
HPAScalingPolicy = periodSeconds:i type:s value:i
MetricSpec = containerResource:ContainerResourceMetricSource external:ExternalMetricSource object:ObjectMetricSource
    pods:PodsMetricSource resource:ResourceMetricSource type:s
ContainerResourceMetricSource = container:s name:s target:MetricTarget
MetricTarget = averageUtilization:i averageValue:q type:s value:q
ExternalMetricSource = metric:MetricIdentifier target:MetricTarget
MetricIdentifier = name:s selector:LabelSelector
ObjectMetricSource = describedObject:CrossVersionObjectReference metric:MetricIdentifier target:MetricTarget
CrossVersionObjectReference = apiVersion:s kind:s name:s
PodsMetricSource = metric:MetricIdentifier target:MetricTarget
ResourceMetricSource = name:s target:MetricTarget
HorizontalPodAutoscalerStatus = conditions:[HorizontalPodAutoscalerCondition] currentMetrics:[MetricStatus]
    currentReplicas:i desiredReplicas:i lastScaleTime:t observedGeneration:i
HorizontalPodAutoscalerCondition = lastTransitionTime:t message:s observedGeneration:i reason:s status:s type:s
MetricStatus = containerResource:ContainerResourceMetricStatus external:ExternalMetricStatus object:ObjectMetricStatus
    pods:PodsMetricStatus resource:ResourceMetricStatus type:s
ContainerResourceMetricStatus = container:s current:MetricValueStatus name:s
MetricValueStatus = averageUtilization:i averageValue:q value:q
ExternalMetricStatus = current:MetricValueStatus metric:MetricIdentifier
ObjectMetricStatus = current:MetricValueStatus describedObject:CrossVersionObjectReference metric:MetricIdentifier
PodsMetricStatus = current:MetricValueStatus metric:MetricIdentifier
ResourceMetricStatus = current:MetricValueStatus name:s
NetworkPolicy = apiVersion:s kind:s metadata:ObjectMeta spec:NetworkPolicySpec
NetworkPolicySpec = egress:[NetworkPolicyEgressRule] ingress:[NetworkPolicyIngressRule] podSelector:LabelSelector
    policyTypes:[s]
NetworkPolicyEgressRule = ports:[NetworkPolicyPort] to:[NetworkPolicyPeer]
NetworkPolicyPort = endPort:i port:x protocol:s
NetworkPolicyPeer = ipBlock:IPBlock namespaceSelector:LabelSelector podSelector:LabelSelector
IPBlock = cidr:s except:[s]
NetworkPolicyIngressRule = from:[NetworkPolicyPeer] ports:[NetworkPolicyPort]
PriorityClass = apiVersion:s description:s globalDefault:b kind:s metadata:ObjectMeta preemptionPolicy:s value:i
CustomResourceDefinition = apiVersion:s kind:s metadata:ObjectMeta spec:CustomResourceDefinitionSpec status:?
CustomResourceDefinitionSpec = conversion:CustomResourceConversion group:s names:CustomResourceDefinitionNames
    preserveUnknownFields:b scope:s versions:[CustomResourceDefinitionVersion]
CustomResourceConversion = strategy:s webhook:?
CustomResourceDefinitionNames = categories:[s] kind:s listKind:s plural:s shortNames:[s] singular:s
CustomResourceDefinitionVersion = additionalPrinterColumns:[CustomResourceColumnDefinition] deprecated:b
    deprecationWarning:s name:s schema:CustomResourceValidation selectableFields:[SelectableField] served:b storage:b
    subresources:CustomResourceSubresources
CustomResourceColumnDefinition = description:s format:s jsonPath:s name:s priority:i type:s
CustomResourceValidation = openAPIV3Schema:?
SelectableField = jsonPath:s
CustomResourceSubresources = scale:CustomResourceSubresourceScale status:?
CustomResourceSubresourceScale = labelSelectorPath:s specReplicasPath:s statusReplicasPath:s
"""
