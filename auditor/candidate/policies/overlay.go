package policies

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// overlay is the API server as it would be with the candidates: of policies it has these and
// no others, and of parameters these besides its own.
type overlay struct {
	next     http.RoundTripper
	policies map[string][]runtime.Object            // by plural
	params   map[string][]unstructured.Unstructured // by the path of their list over all namespaces
	// read is closed for the path of each kind of parameters when they were read: they are
	// listed, and watched from then on.
	read map[string]chan struct{}
	once *sync.Mutex
	// unlisted are paths of lists that the caller may not read, and that are taken for empty:
	// single objects are read then.
	unlisted map[string]bool
}

// newOverlay finds out where parameters are listed, and what the caller may not list.
func newOverlay(ctx context.Context, cfg *rest.Config, set *Set, mapper meta.RESTMapper) (*overlay, error) {
	o := &overlay{policies: map[string][]runtime.Object{}, params: map[string][]unstructured.Unstructured{}, unlisted: map[string]bool{}, read: map[string]chan struct{}{}, once: new(sync.Mutex)}
	for _, kind := range kinds {
		o.policies[kind.plural] = set.policies[kind.plural]
	}
	anything, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	unlisted := func(resource schema.GroupVersionResource) (bool, error) {
		_, err := anything.Resource(resource).List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsForbidden(err) {
			return true, nil
		}
		return false, err
	}
	if o.unlisted["/api/v1/namespaces"], err = unlisted(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}); err != nil {
		return nil, err
	}
	given := maps.Clone(set.params)
	for _, kind := range set.paramKinds() {
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			return nil, fmt.Errorf("policies have parameters of the kind %s %s, which the cluster does not serve: install it first", kind.GroupVersion(), kind.Kind)
		}
		if err != nil {
			return nil, err
		}
		path := listPath(mapping.Resource)
		o.read[path] = make(chan struct{})
		for of, objects := range given {
			if of.GroupKind() == kind.GroupKind() {
				o.params[path] = append(o.params[path], objects...)
				delete(given, of)
			}
		}
		forbidden, err := unlisted(mapping.Resource)
		switch {
		case err != nil:
			return nil, err
		case forbidden && len(o.params[path]) == 0:
			return nil, fmt.Errorf("policies have parameters of the kind %s, which this identity may not list: let it, or put them into the file", kind.Kind)
		}
	}
	for kind, objects := range given {
		return nil, fmt.Errorf("%s/%s is no parameter of a policy: the file may hold admission policies, their bindings and their parameters", kind.Kind, objects[0].GetName())
	}
	return o, nil
}

// listPath is where objects are listed over all namespaces.
func listPath(r schema.GroupVersionResource) string {
	if r.Group == "" {
		return "/api/" + r.Version + "/" + r.Resource
	}
	return "/apis/" + r.Group + "/" + r.Version + "/" + r.Resource
}

// policyPath is where policies are listed by the version that the plugins read.
const policyPath = "/apis/admissionregistration.k8s.io/v1/"

func (o *overlay) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return o.next.RoundTrip(r)
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	plural, ofPolicies := strings.CutPrefix(path, policyPath)
	_, known := o.policies[plural]
	watch := r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1"
	switch {
	case ofPolicies && known, o.unlisted[path]:
		if watch {
			return o.watched(r)
		}
		return o.listed(r, o.policies[plural])
	case watch && o.read[path] != nil:
		if r.URL.Query().Get("sendInitialEvents") != "" {
			return answer(r, http.StatusUnprocessableEntity, status("parameters of the candidates are in lists alone"))
		}
		o.wasRead(path)
	case !watch && len(o.params[path]) > 0:
		return o.withParams(r, path)
	}
	if param := o.paramAt(path); param != nil {
		return answer(r, http.StatusOK, param)
	}
	response, err := o.next.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusForbidden {
		unknowable(r.Context(), fmt.Errorf("%s may not be read by this identity", path))
	}
	return response, err
}

func (o *overlay) wasRead(path string) {
	o.once.Lock()
	defer o.once.Unlock()
	select {
	case <-o.read[path]:
	default:
		close(o.read[path])
	}
}

// paramAt is the parameter of a candidate whose path it is, if there is one.
func (o *overlay) paramAt(path string) *unstructured.Unstructured {
	for list, params := range o.params {
		prefix, resource := list[:strings.LastIndexByte(list, '/')], list[strings.LastIndexByte(list, '/'):]
		for i, p := range params {
			of := prefix
			if p.GetNamespace() != "" {
				of += "/namespaces/" + p.GetNamespace()
			}
			if path == of+resource+"/"+p.GetName() {
				return &params[i]
			}
		}
	}
	return nil
}

// watched is a watch in which nothing happens: a list is asked for then, and once.
func (o *overlay) watched(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("sendInitialEvents") != "" {
		return answer(r, http.StatusUnprocessableEntity, status("there are lists alone"))
	}
	body, writer := io.Pipe()
	go func() {
		<-r.Context().Done()
		_ = writer.CloseWithError(r.Context().Err())
	}()
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r,
	}, nil
}

func (o *overlay) listed(r *http.Request, objects []runtime.Object) (*http.Response, error) {
	if objects == nil {
		objects = []runtime.Object{}
	}
	return answer(r, http.StatusOK, map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": objects})
}

// withParams is the cluster's list with the candidates' parameters, which take the place of
// those that have their names. Who may not read the cluster's has these alone.
func (o *overlay) withParams(r *http.Request, path string) (*http.Response, error) {
	response, err := o.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	list := struct {
		APIVersion string            `json:"apiVersion,omitempty"`
		Kind       string            `json:"kind,omitempty"`
		Metadata   map[string]any    `json:"metadata"`
		Items      []json.RawMessage `json:"items"`
	}{Metadata: map[string]any{"resourceVersion": "1"}}
	switch response.StatusCode {
	case http.StatusOK:
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
			return nil, fmt.Errorf("list %s: %w", path, err)
		}
	case http.StatusForbidden, http.StatusNotFound:
		_ = response.Body.Close()
	default:
		return response, nil
	}
	ours := o.params[path]
	list.Items = slices.DeleteFunc(list.Items, func(item json.RawMessage) bool {
		var named struct {
			Metadata struct{ Namespace, Name string }
		}
		return json.Unmarshal(item, &named) == nil && slices.ContainsFunc(ours, func(p unstructured.Unstructured) bool {
			return p.GetNamespace() == named.Metadata.Namespace && p.GetName() == named.Metadata.Name
		})
	})
	for _, p := range ours {
		if r.URL.Query().Get("continue") != "" {
			break // of a list that comes in pages the first one has them
		}
		text, err := p.MarshalJSON()
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, text)
	}
	return answer(r, http.StatusOK, list)
}

func status(message string) map[string]any {
	return map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Invalid", "code": http.StatusUnprocessableEntity}
}

func answer(r *http.Request, code int, value any) (*http.Response, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(text)),
		Body: io.NopCloser(bytes.NewReader(text)), Request: r,
	}, nil
}
