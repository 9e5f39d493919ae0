package matrix

import "strings"

// pinned is the manifest of generated rows. Their Pods need no scheduler: what
// they claim need not exist, and they may ask for the same port of the host.
var pinned = strings.Replace(deployment, "spec: {containers", "spec: {nodeName: node-0, containers", 1)

// manifests are what rows need on the cluster, by the leaf's path.
var manifests = map[string]string{
	"runtimeClassName": `
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: a}
handler: a
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: b}
handler: b
---`,
}

// exceptions are the fields without a row: "Type.field", or some fields of a path.
var exceptions = map[string][]string{
	"not injected: the API refuses ephemeral containers in a new Pod": {"PodSpec.ephemeralContainers"},
	"noise: the scheduler, the kubelet or a plugin of the API server sets it": {
		"PodSpec.nodeName", "PodSpec.serviceAccount", "PodSpec.priority", "PodSpec.preemptionPolicy", "PodSpec.overhead",
	},
	"placement: others set it, too; the rows of the Pod and of what is placed say when it counts": {
		"PodSpec.nodeSelector", "PodSpec.serviceAccountName", "PodSpec.imagePullSecrets", "PodSpec.hostname", "PodSpec.subdomain",
		"PodSpec.tolerations", "PodSpec.priorityClassName", "PodSpec.enableServiceLinks",
	},
	"gone from every Pod that runs":                      {"PodSpec.schedulingGates"},
	"feature gate EmptyDirVolumeMode is off":             {"EmptyDirVolumeSource.mode"},
	"feature gate H2CContainerProbe is off":              {"HTTPGetAction.protocol"},
	"feature gate GRPCContainerProbeTLS is off":          {"GRPCAction.mode"},
	"feature gate ContainerStopSignals is off":           {"Lifecycle.stopSignal"},
	"feature gate VolumeBindMountOptions is off":         {"VolumeMount.bindMountOptions"},
	"feature gate GenericWorkload is off":                {"PodSpec.schedulingGroup"},
	"feature gate EvictionRequestAPI is off":             {"PodSpec.evictionResponders"},
	"feature gate CrossNamespaceVolumeDataSource is off": {"TypedObjectReference.namespace"},
	"feature gate AtomicWriteVolumeUserFields is off": {
		"SecretVolumeSource.defaultUser", "ConfigMapVolumeSource.defaultUser", "DownwardAPIVolumeSource.defaultUser", "ProjectedVolumeSource.defaultUser",
		"KeyToPath.user", "DownwardAPIVolumeFile.user", "ServiceAccountTokenProjection.user", "ClusterTrustBundleProjection.user", "PodCertificateProjection.user",
	},
	"the API accepts one value": {
		"ObjectFieldSelector.apiVersion", "livenessProbe.successThreshold", "startupProbe.successThreshold", "matchFields.key",
	},
	"the API refuses it there": {
		"readinessProbe.terminationGracePeriodSeconds", "initContainers.restartPolicyRules", "spec.resources.claims",
		"ObjectMeta.name", "ObjectMeta.generateName", "ObjectMeta.namespace", "ObjectMeta.selfLink", "ObjectMeta.uid", "ObjectMeta.resourceVersion",
		"ObjectMeta.generation", "ObjectMeta.creationTimestamp", "ObjectMeta.deletionTimestamp", "ObjectMeta.deletionGracePeriodSeconds",
		"ObjectMeta.ownerReferences", "ObjectMeta.finalizers", "ObjectMeta.managedFields",
	},
}

// otherKeys are the keys of lists whose struct tag has none, or one of two.
var otherKeys = map[string][]string{
	"ResourceRequirements.claims":       {"name"},
	"Container.ports":                   {"containerPort", "protocol"},
	"EphemeralContainer.ports":          {"containerPort", "protocol"},
	"PodSpec.topologySpreadConstraints": {"topologyKey", "whenUnsatisfiable"},
}

// mapKeys are keys for maps, by type or "Type.field".
var mapKeys = map[string]string{
	"":                                    "a",
	"ResourceList":                        "cpu",
	"VolumeResourceRequirements.requests": "storage",
	"VolumeResourceRequirements.limits":   "storage",
	"PodCertificateProjection.userAnnotations": "mesh.test/a",
}

// needs are what the API requires, of an object ("Type") or of one in which a
// certain field is set ("Type.field").
var needs = map[string]string{
	"PodSpec":                `{"containers":[{"name":"proxy","image":"proxy:1"}]}`,
	"PodSpec.initContainers": `{"initContainers":[{"name":"proxy","image":"proxy:1","restartPolicy":"Always"}]}`,

	"Container.restartPolicyRules":     `{"restartPolicy":"Never"}`,
	"ContainerPort":                    `{"containerPort":15090}`,
	"ContainerResizePolicy":            `{"resourceName":"cpu","restartPolicy":"RestartContainer"}`,
	"ContainerRestartRule":             `{"action":"Restart","exitCodes":{"operator":"In","values":[1]}}`,
	"EnvVar":                           `{"name":"A"}`,
	"ObjectFieldSelector":              `{"fieldPath":"metadata.name"}`,
	"ResourceFieldSelector":            `{"resource":"limits.cpu"}`,
	"SecretKeySelector":                `{"name":"a","key":"a"}`,
	"ConfigMapKeySelector":             `{"name":"a","key":"a"}`,
	"FileKeySelector":                  `{"volumeName":"v","path":"a","key":"a"}`,
	"EnvFromSource":                    `{"configMapRef":{"name":"a"}}`,
	"EnvFromSource.secretRef":          `{}`,
	"SecretEnvSource":                  `{"name":"a"}`,
	"ConfigMapEnvSource":               `{"name":"a"}`,
	"Probe":                            `{"tcpSocket":{"port":80}}`,
	"Probe.exec":                       `{}`,
	"Probe.httpGet":                    `{}`,
	"Probe.grpc":                       `{}`,
	"ExecAction":                       `{"command":["a"]}`,
	"HTTPGetAction":                    `{"port":80}`,
	"HTTPHeader":                       `{"name":"a","value":"a"}`,
	"TCPSocketAction":                  `{"port":80}`,
	"GRPCAction":                       `{"port":80}`,
	"ResourceRequirements.limits":      `{"requests":{"cpu":"1m"}}`,
	"ResourceClaim":                    `{"name":"c"}`,
	"SeccompProfile":                   `{"type":"RuntimeDefault"}`,
	"SeccompProfile.localhostProfile":  `{"type":"Localhost","localhostProfile":"a"}`,
	"AppArmorProfile":                  `{"type":"RuntimeDefault"}`,
	"AppArmorProfile.localhostProfile": `{"type":"Localhost","localhostProfile":"a"}`,
	"VolumeDevice":                     `{"name":"p","devicePath":"/a"}`,
	"VolumeMount":                      `{"name":"v","mountPath":"/a"}`,
	"VolumeMount.recursiveReadOnly":    `{"name":"v","mountPath":"/a","readOnly":true}`,

	"Volume":                                        `{"name":"v"}`,
	"LocalObjectReference":                          `{"name":"a"}`,
	"KeyToPath":                                     `{"key":"a","path":"a"}`,
	"AWSElasticBlockStoreVolumeSource":              `{"volumeID":"a"}`,
	"AzureDiskVolumeSource":                         `{"diskName":"a","diskURI":"https://a"}`,
	"AzureFileVolumeSource":                         `{"secretName":"a","shareName":"a"}`,
	"CSIVolumeSource":                               `{"driver":"a"}`,
	"CephFSVolumeSource":                            `{"monitors":["a"]}`,
	"CinderVolumeSource":                            `{"volumeID":"a"}`,
	"ConfigMapVolumeSource":                         `{"name":"a"}`,
	"DownwardAPIVolumeFile":                         `{"path":"a","fieldRef":{"fieldPath":"metadata.name"}}`,
	"DownwardAPIVolumeFile.resourceFieldRef":        `{"path":"a","resourceFieldRef":{"containerName":"proxy"}}`,
	"EphemeralVolumeSource":                         `{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1"}}}}}`,
	"FCVolumeSource":                                `{"targetWWNs":["a"],"lun":1}`,
	"FCVolumeSource.wwids":                          `{"wwids":["a"]}`,
	"FlexVolumeSource":                              `{"driver":"a"}`,
	"FlockerVolumeSource":                           `{"datasetName":"a"}`,
	"FlockerVolumeSource.datasetUUID":               `{"datasetUUID":"a"}`,
	"GCEPersistentDiskVolumeSource":                 `{"pdName":"a"}`,
	"GitRepoVolumeSource":                           `{"repository":"a"}`,
	"GlusterfsVolumeSource":                         `{"endpoints":"a","path":"a"}`,
	"HostPathVolumeSource":                          `{"path":"/a"}`,
	"ISCSIVolumeSource":                             `{"targetPortal":"a","iqn":"iqn.2020-01.test:a","lun":1,"secretRef":{"name":"a"}}`,
	"ImageVolumeSource":                             `{"reference":"a:1"}`,
	"NFSVolumeSource":                               `{"server":"a","path":"/a"}`,
	"PersistentVolumeClaimVolumeSource":             `{"claimName":"a"}`,
	"PhotonPersistentDiskVolumeSource":              `{"pdID":"a"}`,
	"PortworxVolumeSource":                          `{"volumeID":"a"}`,
	"QuobyteVolumeSource":                           `{"registry":"a:1","volume":"a"}`,
	"RBDVolumeSource":                               `{"monitors":["a"],"image":"a"}`,
	"ScaleIOVolumeSource":                           `{"gateway":"a","system":"a","volumeName":"a","secretRef":{"name":"a"}}`,
	"SecretVolumeSource":                            `{"secretName":"a"}`,
	"StorageOSVolumeSource":                         `{"volumeName":"a"}`,
	"VsphereVirtualDiskVolumeSource":                `{"volumePath":"a"}`,
	"ProjectedVolumeSource":                         `{"sources":[{"secret":{"name":"a"}}]}`,
	"ProjectedVolumeSource.sources":                 `{}`,
	"SecretProjection":                              `{"name":"a"}`,
	"ConfigMapProjection":                           `{"name":"a"}`,
	"ServiceAccountTokenProjection":                 `{"path":"a"}`,
	"ClusterTrustBundleProjection":                  `{"path":"a","name":"a"}`,
	"ClusterTrustBundleProjection.signerName":       `{"path":"a","signerName":"mesh.test/a"}`,
	"ClusterTrustBundleProjection.labelSelector":    `{"path":"a","signerName":"mesh.test/a"}`,
	"PodCertificateProjection":                      `{"signerName":"mesh.test/a","keyType":"ED25519","keyPath":"a","certificateChainPath":"c"}`,
	"PodCertificateProjection.credentialBundlePath": `{"signerName":"mesh.test/a","keyType":"ED25519","credentialBundlePath":"a"}`,
	"TypedLocalObjectReference":                     `{"apiGroup":"mesh.test","kind":"A","name":"a"}`,
	"TypedObjectReference":                          `{"apiGroup":"mesh.test","kind":"A","name":"a"}`,
	"LabelSelectorRequirement":                      `{"key":"a","operator":"In","values":["a"]}`,

	"HostAlias":          `{"ip":"10.0.0.1"}`,
	"PodDNSConfigOption": `{"name":"a"}`,
	"PodOS":              `{"name":"linux"}`,
	"PodReadinessGate":   `{"conditionType":"mesh.test/a"}`,
	"PodResourceClaim":   `{"name":"c","resourceClaimName":"a"}`,
	"PodResourceClaim.resourceClaimTemplateName": `{"name":"c","resourceClaimTemplateName":"a"}`,
	"Sysctl":                   `{"name":"a","value":"a"}`,
	"TopologySpreadConstraint": `{"maxSkew":1,"topologyKey":"a","whenUnsatisfiable":"DoNotSchedule"}`,
	"TopologySpreadConstraint.matchLabelKeys": `{"maxSkew":1,"topologyKey":"a","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"a":"a"}}}`,
	"PodAffinityTerm.matchLabelKeys":          `{"topologyKey":"a","labelSelector":{"matchLabels":{"a":"a"}}}`,
	"PodAffinityTerm.mismatchLabelKeys":       `{"topologyKey":"a","labelSelector":{"matchLabels":{"a":"a"}}}`,
	"NodeSelectorTerm.matchFields":            `{"matchFields":[{"key":"metadata.name"}]}`,
	"NodeSelectorRequirement":                 `{"key":"a","operator":"In","values":["a"]}`,
	"PreferredSchedulingTerm":                 `{"weight":1,"preference":{"matchExpressions":[{"key":"a","operator":"In","values":["a"]}]}}`,
	"PodAffinityTerm":                         `{"topologyKey":"a"}`,
	"WeightedPodAffinityTerm":                 `{"weight":1,"podAffinityTerm":{"topologyKey":"a"}}`,
}

// besides are what the Pod needs elsewhere, by what exceptions go by, too.
var besides = map[string]string{
	"EnvVarSource.fileKeyRef":                   `{"volumes":[{"name":"v"},{"name":"w"}]}`,
	"Container.volumeMounts":                    `{"volumes":[{"name":"v"},{"name":"w"}]}`,
	"Container.volumeDevices":                   `{"volumes":[{"name":"p","persistentVolumeClaim":{"claimName":"p"}},{"name":"q","persistentVolumeClaim":{"claimName":"q"}}]}`,
	"ResourceRequirements.claims":               `{"resourceClaims":[{"name":"c","resourceClaimName":"a"},{"name":"d","resourceClaimName":"a"}]}`,
	"SecurityContext.procMount":                 `{"hostUsers":false}`,
	"WindowsSecurityContextOptions.hostProcess": `{"hostNetwork":true,"securityContext":{"windowsOptions":{"hostProcess":true}}}`,
}

// values are two valid values of a leaf, by its path, its "Type.field" or what it
// holds. The second is not the default; the first is nil where no other is valid,
// or none but the default.
var values = map[string][2]any{
	"string": {"a", "b"}, "bool": {nil, true}, "*bool": {false, true}, "int32": {1, 2}, "int64": {1, 2},
	"Quantity": {"1", "2"}, "IntOrString": {80, "http"},

	"AppArmorProfileType":                     {"RuntimeDefault", "Unconfined"},
	"AzureDataDiskCachingMode":                {"None", "ReadOnly"},
	"AzureDataDiskKind":                       {nil, "Dedicated"},
	"Capability":                              {"NET_ADMIN", "NET_RAW"},
	"ContainerRestartPolicy":                  {"Never", "OnFailure"},
	"ContainerRestartRuleAction":              {"Restart", "RestartAllContainers"},
	"ContainerRestartRuleOnExitCodesOperator": {"In", "NotIn"},
	"DNSPolicy":                               {"Default", "ClusterFirstWithHostNet"},
	"HostPathType":                            {"Directory", "File"},
	"LabelSelectorOperator":                   {"In", "NotIn"},
	"MountPropagationMode":                    {"None", "HostToContainer"},
	"NodeInclusionPolicy":                     {"Honor", "Ignore"},
	"NodeSelectorOperator":                    {"In", "NotIn"},
	"OSName":                                  {"linux", "windows"},
	"PersistentVolumeAccessMode":              {"ReadWriteOnce", "ReadWriteMany"},
	"PersistentVolumeMode":                    {nil, "Block"},
	"PodConditionType":                        {"mesh.test/a", "mesh.test/b"},
	"PodFSGroupChangePolicy":                  {"Always", "OnRootMismatch"},
	"PodSELinuxChangePolicy":                  {"Recursive", "MountOption"},
	"ProcMountType":                           {"Default", "Unmasked"},
	"Protocol":                                {"UDP", "SCTP"},
	"PullPolicy":                              {"Always", "Never"},
	"RecursiveReadOnlyMode":                   {"IfPossible", "Enabled"},
	"ResourceName":                            {"cpu", "memory"},
	"ResourceResizeRestartPolicy":             {"NotRequired", "RestartContainer"},
	"RestartPolicy":                           {"OnFailure", "Never"},
	"SeccompProfileType":                      {"RuntimeDefault", "Unconfined"},
	"StorageMedium":                           {"Memory", "HugePages"},
	"SupplementalGroupsPolicy":                {"Merge", "Strict"},
	"TerminationMessagePolicy":                {nil, "FallbackToLogsOnError"},
	"URIScheme":                               {nil, "HTTPS"},
	"UnsatisfiableConstraintAction":           {"DoNotSchedule", "ScheduleAnyway"},

	"containers.name":                     {"proxy", "agent"},
	"initContainers.name":                 {"proxy", "agent"},
	"initContainers.restartPolicy":        {"Always", "Never"},
	"Container.image":                     {"proxy:1", "proxy:2"},
	"ContainerPort.hostIP":                {"10.0.0.1", "10.0.0.2"},
	"EnvVar.name":                         {"A", "B"},
	"FileKeySelector.volumeName":          {"v", "w"},
	"ObjectFieldSelector.fieldPath":       {"metadata.name", "metadata.namespace"},
	"ResourceClaim.name":                  {"c", "d"},
	"ResourceFieldSelector.containerName": {"app", "proxy"},
	"ResourceFieldSelector.divisor":       {"1", "1m"},
	"ResourceFieldSelector.resource":      {"limits.cpu", "limits.memory"},
	"VolumeDevice.devicePath":             {"/a", "/b"},
	"VolumeDevice.name":                   {"p", "q"},
	"VolumeMount.mountPath":               {"/a", "/b"},
	"VolumeMount.name":                    {"v", "w"},
	// A process of the host is one in every container of a Pod.
	"WindowsSecurityContextOptions.hostProcess": {nil, true},

	"AzureDiskVolumeSource.diskURI":                   {"https://a", "https://b"},
	"ClusterTrustBundleProjection.signerName":         {"mesh.test/a", "mesh.test/b"},
	"HostPathVolumeSource.path":                       {"/a", "/b"},
	"ISCSIVolumeSource.initiatorName":                 {"iqn.2020-01.test:a", "iqn.2020-01.test:b"},
	"ISCSIVolumeSource.iqn":                           {"iqn.2020-01.test:a", "iqn.2020-01.test:b"},
	"NFSVolumeSource.path":                            {"/a", "/b"},
	"PodCertificateProjection.certificateChainPath":   {"c", "d"},
	"PodCertificateProjection.keyType":                {"ED25519", "RSA3072"},
	"PodCertificateProjection.maxExpirationSeconds":   {3600, 7200},
	"PodCertificateProjection.signerName":             {"mesh.test/a", "mesh.test/b"},
	"QuobyteVolumeSource.registry":                    {"a:1", "b:1"},
	"ServiceAccountTokenProjection.expirationSeconds": {7200, 10800},
	"Volume.name": {"v", "w"},

	"HostAlias.ip":                               {"10.0.0.1", "10.0.0.2"},
	"PodDNSConfig.nameservers":                   {"10.0.0.1", "10.0.0.2"},
	"PodSpec.activeDeadlineSeconds":              {3600, 7200},
	"automountServiceAccountToken":               {true, false},
	"resourceClaims.name":                        {"c", "d"},
	"securityContext.windowsOptions.hostProcess": {false, true},
}
