package candidate

import "strings"

// withDefaults fills in what the API server fills in after each webhook, as far as other
// webhooks may look at it or a comparison does not take it for the same
// (k8s.io/kubernetes pkg/apis/core/v1/defaults.go). The Pod is nobody else's.
func withDefaults(pod object) object {
	spec := child(pod, "spec")
	for _, volume := range list(spec, "volumes") {
		if _, named := volume["name"]; named && len(volume) == 1 {
			volume["emptyDir"] = object{}
		}
	}
	for _, lists := range []string{"initContainers", "containers"} {
		for _, container := range list(spec, lists) {
			defaultTo(container, "terminationMessagePath", "/dev/termination-log")
			defaultTo(container, "terminationMessagePolicy", "File")
			defaultTo(container, "imagePullPolicy", pullPolicy(text(container, "image")))
			defaultTo(container, "resources", object{})
			for _, port := range list(container, "ports") {
				defaultTo(port, "protocol", "TCP")
			}
		}
	}
	return pod
}

func defaultTo(o object, field string, value any) {
	if o[field] == nil || o[field] == "" {
		o[field] = value
	}
}

func pullPolicy(image string) string {
	image = image[strings.LastIndexByte(image, '/')+1:]
	image, _, digest := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(image, ":")
	if tag == "latest" || !tagged && !digest {
		return "Always"
	}
	return "IfNotPresent"
}
