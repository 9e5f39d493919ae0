package acceptance

import (
	"context"
	"fmt"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// see has rounds of what changed until there are so many Pods.
func (s *standing) see(pods int, states ...string) watch.Round {
	s.t.Helper()
	var r watch.Round
	err := cluster.Poll(s.t.Context(), fmt.Sprintf("%d Pods", pods), func(context.Context) error {
		r = s.round(watch.Changes)
		n := 0
		for _, of := range r.Report.Summary.Pods {
			n += of
		}
		if n != pods {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(states) > 0 {
		checkStates(s.t, r.Report, states...)
	}
	return r
}

// A Pod without a controller that is like one before but for its name is not asked about,
// as long as it is like that one in sync; one that is otherwise is.
func TestKnownShapes(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	pod := func(name, image string) {
		t.Helper()
		apply(t, c, namespace, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %[1]s}}
spec: {containers: [{name: app, image: "%s"}]}
`, name, image))
	}
	s, asked := counting(t, c, namespace)
	pod("one", "app:1")
	s.see(1, "Pod/one InSync 1")
	if n := asked(); n == 0 {
		t.Fatal("no dry run at first")
	}
	pod("two", "app:1")
	r := s.see(2, "Pod/one InSync 1", "Pod/two InSync 1")
	if n := asked(); n != 0 {
		t.Errorf("%d dry runs for those that are like others", n)
	}
	if r.Features == 0 {
		t.Error("who took an answer over has none of the features of that")
	}
	pod("other", "app:2")
	s.see(3)
	if n := asked(); n == 0 {
		t.Error("nobody is asked about a Pod that is like none")
	}
	// Injected otherwise than what is known: it is asked about.
	running.Inject(addsProxy("proxy:2"))
	pod("three", "app:1")
	s.see(4)
	if n := asked(); n == 0 {
		t.Error("nobody is asked about a Pod that was injected otherwise")
	}
}

// Of a CronJob's Jobs, each with a Pod or more, the first is asked about, and the others as
// soon as the CronJob's template is another one.
func TestKnownShapesOfJobs(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, _ := startOwnInjector(t, c, addsProxy("proxy:1"))
	apply(t, c, namespace, `
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: 0 0 1 1 *
  jobTemplate:
    spec:
      parallelism: 2
      template:
        spec:
          restartPolicy: Never
          nodeSelector: {none: has-it} # or they end at once
          containers: [{name: app, image: "app:1", resources: {requests: {cpu: 1m}}, env: [{name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]
`)
	run := func(name string) {
		t.Helper()
		if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "create", "job", name, "--from=cronjob/tick"); err != nil {
			t.Fatal(err)
		}
	}
	s, asked := counting(t, c, namespace)
	run("tick-29000001")
	s.see(2, "CronJob/tick InSync 2")
	if n := asked(); n != 1 {
		t.Errorf("%d dry runs of the first Job, want one", n)
	}
	for i, name := range []string{"tick-29000002", "tick-29000003", "by-hand"} {
		run(name)
		s.see(2*i+4, fmt.Sprintf("CronJob/tick InSync %d", 2*i+4))
		if n := asked(); n != 0 {
			t.Errorf("%s: %d dry runs for a Job that is like the first", name, n)
		}
	}
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "set", "image", "cronjob/tick", "app=app:2"); err != nil {
		t.Fatal(err)
	}
	run("tick-29000004")
	s.see(10, "CronJob/tick InSync 10")
	if n := asked(); n != 1 {
		t.Errorf("%d dry runs for a Job of another template, want one", n)
	}
}
