package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// replay has the Pods and ReplicaSets that a real API server listed, so many times,
// each in namespaces of its own, and answers dry runs with a Pod of the revision: for
// more Pods than a machine can create. It serves what an audit in sync asks for.
type replay struct {
	pods, sets []recorded
	copies     int
	byOwner    map[string]recorded // a Pod of each ReplicaSet, by the UID but its first characters
}

// recorded is an object as it was listed.
type recorded struct {
	json                  []byte
	namespace, uid, owner string
}

// varied is how many of a UID's characters tell copies apart.
const varied = 4

// record lists what the population has.
func record(ctx context.Context, c *cluster.Cluster, p population) (*replay, error) {
	r := &replay{byOwner: map[string]recorded{}}
	for _, namespace := range p.namespaces {
		for path, list := range map[string]*[]recorded{
			"/api/v1/namespaces/%s/pods":              &r.pods,
			"/apis/apps/v1/namespaces/%s/replicasets": &r.sets,
		} {
			text, err := c.Client().Discovery().RESTClient().Get().AbsPath(fmt.Sprintf(path, namespace.Name)).
				SetHeader("Accept", "application/json").DoRaw(ctx)
			if err != nil {
				return nil, err
			}
			if *list, err = appendItems(*list, text); err != nil {
				return nil, err
			}
		}
	}
	for _, pod := range r.pods {
		r.byOwner[pod.owner[varied:]] = pod
	}
	return r, nil
}

func appendItems(items []recorded, list []byte) ([]recorded, error) {
	var all struct{ Items []json.RawMessage }
	if err := json.Unmarshal(list, &all); err != nil {
		return nil, err
	}
	for _, raw := range all.Items {
		var object struct {
			Metadata struct {
				Namespace, UID  string
				OwnerReferences []struct{ UID string }
			}
		}
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, err
		}
		items = append(items, recorded{raw, object.Metadata.Namespace, object.Metadata.UID, object.Metadata.OwnerReferences[0].UID})
	}
	return items, nil
}

// copy returns the n-th of the object: of another namespace, UID and owner.
func (o recorded) copy(n int) []byte {
	out := bytes.ReplaceAll(o.json, []byte(`"namespace":"`+o.namespace+`"`), fmt.Appendf(nil, `"namespace":"%s-%d"`, o.namespace, n))
	for _, uid := range []string{o.uid, o.owner} {
		out = bytes.ReplaceAll(out, []byte(uid), fmt.Appendf(nil, "%0*d%s", varied, n, uid[varied:]))
	}
	return out
}

// ServeHTTP answers as an API server does.
func (r *replay) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch path := request.URL.Path; {
	case request.Method == http.MethodPost:
		r.create(w, request)
	case path == "/version":
		fmt.Fprint(w, `{"major":"1","minor":"37","gitVersion":"v1.37.2"}`)
	case path == "/api/v1/pods":
		r.list(w, request, r.pods)
	case path == "/apis/apps/v1/replicasets":
		r.list(w, request, r.sets)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}
}

// create answers a dry run.
func (r *replay) create(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err == nil {
		var asked []recorded
		if asked, err = appendItems(nil, fmt.Appendf(nil, `{"items":[%s]}`, body)); err == nil {
			n, _ := strconv.Atoi(asked[0].owner[:varied])
			w.WriteHeader(http.StatusCreated)
			_, err = w.Write(r.byOwner[asked[0].owner[varied:]].copy(n))
		}
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the audit fails, too
	}
}

// list answers with a page, compressed as API servers do.
func (r *replay) list(w http.ResponseWriter, request *http.Request, items []recorded) {
	query := request.URL.Query()
	limit, _ := strconv.Atoi(query.Get("limit"))
	from, _ := strconv.Atoi(query.Get("continue"))
	next := ""
	to := from + limit
	if all := r.copies * len(items); to >= all {
		to = all
	} else {
		next = strconv.Itoa(to)
	}
	w.Header().Set("Content-Encoding", "gzip")
	out, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	defer func() { _ = out.Close() }() // the client sees that the list is cut off
	fmt.Fprintf(out, `{"metadata":{"resourceVersion":"1","continue":%q},"items":[`, next)
	for i := from; i < to; i++ {
		if i > from {
			fmt.Fprint(out, ",")
		}
		fmt.Fprintf(out, "%s", items[i%len(items)].copy(i/len(items)))
	}
	fmt.Fprint(out, "]}")
}

// serve starts the server and writes a kubeconfig for it.
func (r *replay) serve(kubeconfig string) (*httptest.Server, error) {
	server := httptest.NewUnstartedServer(r)
	server.EnableHTTP2 = true
	server.StartTLS()
	config := clientcmdapi.NewConfig()
	config.Clusters["replay"] = &clientcmdapi.Cluster{
		Server:                   server.URL,
		CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
	config.AuthInfos["replay"] = &clientcmdapi.AuthInfo{Token: strings.Repeat("x", 8)}
	config.Contexts["replay"] = &clientcmdapi.Context{Cluster: "replay", AuthInfo: "replay"}
	config.CurrentContext = "replay"
	return server, clientcmd.WriteToFile(*config, kubeconfig)
}
