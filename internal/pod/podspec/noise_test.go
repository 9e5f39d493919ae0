package podspec

import (
	"bytes"
	"testing"
)

// TestMergedRequirements: what an API server derives from matchLabelKeys and
// merges into the selector beside them makes no difference.
func TestMergedRequirements(t *testing.T) {
	const (
		labels = `{"metadata":{"labels":{"hash":"1","tenant":"a"}},"spec":{`
		keys   = `,"matchLabelKeys":["hash"],"mismatchLabelKeys":["tenant"]`
		zone   = `{"key":"zone","operator":"Exists"}`
		hash   = `{"key":"hash","operator":"In","values":["1"]}`
		other  = `{"key":"tenant","operator":"NotIn","values":["a"]}`
	)
	selector := func(requirements string) string {
		return `"labelSelector":{"matchLabels":{"app":"web"},"matchExpressions":[` + requirements + `]}`
	}
	for place, around := range map[string][2]string{
		"spread": {`"topologySpreadConstraints":[{"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule",`, `}]`},
		"required": {
			`"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone",`, `}]}}`,
		},
		"preferred": {
			`"affinity":{"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"podAffinityTerm":{`, `}}]}}`,
		},
	} {
		for name, test := range map[string]struct {
			a, b string
			same bool
		}{
			"merged":              {`"labelSelector":{"matchLabels":{"app":"web"}}` + keys, selector(hash+`,`+other) + keys, true},
			"merged with its own": {selector(zone) + keys, selector(zone+`,`+hash) + keys, true},
			"no keys":             {selector(zone), selector(zone + `,` + hash), false},
			"one of its own":      {selector("") + keys, selector(zone+`,`+hash) + keys, false},
			"a key more":          {selector(""), selector(hash) + keys, false},
			"another value":       {selector("") + keys, selector(`{"key":"hash","operator":"In","values":["2"]}`) + keys, false},
			"a value more":        {selector("") + keys, selector(`{"key":"hash","operator":"In","values":["1","2"]}`) + keys, false},
			"another operator":    {selector("") + keys, selector(`{"key":"tenant","operator":"In","values":["a"]}`) + keys, false},
		} {
			t.Run(place+": "+name, func(t *testing.T) {
				a := viewOf(t, labels+around[0]+test.a+around[1]+`}}`)
				b := viewOf(t, labels+around[0]+test.b+around[1]+`}}`)
				fieldA, fieldB := a.PodFields()[0], b.PodFields()[0]
				if found := Diff(a, b, fieldA, fieldB, Fields{}); (len(found) == 0) != test.same {
					t.Errorf("differences: %v", found)
				}
				canonicalA, canonicalB := a.AppendCanonical(nil, fieldA), b.AppendCanonical(nil, fieldB)
				if bytes.Equal(canonicalA, canonicalB) != test.same {
					t.Errorf("canonical forms: %q, %q", canonicalA, canonicalB)
				}
				cleanA, cleanB := a.AppendClean(nil), b.AppendClean(nil)
				if bytes.Equal(cleanA, cleanB) != test.same {
					t.Errorf("clean forms: %s, %s", cleanA, cleanB)
				}
			})
		}
	}
}

// TestResizePolicy: NotRequired is what none is.
func TestResizePolicy(t *testing.T) {
	const (
		cpu     = `{"resourceName":"cpu","restartPolicy":"NotRequired"}`
		memory  = `{"resourceName":"memory","restartPolicy":"NotRequired"}`
		restart = `{"resourceName":"memory","restartPolicy":"RestartContainer"}`
	)
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{``, `,"resizePolicy":[` + cpu + `,` + memory + `]`, true},
		{`,"resizePolicy":[` + restart + `]`, `,"resizePolicy":[` + restart + `,` + cpu + `]`, true},
		{`,"resizePolicy":[` + memory + `]`, `,"resizePolicy":[` + restart + `]`, false},
		{``, `,"resizePolicy":[` + restart + `]`, false},
	} {
		a := viewOf(t, `{"spec":{"containers":[{"name":"a"`+test.a+`}]}}`)
		b := viewOf(t, `{"spec":{"containers":[{"name":"a"`+test.b+`}]}}`)
		containerA, containerB := a.Containers()[0].Member, b.Containers()[0].Member
		if found := Diff(a, b, containerA, containerB, Fields{}); (len(found) == 0) != test.same {
			t.Errorf("%s, %s: differences: %v", test.a, test.b, found)
		}
		if bytes.Equal(a.AppendCanonical(nil, containerA), b.AppendCanonical(nil, containerB)) != test.same {
			t.Errorf("%s, %s: canonical forms", test.a, test.b)
		}
	}
}
