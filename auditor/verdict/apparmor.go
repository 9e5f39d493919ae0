package verdict

import (
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/podspec"
)

// appArmorAnnotation, with a container's name behind it, is where Pods that an API server
// before 1.30 stored have what newer ones put into the field appArmorProfile.
// https://kubernetes.io/docs/tutorials/security/apparmor/
const appArmorAnnotation = "container.apparmor.security.beta.kubernetes.io/"

// sameAppArmor reports whether a container's difference is that the live Pod says in an
// annotation what the fresh one has in the field.
func sameAppArmor(livePod jsontree.Node, live, fresh podspec.Container, d podspec.Difference) bool {
	const field = "securityContext.appArmorProfile"
	if d.A.Exists() || d.Path != field && !strings.HasPrefix(d.Path, field+".") || live.Node.Get("securityContext", "appArmorProfile").Exists() {
		return false
	}
	profile := livePod.Get("metadata", "annotations").Get(appArmorAnnotation + live.Name).String()
	has := fresh.Node.Get("securityContext", "appArmorProfile")
	switch has.Get("type").String() {
	case "RuntimeDefault":
		return profile == "runtime/default"
	case "Unconfined":
		return profile == "unconfined"
	case "Localhost":
		return profile == "localhost/"+has.Get("localhostProfile").String()
	}
	return false
}
