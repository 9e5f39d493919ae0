package podtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// setting is what one more of an app's settings adds to a Pod: a variable, and
// its path in managedFields. Every eighth is from a Secret, and comes with a
// volume that is mounted.
type setting struct{ variable, volume, mount, ownVariable, ownVolume, ownMount string }

func newSetting(i int) setting {
	name := fmt.Sprintf("APP_%05d", i*7919%100_000) // in no order, as people write them
	s := setting{
		variable:    fmt.Sprintf(`{"name":%q,"value":"https://settings.example.com/apps/web/%s?region=eu-central-1"}`, name, name),
		ownVariable: fmt.Sprintf(`"k:{\"name\":\"%s\"}":{".":{},"f:name":{},"f:value":{}}`, name),
	}
	if i%8 == 0 {
		s = setting{
			variable:    fmt.Sprintf(`{"name":%q,"valueFrom":{"secretKeyRef":{"name":"web","key":%q}}}`, name, name),
			volume:      fmt.Sprintf(`{"name":%q,"configMap":{"name":%q,"defaultMode":420}}`, name, name),
			mount:       fmt.Sprintf(`{"name":%q,"mountPath":"/etc/web/%s"}`, name, name),
			ownVariable: fmt.Sprintf(`"k:{\"name\":\"%s\"}":{".":{},"f:name":{},"f:valueFrom":{".":{},"f:secretKeyRef":{}}}`, name),
			ownVolume:   fmt.Sprintf(`"k:{\"name\":\"%s\"}":{".":{},"f:configMap":{".":{},"f:defaultMode":{},"f:name":{}},"f:name":{}}`, name),
			ownMount:    fmt.Sprintf(`"k:{\"mountPath\":\"/etc/web/%s\"}":{".":{},"f:mountPath":{},"f:name":{}}`, name),
		}
	}
	return s
}

// Grown returns the review of nginx with Istio's sidecar as an API server would
// send it if the app had so many settings that it came to this many bytes. What
// is injected stays as it is, unless even that is too much: the containers are
// left out then.
func Grown(review []byte, size int) ([]byte, error) {
	if size < len(review) {
		return withoutSidecar(review)
	}
	// Settings differ by little: the second guess is the answer.
	settings := (size - len(review)) / 200
	grown, err := withSettings(review, settings)
	if err != nil || settings == 0 {
		return grown, err
	}
	return withSettings(review, settings*(size-len(review))/(len(grown)-len(review)))
}

func withoutSidecar(review []byte) ([]byte, error) {
	for _, between := range [][2]string{
		{`"initContainers":[{"name":"istio-init"`, `"containers":[`},
		{`,{"name":"istio-proxy"`, `],"restartPolicy"`},
	} {
		before, rest, found := bytes.Cut(review, []byte(between[0]))
		_, after, ended := bytes.Cut(rest, []byte(between[1]))
		if !found || !ended {
			return nil, fmt.Errorf("the review does not hold %s … %s", between[0], between[1])
		}
		review = slices.Concat(before, []byte(between[1]), after)
	}
	return review, nil
}

func withSettings(review []byte, settings int) ([]byte, error) {
	if settings == 0 {
		return review, nil
	}
	var variables, volumes, mounts, ownVariables, ownVolumes, ownMounts []string
	for i := range settings {
		s := newSetting(i)
		variables, ownVariables = append(variables, s.variable), append(ownVariables, s.ownVariable)
		if s.volume != "" {
			volumes, ownVolumes = append(volumes, s.volume), append(ownVolumes, s.ownVolume)
			mounts, ownMounts = append(mounts, s.mount), append(ownMounts, s.ownMount)
		}
	}
	// Where API servers write these, and in which order.
	owned := func(list []string) string {
		return `{".":{},` + strings.Join(slices.Sorted(slices.Values(list)), ",") + "}"
	}
	for at, text := range map[string]string{
		`"resources":{},"volumeMounts":[`:      `"env":[` + strings.Join(variables, ",") + `],"resources":{},"volumeMounts":[` + strings.Join(mounts, ",") + `,`,
		`"volumes":[{`:                         `"volumes":[` + strings.Join(volumes, ",") + `,{`,
		`"f:image":{}`:                         `"f:env":` + owned(ownVariables) + `,"f:image":{}`,
		`"f:terminationMessagePolicy":{}`:      `"f:terminationMessagePolicy":{},"f:volumeMounts":` + owned(ownMounts),
		`"f:terminationGracePeriodSeconds":{}`: `"f:terminationGracePeriodSeconds":{},"f:volumes":` + owned(ownVolumes),
	} {
		if n := bytes.Count(review, []byte(at)); n != 1 {
			return nil, fmt.Errorf("the review holds %s %d times, not once", at, n)
		}
		review = bytes.Replace(review, []byte(at), []byte(text), 1)
	}
	return review, nil
}
