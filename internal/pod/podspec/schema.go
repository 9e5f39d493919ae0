// Package podspec knows a Pod's spec the way the API server does: which lists
// are keyed by what, which maps are owned whole, which values are defaults,
// and what no injector is answerable for. Fingerprints and verdicts both look
// at Pods through its [View].
package podspec

// listKeys returns the fields by which the items of the list under this field
// name are told apart, in the order of FieldsV1 (alphabetical). An empty first
// key means an atomic list, as does a field that this build does not know.
//
// The names are unique below a Pod's spec; a test compares this table and
// atomicMap with the OpenAPI schema that structured-merge-diff uses.
func listKeys(field []byte) (first, second string) {
	switch string(field) {
	case "containers", "initContainers", "ephemeralContainers", "volumes", "env",
		"imagePullSecrets", "resourceClaims", "schedulingGates", "claims", "evictionResponders":
		return "name", ""
	case "volumeMounts":
		return "mountPath", ""
	case "volumeDevices":
		return "devicePath", ""
	case "ports":
		return "containerPort", "protocol"
	case "hostAliases":
		return "ip", ""
	case "ownerReferences":
		return "uid", ""
	case "topologySpreadConstraints":
		return "topologyKey", "whenUnsatisfiable"
	}
	return "", ""
}

// setList reports whether the list under this field name is a set of scalars,
// each its own key.
func setList(field []byte) bool {
	switch string(field) {
	case "bindMountOptions", "finalizers":
		return true
	}
	return false
}

// atomicMap reports whether a map under this field name (or, for a keyed
// list's name, each of its items) is owned as a whole.
func atomicMap(field []byte) bool {
	switch string(field) {
	case "configMapKeyRef", "dataSource", "evictionResponders", "fieldRef", "fileKeyRef",
		"imagePullSecrets", "labelSelector", "namespaceSelector", "nodePublishSecretRef",
		"nodeSelector", "nodeSelectorTerms", "ownerReferences", "preference", "requiredDuringSchedulingIgnoredDuringExecution",
		"resourceFieldRef", "secretKeyRef", "secretRef", "selector":
		return true
	}
	return false
}

// keyDefault returns the default of a list key that a document may leave out.
func keyDefault(key string) string {
	if key == "protocol" {
		return "TCP"
	}
	return ""
}

// apiDefault returns the value, as text, that the API server fills in for a
// field below the named parent (a list's name stands for its items), and
// whether there is one. A test compares it with what a real API server adds.
// https://kubernetes.io/docs/reference/generated/kubernetes-api/ names them.
func apiDefault(parent, field []byte) (string, bool) {
	switch string(parent) {
	case "containers", "initContainers":
		switch string(field) {
		case "terminationMessagePath":
			return "/dev/termination-log", true
		case "terminationMessagePolicy":
			return "File", true
		}
	case "livenessProbe", "readinessProbe", "startupProbe":
		switch string(field) {
		case "timeoutSeconds", "successThreshold":
			return "1", true
		case "periodSeconds":
			return "10", true
		case "failureThreshold":
			return "3", true
		}
	case "httpGet":
		switch string(field) {
		case "scheme":
			return "HTTP", true
		case "path":
			return "/", true
		case "protocol": // from the feature gate H2CContainerProbe on
			return "HTTP1", true
		}
	case "grpc":
		if string(field) == "service" {
			return "", true
		}
	case "ports":
		if string(field) == "protocol" {
			return "TCP", true
		}
	case "fileKeyRef":
		if string(field) == "optional" {
			return "false", true
		}
	case "fieldRef":
		if string(field) == "apiVersion" {
			return "v1", true
		}
	case "resourceFieldRef":
		if string(field) == "divisor" {
			return "0", true
		}
	case "configMap", "secret", "projected", "downwardAPI":
		if string(field) == "defaultMode" {
			return "420", true
		}
	case "serviceAccountToken":
		if string(field) == "expirationSeconds" {
			return "3600", true
		}
	case "hostPath":
		if string(field) == "type" {
			return "", true
		}
	}
	if string(parent) == podField {
		return podDefault(field)
	}
	return storageDefault(parent, field)
}

func podDefault(field []byte) (string, bool) {
	switch string(field) {
	case "dnsPolicy":
		return "ClusterFirst", true
	case "restartPolicy":
		return "Always", true
	case "schedulerName":
		return "default-scheduler", true
	case "terminationGracePeriodSeconds":
		return "30", true
	}
	return "", false
}

// storageDefault is apiDefault for the kinds of volume that few Pods have.
func storageDefault(parent, field []byte) (string, bool) {
	switch string(parent) {
	case "iscsi", "rbd", "azureDisk", "scaleIO", "spec":
	default:
		return "", false
	}
	switch string(parent) + "." + string(field) {
	case "iscsi.iscsiInterface":
		return "default", true
	case "rbd.pool":
		return "rbd", true
	case "rbd.user":
		return "admin", true
	case "rbd.keyring":
		return "/etc/ceph/keyring", true
	case "azureDisk.cachingMode":
		return "ReadWrite", true
	case "azureDisk.fsType":
		return "ext4", true
	case "azureDisk.kind":
		return "Shared", true
	case "azureDisk.readOnly":
		return "false", true
	case "scaleIO.storageMode":
		return "ThinProvisioned", true
	case "scaleIO.fsType":
		return "xfs", true
	case "spec.volumeMode":
		return "Filesystem", true
	}
	return "", false
}

// podField stands for the Pod's own spec where a parent's field name is asked
// for: volume claim templates hold a field named spec, too.
const podField = "pod.spec"

// quantity reports whether values below the named parent's field are
// resource.Quantity.
func quantity(parent, field []byte) bool {
	switch string(parent) {
	case "limits", "requests", "overhead":
		return true
	case "emptyDir":
		return string(field) == "sizeLimit"
	case "resourceFieldRef":
		return string(field) == "divisor"
	}
	return false
}
