"""The numbers of fields in the binary encoding of built-in kinds, the second half.

Pure data, read by `protobuf`. One type is `Name = <number><field>:<type> ...`; a type is s(tring), i(nteger),
b(oolean), n(umber), y (bytes), t(ime), u (microtime), q(uantity), x (integer or string), r (raw JSON), f (field set),
another type's name, [list] or {map}. `<number>*<type>` is a part whose fields stand in the holder itself. `!` marks a
field that is sent only when it is set, so that its zero means something; any other zero is the same as absent.
"""

TYPES = """
AttachedVolume = 1name:s 2devicePath:s
NodeConfigStatus = 1assigned:NodeConfigSource 2active:NodeConfigSource 3lastKnownGood:NodeConfigSource 4error:s
NodeRuntimeHandler = 1name:s 2features:NodeRuntimeHandlerFeatures
NodeFeatures = 1supplementalGroupsPolicy:b!
PodTemplateSpec = 1metadata:ObjectMeta 2spec:PodSpec
DeploymentStrategy = 1type:s 2rollingUpdate:RollingUpdateDeployment
DeploymentCondition = 1type:s 2status:s 4reason:s 5message:s 6lastUpdateTime:t 7lastTransitionTime:t
ReplicaSetCondition = 1type:s 2status:s 3lastTransitionTime:t 4reason:s 5message:s
ResourceAttributes = 1namespace:s 2verb:s 3group:s 4version:s 5resource:s 6subresource:s 7name:s
    8fieldSelector:FieldSelectorAttributes 9labelSelector:LabelSelectorAttributes
NonResourceAttributes = 1path:s 2verb:s
ResourceRule = 1verbs:[s] 2apiGroups:[s] 3resources:[s] 4resourceNames:[s]
NonResourceRule = 1verbs:[s] 2nonResourceURLs:[s]
ExtraValue = 1items:[s]
BoundObjectReference = 1kind:s 2apiVersion:s 3name:s 4uID:s
AttestationValue = 1items:[s]
UserInfo = 1username:s 2uid:s 3groups:[s] 4extra:{[s]}
EndpointConditions = 1ready:b! 2serving:b! 3terminating:b!
EndpointHints = 1forZones:[ForZone] 2forNodes:[ForNode]
CrossVersionObjectReference = 1kind:s 2name:s 3apiVersion:s
MetricSpec = 1type:s 2object:ObjectMetricSource 3pods:PodsMetricSource 4resource:ResourceMetricSource
    5external:ExternalMetricSource 7containerResource:ContainerResourceMetricSource
HorizontalPodAutoscalerBehavior = 1scaleUp:HPAScalingRules 2scaleDown:HPAScalingRules
MetricStatus = 1type:s 2object:ObjectMetricStatus 3pods:PodsMetricStatus 4resource:ResourceMetricStatus
    5external:ExternalMetricStatus 7containerResource:ContainerResourceMetricStatus
HorizontalPodAutoscalerCondition = 1type:s 2status:s 3lastTransitionTime:t 4reason:s 5message:s 6observedGeneration:i!
NetworkPolicyIngressRule = 1ports:[NetworkPolicyPort] 2from:[NetworkPolicyPeer]
NetworkPolicyEgressRule = 1ports:[NetworkPolicyPort] 2to:[NetworkPolicyPeer]
WebhookClientConfig = 1service:ServiceReference 2caBundle:y 3url:s!
RuleWithOperations = 1operations:[s] 2*Rule
MatchCondition = 1name:s 2expression:s
ClientIPConfig = 1timeoutSeconds:i!
LoadBalancerIngress = 1ip:s 2hostname:s 3ipMode:s! 4ports:[PortStatus]
VolumeSource = 1hostPath:HostPathVolumeSource 2emptyDir:EmptyDirVolumeSource
    3gcePersistentDisk:GCEPersistentDiskVolumeSource 4awsElasticBlockStore:AWSElasticBlockStoreVolumeSource
    5gitRepo:GitRepoVolumeSource 6secret:SecretVolumeSource 7nfs:NFSVolumeSource 8iscsi:ISCSIVolumeSource
    9glusterfs:GlusterfsVolumeSource 10persistentVolumeClaim:PersistentVolumeClaimVolumeSource 11rbd:RBDVolumeSource
    12flexVolume:FlexVolumeSource 13cinder:CinderVolumeSource 14cephfs:CephFSVolumeSource
    15flocker:FlockerVolumeSource 16downwardAPI:DownwardAPIVolumeSource 17fc:FCVolumeSource
    18azureFile:AzureFileVolumeSource 19configMap:ConfigMapVolumeSource 20vsphereVolume:VsphereVirtualDiskVolumeSource
    21quobyte:QuobyteVolumeSource 22azureDisk:AzureDiskVolumeSource
    23photonPersistentDisk:PhotonPersistentDiskVolumeSource 24portworxVolume:PortworxVolumeSource
    25scaleIO:ScaleIOVolumeSource 26projected:ProjectedVolumeSource 27storageos:StorageOSVolumeSource
    28csi:CSIVolumeSource 29ephemeral:EphemeralVolumeSource 30image:ImageVolumeSource
ContainerPort = 1name:s 2hostPort:i 3containerPort:i 4protocol:s 5hostIP:s
EnvFromSource = 1prefix:s 2configMapRef:ConfigMapEnvSource 3secretRef:SecretEnvSource
EnvVar = 1name:s 2value:s 3valueFrom:EnvVarSource
ContainerResizePolicy = 1resourceName:s 2restartPolicy:s
ContainerRestartRule = 1action:s 2exitCodes:ContainerRestartRuleOnExitCodes
VolumeMount = 1name:s 2readOnly:b 3mountPath:s 4subPath:s 5mountPropagation:s! 6subPathExpr:s 7recursiveReadOnly:s!
    8bindMountOptions:[s]
VolumeDevice = 1name:s 2devicePath:s
Probe = 1*ProbeHandler 2initialDelaySeconds:i 3timeoutSeconds:i 4periodSeconds:i 5successThreshold:i
    6failureThreshold:i 7terminationGracePeriodSeconds:i!
Lifecycle = 1postStart:LifecycleHandler 2preStop:LifecycleHandler 3stopSignal:s!
SecurityContext = 1capabilities:Capabilities 2privileged:b! 3seLinuxOptions:SELinuxOptions 4runAsUser:i!
    5runAsNonRoot:b! 6readOnlyRootFilesystem:b! 7allowPrivilegeEscalation:b! 8runAsGroup:i! 9procMount:s!
    10windowsOptions:WindowsSecurityContextOptions 11seccompProfile:SeccompProfile 12appArmorProfile:AppArmorProfile
EphemeralContainerCommon = 1name:s 2image:s 3command:[s] 4args:[s] 5workingDir:s 6ports:[ContainerPort] 7env:[EnvVar]
    8resources:ResourceRequirements 9volumeMounts:[VolumeMount] 10livenessProbe:Probe 11readinessProbe:Probe
    12lifecycle:Lifecycle 13terminationMessagePath:s 14imagePullPolicy:s 15securityContext:SecurityContext 16stdin:b
    17stdinOnce:b 18tty:b 19envFrom:[EnvFromSource] 20terminationMessagePolicy:s 21volumeDevices:[VolumeDevice]
    22startupProbe:Probe 23resizePolicy:[ContainerResizePolicy] 24restartPolicy:s!
    25restartPolicyRules:[ContainerRestartRule]
SELinuxOptions = 1user:s 2role:s 3type:s 4level:s
WindowsSecurityContextOptions = 1gmsaCredentialSpecName:s! 2gmsaCredentialSpec:s! 3runAsUserName:s! 4hostProcess:b!
Sysctl = 1name:s 2value:s
SeccompProfile = 1type:s 2localhostProfile:s!
AppArmorProfile = 1type:s 2localhostProfile:s!
NodeAffinity = 1requiredDuringSchedulingIgnoredDuringExecution:NodeSelector
    2preferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm]
PodAffinity = 1requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]
    2preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm]
PodAntiAffinity = 1requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]
    2preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm]
PodDNSConfigOption = 1name:s 2value:s!
ResourceClaim = 1name:s 2request:s
ContainerState = 1waiting:ContainerStateWaiting 2running:ContainerStateRunning 3terminated:ContainerStateTerminated
VolumeMountStatus = 1name:s 2mountPath:s 3readOnly:b 4recursiveReadOnly:s! 5volumeStatus:VolumeStatus
ContainerUser = 1linux:LinuxContainerUser
ResourceStatus = 1name:s 2resources:[ResourceHealth]
ContainerExtendedResourceRequest = 1containerName:s 2resourceName:s 3requestName:s
NodeAllocatableMappedResources = 1name:s 2quantity:q
NodeAllocatableOverheadResources = 1name:s 2perPod:q 3perContainer:q
VolumeHealthCondition = 1status:s 2reason:s 3message:s
ScopedResourceSelectorRequirement = 1scopeName:s 2operator:s 3values:[s]
LabelSelectorRequirement = 1key:s 2operator:s 3values:[s]
ConfigMapNodeConfigSource = 1namespace:s 2name:s 3uid:s 4resourceVersion:s 5kubeletConfigKey:s
DaemonEndpoint = 1Port:i
NodeSwapStatus = 1capacity:i!
NodeRuntimeHandlerFeatures = 1recursiveReadOnlyMounts:b! 2userNamespaces:b!
RollingUpdateDeployment = 1maxUnavailable:x 2maxSurge:x
FieldSelectorAttributes = 1rawSelector:s 2requirements:[FieldSelectorRequirement]
LabelSelectorAttributes = 1rawSelector:s 2requirements:[LabelSelectorRequirement]
ExtraValueAuthenticationv1 = 1items:[s]
ForZone = 1name:s
ForNode = 1name:s
ObjectMetricSource = 1describedObject:CrossVersionObjectReference 2target:MetricTarget 3metric:MetricIdentifier
PodsMetricSource = 1metric:MetricIdentifier 2target:MetricTarget
ResourceMetricSource = 1name:s 2target:MetricTarget
ContainerResourceMetricSource = 1name:s 2target:MetricTarget 3container:s
ExternalMetricSource = 1metric:MetricIdentifier 2target:MetricTarget
HPAScalingRules = 1selectPolicy:s! 2policies:[HPAScalingPolicy] 3stabilizationWindowSeconds:i! 4tolerance:q
ObjectMetricStatus = 1metric:MetricIdentifier 2current:MetricValueStatus 3describedObject:CrossVersionObjectReference
PodsMetricStatus = 1metric:MetricIdentifier 2current:MetricValueStatus
ResourceMetricStatus = 1name:s 2current:MetricValueStatus
ContainerResourceMetricStatus = 1name:s 2current:MetricValueStatus 3container:s
ExternalMetricStatus = 1metric:MetricIdentifier 2current:MetricValueStatus
NetworkPolicyPort = 1protocol:s! 2port:x 3endPort:i!
NetworkPolicyPeer = 1podSelector:LabelSelector 2namespaceSelector:LabelSelector 3ipBlock:IPBlock
ServiceReference = 1namespace:s 2name:s 3path:s! 4port:i!
Rule = 1apiGroups:[s] 2apiVersions:[s] 3resources:[s] 4scope:s!
PortStatus = 1port:i 2protocol:s 3error:s!
HostPathVolumeSource = 1path:s 2type:s!
EmptyDirVolumeSource = 1medium:s 2sizeLimit:q 3mode:i!
GCEPersistentDiskVolumeSource = 1pdName:s 2fsType:s 3partition:i 4readOnly:b
AWSElasticBlockStoreVolumeSource = 1volumeID:s 2fsType:s 3partition:i 4readOnly:b
GitRepoVolumeSource = 1repository:s 2revision:s 3directory:s
SecretVolumeSource = 1secretName:s 2items:[KeyToPath] 3defaultMode:i! 4optional:b! 5defaultUser:i!
NFSVolumeSource = 1server:s 2path:s 3readOnly:b
ISCSIVolumeSource = 1targetPortal:s 2iqn:s 3lun:i 4iscsiInterface:s 5fsType:s 6readOnly:b 7portals:[s]
    8chapAuthDiscovery:b 10secretRef:LocalObjectReference 11chapAuthSession:b 12initiatorName:s!
GlusterfsVolumeSource = 1endpoints:s 2path:s 3readOnly:b
PersistentVolumeClaimVolumeSource = 1claimName:s 2readOnly:b
RBDVolumeSource = 1monitors:[s] 2image:s 3fsType:s 4pool:s 5user:s 6keyring:s 7secretRef:LocalObjectReference
    8readOnly:b
FlexVolumeSource = 1driver:s 2fsType:s 3secretRef:LocalObjectReference 4readOnly:b 5options:{s}
CinderVolumeSource = 1volumeID:s 2fsType:s 3readOnly:b 4secretRef:LocalObjectReference
CephFSVolumeSource = 1monitors:[s] 2path:s 3user:s 4secretFile:s 5secretRef:LocalObjectReference 6readOnly:b
FlockerVolumeSource = 1datasetName:s 2datasetUUID:s
DownwardAPIVolumeSource = 1items:[DownwardAPIVolumeFile] 2defaultMode:i! 3defaultUser:i!
FCVolumeSource = 1targetWWNs:[s] 2lun:i! 3fsType:s 4readOnly:b 5wwids:[s]
AzureFileVolumeSource = 1secretName:s 2shareName:s 3readOnly:b
ConfigMapVolumeSource = 1*LocalObjectReference 2items:[KeyToPath] 3defaultMode:i! 4optional:b! 5defaultUser:i!
VsphereVirtualDiskVolumeSource = 1volumePath:s 2fsType:s 3storagePolicyName:s 4storagePolicyID:s
QuobyteVolumeSource = 1registry:s 2volume:s 3readOnly:b 4user:s 5group:s 6tenant:s
AzureDiskVolumeSource = 1diskName:s 2diskURI:s 3cachingMode:s! 4fsType:s! 5readOnly:b! 6kind:s!
PhotonPersistentDiskVolumeSource = 1pdID:s 2fsType:s
ProjectedVolumeSource = 1sources:[VolumeProjection] 2defaultMode:i! 3defaultUser:i!
PortworxVolumeSource = 1volumeID:s 2fsType:s 3readOnly:b
ScaleIOVolumeSource = 1gateway:s 2system:s 3secretRef:LocalObjectReference 4sslEnabled:b 5protectionDomain:s
    6storagePool:s 7storageMode:s 8volumeName:s 9fsType:s 10readOnly:b
StorageOSVolumeSource = 1volumeName:s 2volumeNamespace:s 3fsType:s 4readOnly:b 5secretRef:LocalObjectReference
CSIVolumeSource = 1driver:s 2readOnly:b! 3fsType:s! 4volumeAttributes:{s} 5nodePublishSecretRef:LocalObjectReference
EphemeralVolumeSource = 1volumeClaimTemplate:PersistentVolumeClaimTemplate
ImageVolumeSource = 1reference:s 2pullPolicy:s
ConfigMapEnvSource = 1*LocalObjectReference 2optional:b!
SecretEnvSource = 1*LocalObjectReference 2optional:b!
EnvVarSource = 1fieldRef:ObjectFieldSelector 2resourceFieldRef:ResourceFieldSelector
    3configMapKeyRef:ConfigMapKeySelector 4secretKeyRef:SecretKeySelector 5fileKeyRef:FileKeySelector
ContainerRestartRuleOnExitCodes = 1operator:s 2values:[i]
ProbeHandler = 1exec:ExecAction 2httpGet:HTTPGetAction 3tcpSocket:TCPSocketAction 4grpc:GRPCAction
LifecycleHandler = 1exec:ExecAction 2httpGet:HTTPGetAction 3tcpSocket:TCPSocketAction 4sleep:SleepAction
Capabilities = 1add:[s] 2drop:[s]
NodeSelector = 1nodeSelectorTerms:[NodeSelectorTerm]
PreferredSchedulingTerm = 1weight:i 2preference:NodeSelectorTerm
PodAffinityTerm = 1labelSelector:LabelSelector 2namespaces:[s] 3topologyKey:s 4namespaceSelector:LabelSelector
    5matchLabelKeys:[s] 6mismatchLabelKeys:[s]
WeightedPodAffinityTerm = 1weight:i 2podAffinityTerm:PodAffinityTerm
ContainerStateWaiting = 1reason:s 2message:s
ContainerStateRunning = 1startedAt:t
ContainerStateTerminated = 1exitCode:i 2signal:i 3reason:s 4message:s 5startedAt:t 6finishedAt:t 7containerID:s
VolumeStatus = 1image:ImageVolumeStatus
LinuxContainerUser = 1uid:i 2gid:i 3supplementalGroups:[i]
ResourceHealth = 1resourceID:s 2health:s 6message:s!
FieldSelectorRequirement = 1key:s 2operator:s 3values:[s]
MetricTarget = 1type:s 2value:q 3averageValue:q 4averageUtilization:i!
MetricIdentifier = 1name:s 2selector:LabelSelector
HPAScalingPolicy = 1type:s 2value:i 3periodSeconds:i
MetricValueStatus = 1value:q 2averageValue:q 3averageUtilization:i!
IPBlock = 1cidr:s 2except:[s]
KeyToPath = 1key:s 2path:s 3mode:i! 4user:i!
DownwardAPIVolumeFile = 1path:s 2fieldRef:ObjectFieldSelector 3resourceFieldRef:ResourceFieldSelector 4mode:i!
    5user:i!
VolumeProjection = 1secret:SecretProjection 2downwardAPI:DownwardAPIProjection 3configMap:ConfigMapProjection
    4serviceAccountToken:ServiceAccountTokenProjection 5clusterTrustBundle:ClusterTrustBundleProjection
    6podCertificate:PodCertificateProjection
PersistentVolumeClaimTemplate = 1metadata:ObjectMeta 2spec:PersistentVolumeClaimSpec
ObjectFieldSelector = 1apiVersion:s 2fieldPath:s
ResourceFieldSelector = 1containerName:s 2resource:s 3divisor:q
ConfigMapKeySelector = 1*LocalObjectReference 2key:s 3optional:b!
SecretKeySelector = 1*LocalObjectReference 2key:s 3optional:b!
FileKeySelector = 1volumeName:s 2path:s 3key:s 4optional:b!
ExecAction = 1command:[s]
HTTPGetAction = 1path:s 2port:x 3host:s 4scheme:s 5httpHeaders:[HTTPHeader] 6protocol:s!
TCPSocketAction = 1port:x 2host:s
GRPCAction = 1port:i 2service:s! 3mode:s!
SleepAction = 1seconds:i
NodeSelectorTerm = 1matchExpressions:[NodeSelectorRequirement] 2matchFields:[NodeSelectorRequirement]
ImageVolumeStatus = 1imageRef:s
SecretProjection = 1*LocalObjectReference 2items:[KeyToPath] 4optional:b!
DownwardAPIProjection = 1items:[DownwardAPIVolumeFile]
ConfigMapProjection = 1*LocalObjectReference 2items:[KeyToPath] 4optional:b!
ServiceAccountTokenProjection = 1audience:s 2expirationSeconds:i! 3path:s 4user:i!
ClusterTrustBundleProjection = 1name:s! 2signerName:s! 3labelSelector:LabelSelector 4path:s 5optional:b! 6user:i!
PodCertificateProjection = 1signerName:s 2keyType:s 3maxExpirationSeconds:i! 4credentialBundlePath:s 5keyPath:s
    6certificateChainPath:s 7userAnnotations:{s} 8user:i!
HTTPHeader = 1name:s 2value:s
NodeSelectorRequirement = 1key:s 2operator:s 3values:[s]
"""
