package verdict

import (
	"fmt"
	"slices"
	"testing"
)

// TestAppImages: what a policy makes of the app's own image is no drift of a sidecar, and
// is listed for those who would re-create the Pod.
func TestAppImages(t *testing.T) {
	const template = `{"spec":{"containers":[{"name":"app"}],"initContainers":[{"name":"setup"},{"name":"native","restartPolicy":"Always"}]}}`
	pod := func(app, setup, native, proxy string) string {
		return fmt.Sprintf(`"spec":{"containers":[{"name":"app",%s},{"name":"proxy","image":%q}],"initContainers":[{"name":"setup","image":%q},{"name":"native","image":%q,"restartPolicy":"Always"}]}`,
			app, proxy, setup, native)
	}
	image := func(of string) string { return fmt.Sprintf(`"image":%q`, of) }
	same := pod(image("app:1"), "setup:1", "native:1", "proxy:1")
	edited := `"metadata":{"managedFields":[{"manager":"c","operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{}}}}}},
		{"manager":"kubectl-set","operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{"f:image":{}}}}}}]},`
	for name, test := range map[string]struct {
		metadata, live, fresh string
		state                 State
		changes, images       []string
	}{
		"nothing": {"", same, same, InSync, nil, nil},
		"the app's": {
			"", same, pod(image("app:1@sha256:b"), "setup:1", "native:1", "proxy:1"),
			Mutated, []string{"app/app image"}, []string{"app/app:image"},
		},
		"an init container's and a native sidecar's of the app": {
			"", same, pod(image("app:1"), "mirror/setup:1", "mirror/native:1", "proxy:1"),
			Mutated, []string{"app/native image", "app/setup image"}, []string{"app/native:image", "app/setup:image"},
		},
		"the app's, beside the sidecar's": {
			"", same, pod(image("app:2"), "setup:1", "native:1", "proxy:2"),
			Drifted, []string{"app/app image", "container/proxy image"}, []string{"app/app:image"},
		},
		"with the pull policy that follows from its tag": {
			"", pod(`"image":"app","imagePullPolicy":"Always"`, "setup:1", "native:1", "proxy:1"),
			pod(`"image":"app:1","imagePullPolicy":"IfNotPresent"`, "setup:1", "native:1", "proxy:1"),
			Mutated, []string{"app/app image", "app/app imagePullPolicy"}, []string{"app/app:image"},
		},
		"with a pull policy of a policy's": {
			"", pod(`"image":"app:1","imagePullPolicy":"IfNotPresent"`, "setup:1", "native:1", "proxy:1"),
			pod(`"image":"app:2","imagePullPolicy":"Always"`, "setup:1", "native:1", "proxy:1"),
			Drifted, []string{"app/app image", "app/app imagePullPolicy"}, []string{"app/app:image"},
		},
		"with a variable of the app's": {
			"", same, pod(image("app:2")+`,"env":[{"name":"A"}]`, "setup:1", "native:1", "proxy:1"),
			Drifted, []string{"app/app env[A]", "app/app image"}, []string{"app/app:image"},
		},
		"edited in place": {
			edited, pod(image("app:hotfix"), "setup:1", "native:1", "proxy:1"), same,
			InSync, nil, []string{"app/app:image"},
		},
	} {
		v := judge(t, documents{
			Live: []byte(`{` + test.metadata + test.live + `}`), Fresh: []byte(`{` + test.fresh + `}`), Template: []byte(template),
		})
		var images []string
		for _, c := range v.AppImages {
			images = append(images, c.Place())
		}
		if v.State != test.state || !slices.Equal(paths(v), test.changes) || !slices.Equal(images, test.images) {
			t.Errorf("%s: %s, changes %v, images %v", name, v.State, paths(v), images)
		}
	}
}

// TestAppImageBesideWhatVaries: without the app's image the Pod would be Unstable.
func TestAppImageBesideWhatVaries(t *testing.T) {
	pod := func(app, nonce string) string {
		return fmt.Sprintf(`{"spec":{"containers":[{"name":"app","image":%q},{"name":"proxy","env":[{"name":"N","value":%q}]}]}}`, app, nonce)
	}
	template := parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))
	fresh := parse(t, []byte(pod("app:2", "x")))
	var varying Varying
	if _, err := varying.Learn(Input{Live: fresh, Fresh: parse(t, []byte(pod("app:2", "y"))), Template: template}); err != nil {
		t.Fatal(err)
	}
	v, err := Judge(Input{Live: parse(t, []byte(pod("app:1", "z"))), Fresh: fresh, Template: template, Varying: &varying})
	if err != nil || v.State != Unstable {
		t.Errorf("%s, %v", v.State, err)
	}
}

// TestOwnList: a name counts in its own list alone. gcsfuse's webhook replaces a
// container that the template declares by a native sidecar of that name.
func TestOwnList(t *testing.T) {
	const template = `{"spec":{"containers":[{"name":"app"},{"name":"gcs","image":"private/gcs:1"}]}}`
	injected := func(image string) []byte {
		return fmt.Appendf(nil, `{"spec":{"containers":[{"name":"app"}],"initContainers":[{"name":"gcs","image":%q,"restartPolicy":"Always"}]}}`, image)
	}
	before := []byte(`{"spec":{"containers":[{"name":"app"},{"name":"gcs","image":"private/gcs:1"}]}}`)
	for name, test := range map[string]struct {
		live, fresh []byte
		state       State
		changes     []string
		loses       []string
	}{
		"in sync":          {injected("gcs:1"), injected("gcs:1"), InSync, nil, nil},
		"another image":    {injected("gcs:1"), injected("gcs:2"), Drifted, []string{"initContainer/gcs image"}, nil},
		"not replaced yet": {before, injected("gcs:1"), Missing, []string{"app/gcs ", "initContainer/gcs "}, nil},
		"no more replaced": {injected("gcs:1"), before, Orphaned, []string{"app/gcs ", "initContainer/gcs "}, []string{"gcs"}},
	} {
		v := judge(t, documents{Live: test.live, Fresh: test.fresh, Template: []byte(template)})
		if v.State != test.state || !slices.Equal(paths(v), test.changes) || !slices.Equal(v.Loses, test.loses) {
			t.Errorf("%s: %s, changes %v, loses %v", name, v.State, paths(v), v.Loses)
		}
	}
}
