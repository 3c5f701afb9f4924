"""Pod templates and everything inside them in their protobuf encoding.

Pure data, read by `protobuf`. One message is `Name = field:number:type ...`; a type is s(tring), y (bytes), i(nteger),
b(oolean), T(ime), U (microseconds), q(uantity), x (integer or string), J(SON), L(ist of strings in a message), another
message's name, [repeated] or {map}; `!` marks scalars of which an empty value counts, `@` fields merged upwards.
Source of the facts: the published generated.proto files of the Kubernetes API (v1.3x).
"""

MESSAGES = """
PodTemplateSpec = metadata:1:ObjectMeta spec:2:PodSpec
ObjectMeta = name:1:s generateName:2:s namespace:3:s selfLink:4:s uid:5:s resourceVersion:6:s generation:7:i
    creationTimestamp:8:T deletionTimestamp:9:T deletionGracePeriodSeconds:10:i! labels:11:{s} annotations:12:{s}
    ownerReferences:13:[OwnerReference] finalizers:14:[s] managedFields:17:[ManagedFieldsEntry]
OwnerReference = apiVersion:5:s kind:1:s name:3:s uid:4:s controller:6:b! blockOwnerDeletion:7:b!
ManagedFieldsEntry = manager:1:s operation:2:s apiVersion:3:s time:4:T fieldsType:6:s fieldsV1:7:J subresource:8:s
PodSpec = volumes:1:[Volume] initContainers:20:[Container] containers:2:[Container]
    ephemeralContainers:34:[EphemeralContainer] restartPolicy:3:s terminationGracePeriodSeconds:4:i!
    activeDeadlineSeconds:5:i! dnsPolicy:6:s nodeSelector:7:{s} serviceAccountName:8:s serviceAccount:9:s
    automountServiceAccountToken:21:b! nodeName:10:s hostNetwork:11:b hostPID:12:b hostIPC:13:b
    shareProcessNamespace:27:b! securityContext:14:PodSecurityContext imagePullSecrets:15:[LocalObjectReference]
    hostname:16:s subdomain:17:s affinity:18:Affinity schedulerName:19:s tolerations:22:[Toleration]
    hostAliases:23:[HostAlias] priorityClassName:24:s priority:25:i! dnsConfig:26:PodDNSConfig
    readinessGates:28:[PodReadinessGate] runtimeClassName:29:s! enableServiceLinks:30:b! preemptionPolicy:31:s!
    overhead:32:{q} topologySpreadConstraints:33:[TopologySpreadConstraint] setHostnameAsFQDN:35:b! os:36:PodOS
    hostUsers:37:b! schedulingGates:38:[PodSchedulingGate] resourceClaims:39:[PodResourceClaim]
    resources:40:ResourceRequirements hostnameOverride:41:s! schedulingGroup:43:PodSchedulingGroup
    evictionResponders:44:[EvictionResponder]
Volume = name:1:s @:2:VolumeSource
VolumeSource = hostPath:1:HostPathVolumeSource emptyDir:2:EmptyDirVolumeSource secret:6:SecretVolumeSource
    nfs:7:NFSVolumeSource persistentVolumeClaim:10:PersistentVolumeClaimVolumeSource
    downwardAPI:16:DownwardAPIVolumeSource configMap:19:ConfigMapVolumeSource projected:26:ProjectedVolumeSource
    csi:28:CSIVolumeSource ephemeral:29:EphemeralVolumeSource image:30:ImageVolumeSource
HostPathVolumeSource = path:1:s type:2:s!
EmptyDirVolumeSource = medium:1:s sizeLimit:2:q mode:3:i!
SecretVolumeSource = secretName:1:s items:2:[KeyToPath] defaultMode:3:i! optional:4:b! defaultUser:5:i!
KeyToPath = key:1:s path:2:s mode:3:i! user:4:i!
NFSVolumeSource = server:1:s path:2:s readOnly:3:b
PersistentVolumeClaimVolumeSource = claimName:1:s readOnly:2:b
DownwardAPIVolumeSource = items:1:[DownwardAPIVolumeFile] defaultMode:2:i! defaultUser:3:i!
DownwardAPIVolumeFile = path:1:s fieldRef:2:ObjectFieldSelector resourceFieldRef:3:ResourceFieldSelector mode:4:i!
    user:5:i!
ObjectFieldSelector = apiVersion:1:s fieldPath:2:s
ResourceFieldSelector = containerName:1:s resource:2:s divisor:3:q
ConfigMapVolumeSource = @:1:LocalObjectReference items:2:[KeyToPath] defaultMode:3:i! optional:4:b! defaultUser:5:i!
LocalObjectReference = name:1:s
ProjectedVolumeSource = sources:1:[VolumeProjection] defaultMode:2:i! defaultUser:3:i!
VolumeProjection = secret:1:SecretProjection downwardAPI:2:DownwardAPIProjection configMap:3:ConfigMapProjection
    serviceAccountToken:4:ServiceAccountTokenProjection clusterTrustBundle:5:ClusterTrustBundleProjection
    podCertificate:6:PodCertificateProjection
SecretProjection = @:1:LocalObjectReference items:2:[KeyToPath] optional:4:b!
DownwardAPIProjection = items:1:[DownwardAPIVolumeFile]
ConfigMapProjection = @:1:LocalObjectReference items:2:[KeyToPath] optional:4:b!
ServiceAccountTokenProjection = audience:1:s expirationSeconds:2:i! path:3:s user:4:i!
ClusterTrustBundleProjection = name:1:s! signerName:2:s! labelSelector:3:LabelSelector optional:5:b! path:4:s
    user:6:i!
LabelSelector = matchLabels:1:{s} matchExpressions:2:[LabelSelectorRequirement]
LabelSelectorRequirement = key:1:s operator:2:s values:3:[s]
PodCertificateProjection = signerName:1:s keyType:2:s maxExpirationSeconds:3:i! credentialBundlePath:4:s keyPath:5:s
    certificateChainPath:6:s userAnnotations:7:{s} user:8:i!
CSIVolumeSource = driver:1:s readOnly:2:b! fsType:3:s! volumeAttributes:4:{s}
    nodePublishSecretRef:5:LocalObjectReference
EphemeralVolumeSource = volumeClaimTemplate:1:PersistentVolumeClaimTemplate
PersistentVolumeClaimTemplate = metadata:1:ObjectMeta spec:2:PersistentVolumeClaimSpec
PersistentVolumeClaimSpec = accessModes:1:[s] selector:4:LabelSelector resources:2:VolumeResourceRequirements
    volumeName:3:s storageClassName:5:s! volumeMode:6:s! dataSource:7:TypedLocalObjectReference
    dataSourceRef:8:TypedObjectReference volumeAttributesClassName:9:s!
VolumeResourceRequirements = limits:1:{q} requests:2:{q}
TypedLocalObjectReference = apiGroup:1:s! kind:2:s name:3:s
TypedObjectReference = apiGroup:1:s! kind:2:s name:3:s namespace:4:s!
ImageVolumeSource = reference:1:s pullPolicy:2:s
Container = name:1:s image:2:s command:3:[s] args:4:[s] workingDir:5:s ports:6:[ContainerPort]
    envFrom:19:[EnvFromSource] env:7:[EnvVar] resources:8:ResourceRequirements resizePolicy:23:[ContainerResizePolicy]
    restartPolicy:24:s! restartPolicyRules:25:[ContainerRestartRule] volumeMounts:9:[VolumeMount]
    volumeDevices:21:[VolumeDevice] livenessProbe:10:Probe readinessProbe:11:Probe startupProbe:22:Probe
    lifecycle:12:Lifecycle terminationMessagePath:13:s terminationMessagePolicy:20:s imagePullPolicy:14:s
    securityContext:15:SecurityContext stdin:16:b stdinOnce:17:b tty:18:b
ContainerPort = name:1:s hostPort:2:i containerPort:3:i protocol:4:s hostIP:5:s
EnvFromSource = prefix:1:s configMapRef:2:ConfigMapEnvSource secretRef:3:SecretEnvSource
ConfigMapEnvSource = @:1:LocalObjectReference optional:2:b!
SecretEnvSource = @:1:LocalObjectReference optional:2:b!
EnvVar = name:1:s value:2:s valueFrom:3:EnvVarSource
EnvVarSource = fieldRef:1:ObjectFieldSelector resourceFieldRef:2:ResourceFieldSelector
    configMapKeyRef:3:ConfigMapKeySelector secretKeyRef:4:SecretKeySelector fileKeyRef:5:FileKeySelector
ConfigMapKeySelector = @:1:LocalObjectReference key:2:s optional:3:b!
SecretKeySelector = @:1:LocalObjectReference key:2:s optional:3:b!
FileKeySelector = volumeName:1:s path:2:s key:3:s optional:4:b!
ResourceRequirements = limits:1:{q} requests:2:{q} claims:3:[ResourceClaim]
ResourceClaim = name:1:s request:2:s
ContainerResizePolicy = resourceName:1:s restartPolicy:2:s
ContainerRestartRule = action:1:s exitCodes:2:ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes = operator:1:s values:2:[i]
VolumeMount = name:1:s readOnly:2:b recursiveReadOnly:7:s! mountPath:3:s subPath:4:s mountPropagation:5:s!
    subPathExpr:6:s bindMountOptions:8:[s]
VolumeDevice = name:1:s devicePath:2:s
Probe = @:1:ProbeHandler initialDelaySeconds:2:i timeoutSeconds:3:i periodSeconds:4:i successThreshold:5:i
    failureThreshold:6:i terminationGracePeriodSeconds:7:i!
ProbeHandler = exec:1:ExecAction httpGet:2:HTTPGetAction tcpSocket:3:TCPSocketAction grpc:4:GRPCAction
ExecAction = command:1:[s]
HTTPGetAction = path:1:s port:2:x host:3:s scheme:4:s httpHeaders:5:[HTTPHeader] protocol:6:s!
HTTPHeader = name:1:s value:2:s
TCPSocketAction = port:1:x host:2:s
GRPCAction = port:1:i service:2:s! mode:3:s!
Lifecycle = postStart:1:LifecycleHandler preStop:2:LifecycleHandler stopSignal:3:s!
LifecycleHandler = exec:1:ExecAction httpGet:2:HTTPGetAction tcpSocket:3:TCPSocketAction sleep:4:SleepAction
SleepAction = seconds:1:i
SecurityContext = capabilities:1:Capabilities privileged:2:b! seLinuxOptions:3:SELinuxOptions
    windowsOptions:10:WindowsSecurityContextOptions runAsUser:4:i! runAsGroup:8:i! runAsNonRoot:5:b!
    readOnlyRootFilesystem:6:b! allowPrivilegeEscalation:7:b! procMount:9:s! seccompProfile:11:SeccompProfile
    appArmorProfile:12:AppArmorProfile
Capabilities = add:1:[s] drop:2:[s]
SELinuxOptions = user:1:s role:2:s type:3:s level:4:s
WindowsSecurityContextOptions = gmsaCredentialSpecName:1:s! gmsaCredentialSpec:2:s! runAsUserName:3:s!
    hostProcess:4:b!
SeccompProfile = type:1:s localhostProfile:2:s!
AppArmorProfile = type:1:s localhostProfile:2:s!
EphemeralContainer = @:1:EphemeralContainerCommon targetContainerName:2:s
EphemeralContainerCommon = name:1:s image:2:s command:3:[s] args:4:[s] workingDir:5:s ports:6:[ContainerPort]
    envFrom:19:[EnvFromSource] env:7:[EnvVar] resources:8:ResourceRequirements resizePolicy:23:[ContainerResizePolicy]
    restartPolicy:24:s! restartPolicyRules:25:[ContainerRestartRule] volumeMounts:9:[VolumeMount]
    volumeDevices:21:[VolumeDevice] livenessProbe:10:Probe readinessProbe:11:Probe startupProbe:22:Probe
    lifecycle:12:Lifecycle terminationMessagePath:13:s terminationMessagePolicy:20:s imagePullPolicy:14:s
    securityContext:15:SecurityContext stdin:16:b stdinOnce:17:b tty:18:b
PodSecurityContext = seLinuxOptions:1:SELinuxOptions windowsOptions:8:WindowsSecurityContextOptions runAsUser:2:i!
    runAsGroup:6:i! runAsNonRoot:3:b! supplementalGroups:4:[i] supplementalGroupsPolicy:12:s! fsGroup:5:i!
    sysctls:7:[Sysctl] fsGroupChangePolicy:9:s! seccompProfile:10:SeccompProfile appArmorProfile:11:AppArmorProfile
    seLinuxChangePolicy:13:s!
Sysctl = name:1:s value:2:s
Affinity = nodeAffinity:1:NodeAffinity podAffinity:2:PodAffinity podAntiAffinity:3:PodAntiAffinity
NodeAffinity = requiredDuringSchedulingIgnoredDuringExecution:1:NodeSelector
    preferredDuringSchedulingIgnoredDuringExecution:2:[PreferredSchedulingTerm]
NodeSelector = nodeSelectorTerms:1:[NodeSelectorTerm]
NodeSelectorTerm = matchExpressions:1:[NodeSelectorRequirement] matchFields:2:[NodeSelectorRequirement]
NodeSelectorRequirement = key:1:s operator:2:s values:3:[s]
PreferredSchedulingTerm = weight:1:i preference:2:NodeSelectorTerm
PodAffinity = requiredDuringSchedulingIgnoredDuringExecution:1:[PodAffinityTerm]
    preferredDuringSchedulingIgnoredDuringExecution:2:[WeightedPodAffinityTerm]
PodAffinityTerm = labelSelector:1:LabelSelector namespaces:2:[s] topologyKey:3:s namespaceSelector:4:LabelSelector
    matchLabelKeys:5:[s] mismatchLabelKeys:6:[s]
WeightedPodAffinityTerm = weight:1:i podAffinityTerm:2:PodAffinityTerm
PodAntiAffinity = requiredDuringSchedulingIgnoredDuringExecution:1:[PodAffinityTerm]
    preferredDuringSchedulingIgnoredDuringExecution:2:[WeightedPodAffinityTerm]
Toleration = key:1:s operator:2:s value:3:s effect:4:s tolerationSeconds:5:i!
HostAlias = ip:1:s hostnames:2:[s]
PodDNSConfig = nameservers:1:[s] searches:2:[s] options:3:[PodDNSConfigOption]
PodDNSConfigOption = name:1:s value:2:s!
PodReadinessGate = conditionType:1:s
TopologySpreadConstraint = maxSkew:1:i topologyKey:2:s whenUnsatisfiable:3:s labelSelector:4:LabelSelector
    minDomains:5:i! nodeAffinityPolicy:6:s! nodeTaintsPolicy:7:s! matchLabelKeys:8:[s]
PodOS = name:1:s
PodSchedulingGate = name:1:s
PodResourceClaim = name:1:s resourceClaimName:3:s! resourceClaimTemplateName:4:s!
PodSchedulingGroup = podGroupName:1:s!
EvictionResponder = name:1:s priority:2:i!
"""
