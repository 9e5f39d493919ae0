package service

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// The configuration's name counts, then the UID of kube-system, which is asked for once, and
// again where it was not told; why not is said once.
func TestTheClustersName(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem, UID: "0b94-uid"}}
	client := fake.NewClientset(home)
	refusing, asked := true, 0
	client.PrependReactor("get", "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) {
		asked++
		return refusing, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, metav1.NamespaceSystem, nil)
	})
	var log bytes.Buffer
	i := newIdentity(client.CoreV1().Namespaces(), "https://10.0.0.1:443", funcr.New(func(_, args string) { fmt.Fprintln(&log, args) }, funcr.Options{}))
	named := config.Configuration{ClusterName: "prod-eu"}
	for at, test := range []struct {
		config   config.Configuration
		refusing bool
		want     string
		asked    int
	}{
		{named, true, "prod-eu", 0},
		{config.Configuration{}, true, "", 1},
		{config.Configuration{}, true, "", 2},
		{config.Configuration{}, false, "0b94-uid", 3},
		{config.Configuration{}, true, "0b94-uid", 3},
		{named, true, "prod-eu", 3},
	} {
		refusing = test.refusing
		if got := i.of(t.Context(), test.config); got != (report.ClusterIdentity{Name: test.want}) || asked != test.asked {
			t.Errorf("%d: %+v after %d requests, want %q after %d", at, got, asked, test.want, test.asked)
		}
	}
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "--cluster-name") {
		t.Errorf("the log says %q", said)
	}
	for server, want := range map[string]string{"https://10.0.0.1:443": "", "https://me:secret@api.example.com/": "https://api.example.com"} {
		if got := newIdentity(nil, server, funcr.New(nil, funcr.Options{})).of(t.Context(), named).Server; got != want {
			t.Errorf("%s is shown as %q, want %q", server, got, want)
		}
	}
}
