package cli

import (
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// A URL of a sink is a secret: it has no place on the command line, and no error, nor
// "validate", repeats it.
func TestNoErrorShowsASinksURL(t *testing.T) {
	const secret = "https://hooks.example.com/T0KEN-9f8e7d6c5b4a"
	for _, value := range []string{
		"name=a,kind=slack,url=" + secret, secret, "name=a,kind=slack,urlEnv=" + secret, "name=" + secret + ",kind=slack,urlEnv=A",
		"name=a,kind=slack,urlFile=/a,period=" + secret, "name=a,kind=slack,urlFile=/a," + secret,
	} {
		streams, _, out, errOut := genericiooptions.NewTestIOStreams()
		root := NewCommand("sidecar-drift", streams)
		root.SetArgs([]string{"serve", "--kubeconfig=/nowhere", "--notify", value})
		err := root.Execute()
		if err == nil {
			t.Errorf("%q is taken", value)
			continue
		}
		if said := err.Error() + out.String() + errOut.String(); strings.Contains(said, "T0KEN") {
			t.Errorf("%q: %s", value, said)
		}
	}
	for _, sinks := range []string{
		"[" + secret + "]", secret, "{url: " + secret + "}", "[{url: [" + secret + "]}]", "[{name: a, kind: slack, url: 'x" + secret + "'}]",
		"[{name: a, kind: slack, url: '" + secret + " b'}]", "[{name: a, kind: slack, urlEnv: '" + secret + "'}]", "[{'" + secret + "': a}]",
		"[{name: a, kind: slack, maxMessages: '" + secret + "'}]", "[{name: a, kind: slack, period: '" + secret + "'}]", "[{name: a, kind: slack, events: '" + secret + "'}]",
		"[{name: a, kind: slack, url: {'" + secret + "': 1}}]", "[{name: a, kind: slack, url: '" + secret + "', urlEnv: A}]",
	} {
		streams, in, out, errOut := genericiooptions.NewTestIOStreams()
		in.WriteString("apiVersion: sidecar-drift.io/v1alpha1\nkind: Configuration\nnotify: " + sinks + "\n")
		root := NewCommand("sidecar-drift", streams)
		root.SetArgs([]string{"validate", "-f", "-"})
		err := root.Execute()
		if err == nil {
			t.Errorf("%s is valid", sinks)
			continue
		}
		if said := err.Error() + out.String() + errOut.String(); strings.Contains(said, "T0KEN") {
			t.Errorf("%s: %s", sinks, said)
		}
	}
}
