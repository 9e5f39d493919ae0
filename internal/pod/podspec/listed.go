package podspec

import "github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"

// istioStatus is the annotation in which Istio lists what it injected.
const istioStatus = "sidecar.istio.io/status"

// Listed names what an injector itself says that it injected. Istio merges its
// sidecar over a container of the same name that the template declares, so
// such a container has fields of both.
type Listed struct {
	Containers, Volumes, PullSecrets map[string]bool
}

// ListedByInjector reads the injector's status annotation of a Pod. A missing
// or malformed one lists nothing.
func ListedByInjector(pod jsontree.Node) Listed {
	l := Listed{Containers: map[string]bool{}, Volumes: map[string]bool{}, PullSecrets: map[string]bool{}}
	status := pod.Get("metadata", "annotations").Get(istioStatus)
	if status.Kind() != jsontree.String {
		return l
	}
	root, err := jsontree.Parse(status.Text())
	if err != nil {
		return l
	}
	for _, field := range []string{"initContainers", "containers"} {
		for name := range root.Get(field).Children() {
			l.Containers[name.String()] = true
		}
	}
	for name := range root.Get("volumes").Children() {
		l.Volumes[name.String()] = true
	}
	for name := range root.Get("imagePullSecrets").Children() {
		l.PullSecrets[name.String()] = true
	}
	return l
}
