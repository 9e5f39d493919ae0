package acceptance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
)

// notifies is rollsOutAlways, with somebody who is told.
const notifies = rollsOutAlways + `
notify:
- {name: events, kind: webhook, urlFile: %[3]s, maxMessages: 100}
- {name: nobody, kind: webhook, url: "http://127.0.0.1:1/", events: [drift.found]}
`

// The daemon tells a webhook what it finds and does, in CloudEvents that are what the
// published schema says; a sink that nobody answers keeps nothing up.
func serveNotifies(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, setImage := ownInjector(t, c)
	deployWeb(t, c, namespace, 2, "one", "two")
	home := newHome(t, c)
	told := make(chan notify.CloudEvent, 100)
	server := httptest.NewServer(takesEvents(t, told))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	const secret = "T0KEN-9f8e7d6c5b4a"
	where, file := filepath.Join(dir, "url"), filepath.Join(dir, "configuration.yaml")
	if err := os.WriteFile(where, []byte(server.URL+"/"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, notifies, namespace, 50, where), 0o644); err != nil {
		t.Fatal(err)
	}
	d := home.rollsOut(t, "--config", file, "--lease-duration", "10s", "--cluster-name", "test")
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	setImage("proxy:2")

	// Both drift, mostly in one round, and each is told of once; likewise their rollout.
	drifted, finished := map[string]int{}, map[string]string{}
	var started, ended int
	for len(finished) < 2 {
		e := nextEvent(t, told)
		if want := "/clusters/test/namespaces/" + home.namespace + "/auditors/sidecar-drift-auditor"; e.Source != want {
			t.Errorf("source %s, want %s", e.Source, want)
		}
		for _, w := range e.Data.Workloads {
			if w.Namespace != namespace || w.Kind != "Deployment" {
				t.Errorf("%s is about %+v", e.Type, w)
			}
			switch e.Type {
			case "io.sidecar-drift.drift.found":
				drifted[w.Name]++
			case "io.sidecar-drift.rollout.started":
				started++
			case "io.sidecar-drift.rollout.finished":
				ended++
				finished[w.Name] = w.State + " " + w.Result
				if ended > started {
					t.Errorf("%s has ended before it began", w.Name)
				}
			default:
				t.Errorf("it tells of %s: %s", e.Type, e.Data.Summary)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"one": 1, "two": 1}, drifted); diff != "" {
		t.Errorf("told of drift (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"one": "InSync RolledOut", "two": "InSync RolledOut"}, finished); diff != "" {
		t.Errorf("told of the rollout (-want +got):\n%s", diff)
	}
	becomes(t, 0, "sidecar_drift_notifications_total", model.LabelSet{"sink": "events", "result": "failed"}, d)
	becomes(t, 1, "sidecar_drift_notifications_total", model.LabelSet{"sink": "nobody", "result": "failed"}, d)
	if err := d.Stop(); err != nil {
		t.Errorf("it does not stop in an orderly way: %v", err)
	}
	if log, err := os.ReadFile(d.LogFile()); err != nil || strings.Contains(string(log), secret) {
		t.Errorf("the log shows the webhook's URL (%v)", err)
	}
}

// takesEvents is a server that fails the test at what is no CloudEvent of ours.
func takesEvents(t *testing.T, told chan<- notify.CloudEvent) http.Handler {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("../../docs/schema/notification.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it is sent again
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
		if err == nil {
			err = schema.Validate(value)
		}
		var e notify.CloudEvent
		if err != nil || json.Unmarshal(body, &e) != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents+json") {
			t.Errorf("%s: %v", body, err)
		}
		told <- e
	})
}

func nextEvent(t *testing.T, told <-chan notify.CloudEvent) notify.CloudEvent {
	t.Helper()
	select {
	case e := <-told:
		return e
	case <-time.After(5 * time.Minute):
		t.Fatal("nothing more is told")
	}
	return notify.CloudEvent{}
}
