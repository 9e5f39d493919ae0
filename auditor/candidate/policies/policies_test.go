package policies

import (
	"strings"
	"testing"
)

const allow = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"p"},"spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]},"validations":[{"expression":"true"}]}}`
const bound = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicyBinding","metadata":{"name":"b"},"spec":{"policyName":"p","validationActions":["Deny"]}}`

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		documents []string
		want      string // of the error; empty: none
	}{
		"a policy and its binding":     {[]string{allow, bound}, ""},
		"a List":                       {[]string{`{"apiVersion":"v1","kind":"List","items":[` + allow + `,` + bound + `]}`}, ""},
		"no binding":                   {[]string{allow}, "ValidatingAdmissionPolicy/p has no binding"},
		"no policy":                    {[]string{bound}, `names the policy "p", which is not in the file`},
		"twice":                        {[]string{allow, allow, bound}, "is there twice"},
		"an unknown field":             {[]string{strings.Replace(allow, `"validations"`, `"validation":[],"validations"`, 1), bound}, `unknown field "spec.validation"`},
		"a value of another type":      {[]string{strings.Replace(allow, `"expression":"true"`, `"expression":true`, 1), bound}, "ValidatingAdmissionPolicy/p: "},
		"a webhook":                    {[]string{`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"w"}}`}, "--webhook"},
		"without a name":               {[]string{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}`}, "without a name"},
		"nothing but a parameter":      {[]string{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}`}, "no admission policy"},
		"no object":                    {[]string{`[1]`}, "not an object"},
		"an object that says no kind":  {[]string{`{"metadata":{"name":"x"}}`}, "not an object"},
		"nothing":                      {nil, "no admission policy"},
		"an object of something else,": {[]string{`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"Pod","metadata":{"name":"x"}}`}, "no admission policy and no binding"},
	} {
		var documents [][]byte
		for _, d := range test.documents {
			documents = append(documents, []byte(d))
		}
		set, err := Read(documents)
		switch {
		case test.want == "" && (err != nil || strings.Join(set.Names, " ") != "ValidatingAdmissionPolicy/p"):
			t.Errorf("%s: %v, %v", name, set, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

// A policy about Deployments changes no Pod by itself, and is not said to change nothing.
func TestPoliciesAboutOtherObjects(t *testing.T) {
	for name, test := range map[string]struct {
		policy string
		want   int // notes
	}{
		"Pods":            {allow, 0},
		"all":             {strings.Replace(allow, `"pods"`, `"*"`, 1), 0},
		"Deployments":     {strings.Replace(strings.Replace(allow, `"pods"`, `"deployments"`, 1), `"apiGroups":[""]`, `"apiGroups":["apps"]`, 1), 1},
		"updates of Pods": {strings.Replace(allow, `"CREATE"`, `"UPDATE"`, 1), 1},
		"a subresource":   {strings.Replace(allow, `"pods"`, `"pods/exec"`, 1), 1},
	} {
		set, err := Read([][]byte{[]byte(test.policy), []byte(bound)})
		if err != nil || len(set.notes) != test.want || test.want > 0 && !strings.Contains(set.notes[0], "ValidatingAdmissionPolicy/p does not match the creation of Pods") {
			t.Errorf("%s: %v, %v", name, set, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(allow))
	f.Add([]byte(bound))
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[{"kind":"List","items":[{}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := Read([][]byte{text})
		if (set == nil) == (err == nil) {
			t.Fatal("neither policies nor an error, or both")
		}
	})
}
