package inventory

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// filled is an object with so many bytes in it that say nothing.
func filled(o object, size int) object {
	o.json = strings.Replace(o.json, `"containers":[]`, fmt.Sprintf(`"hostname":%q,"containers":[]`, strings.Repeat("x", size)), 1)
	return o
}

// Nobody waits for large templates and Pods: they come last, and large templates are
// read one by one.
func TestLargeOnesComeLast(t *testing.T) {
	const size = 2 * Large
	var objects []object
	for i := range 20 {
		set, pod := fmt.Sprint("set-", i), fmt.Sprint("pod-", i)
		owner := anOwner("replicasets", "shop", set, "uid-"+set, "", aTemplate)
		child := aPod("shop", pod, aReference("apps/v1", "ReplicaSet", set, "uid-"+set))
		alone := aPod("shop", "alone-"+pod, "")
		if i%2 == 0 {
			owner, alone = filled(owner, size), filled(alone, size)
		}
		objects = append(objects, owner, child, alone)
	}
	objects = append(objects,
		anOwner("statefulsets", "shop", "db", "uid-db", "", `"spec":{"replicas":1}`),
		filled(anOwner("controllerrevisions", "shop", "db-1", "uid-db-1", aReference("apps/v1", "StatefulSet", "db", "uid-db"),
			`"data":{"spec":{"template":{"spec":{"containers":[]}}}}`), size),
		aPod("shop", "db-0", aReference("apps/v1", "StatefulSet", "db", "uid-db")))
	client, asked := serve(t, objects...)
	taken, err := Take(t.Context(), client, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	var names []string
	if err := taken.Revisions(t.Context(), func(r Revision) error {
		sizes, names = append(sizes, r.Size()), append(names, r.Workload.String())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	isLarge := func(size int) bool { return size > Large }
	first := slices.IndexFunc(sizes, isLarge)
	large := 0
	for _, size := range sizes {
		if isLarge(size) {
			large++
		}
	}
	if len(names) != 41 || large != 21 || first != 20 {
		t.Errorf("%d revisions, %d large, the first of them at %d: %v %v", len(names), large, first, names, sizes)
	}
	byName := 0
	for _, path := range *asked {
		if strings.Contains(path, "/namespaces/shop/replicasets/") || strings.Contains(path, "/namespaces/shop/controllerrevisions/") {
			byName++
		}
	}
	if byName != 11 {
		t.Errorf("%d templates were read by name, want the 11 large ones: %v", byName, *asked)
	}
}

// watchBody is a watch, and notes how much is asked for at once.
type watchBody struct {
	events io.Reader
	asked  int
}

func (b *watchBody) Read(p []byte) (int, error) {
	b.asked = len(p)
	n, err := b.events.Read(p)
	if err != nil {
		return 0, io.EOF
	}
	return n, nil
}

func (b *watchBody) Close() error { return nil }

func (b *watchBody) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r, Body: b}, nil
}

// A watch's buffer grows for a large Pod, and is small again for those behind it,
// none of which is lost.
func TestWatchShrinksAgain(t *testing.T) {
	const large, behind = 1_200_000, 300
	var events strings.Builder
	pods := 0
	event := func(size int) {
		pods++
		fmt.Fprintf(&events, `{"type":"ADDED","object":%s}`+"\n", filled(aPod("shop", fmt.Sprint("pod-", pods), ""), size).json)
	}
	for _, size := range []int{10, large, large, 10, large} {
		event(size)
	}
	for range behind {
		event(1000)
	}
	body := &watchBody{events: strings.NewReader(events.String())}
	client, err := rest.UnversionedRESTClientForConfigAndClient(&rest.Config{
		Host: "http://api.test", QPS: -1, ContentConfig: rest.ContentConfig{NegotiatedSerializer: scheme.Codecs.WithoutConversion()},
	}, &http.Client{Transport: body})
	if err != nil {
		t.Fatal(err)
	}
	l := NewLive(client, Selection{})
	l.sources[0].version = "1"
	if err := l.stream(t.Context(), l.sources[0], false); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Fatal(err)
	}
	if groups, _ := l.Groups(); len(groups) != pods {
		t.Errorf("%d Pods are known of %d", len(groups), pods)
	}
	if body.asked > 4*Large {
		t.Errorf("the buffer still has room for %d bytes", body.asked)
	}
}
