package injection

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetadataWith(t *testing.T) {
	extra := Metadata{Labels: map[string]string{"istio.io/rev": "1-28"}, Annotations: map[string]string{"a": "new"}}
	for name, test := range map[string]struct {
		extra     Metadata
		pod, want string
	}{
		"none there": {extra, `{"metadata":{"name":"web"},"spec":{"future":1}}`,
			`{"metadata":{"annotations":{"a":"new"},"labels":{"istio.io/rev":"1-28"},"name":"web"},"spec":{"future":1}}`},
		"others there": {extra, `{"metadata":{"labels":{"app":"web","istio.io/rev":"1-27"},"annotations":{"a":"old","b":"c"}}}`,
			`{"metadata":{"annotations":{"a":"new","b":"c"},"labels":{"app":"web","istio.io/rev":"1-28"}}}`},
		"nothing to add": {Metadata{}, `{"metadata":{"labels":{"app":"web"}}}`, `{"metadata":{"labels":{"app":"web"}}}`},
	} {
		got, err := test.extra.With([]byte(test.pod))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := extra.With([]byte(`{"metadata":[]}`)); err == nil {
		t.Error("metadata that is a list is taken")
	}
}

func TestSelectsBy(t *testing.T) {
	list := []byte(`{"items":[{"webhooks":[
		{"name":"by-label","namespaceSelector":{"matchLabels":{"istio.io/rev":"1-28"}}},
		{"name":"by-expression","namespaceSelector":{"matchExpressions":[{"key":"istio.io/rev","operator":"In","values":["1-28"]}]}},
		{"name":"by-another","namespaceSelector":{"matchLabels":{"istio-injection":"enabled"}}},
		{"name":"by-none"}]}]}`)
	definitions, err := allDefinitions(list)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range definitions {
		if selectsBy(d, map[string]string{"istio.io/rev": "1-28"}) {
			found = append(found, d.Name)
		}
	}
	if want := []string{"by-label", "by-expression"}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}
