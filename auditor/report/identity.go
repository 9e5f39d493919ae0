package report

import (
	"net/url"
	"strings"
)

// ClusterIdentity says which cluster a report, or a rollout, is of.
type ClusterIdentity struct {
	// Name by which people know it: the kubeconfig's context, or what --cluster-name calls it,
	// or the UID of the namespace kube-system.
	Name string `json:"name,omitempty"`
	// Server is the address of its API server; empty where it is but that within the cluster.
	Server string `json:"server,omitempty"`
}

// IdentityOf is that of a cluster by its names. Of the address there is no more than what says
// where it is: a user, or a token in a query, is left out.
func IdentityOf(name, server string) ClusterIdentity {
	if parsed, err := url.Parse(server); err == nil && parsed.Host != "" {
		server = (&url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: strings.TrimRight(parsed.Path, "/")}).String()
	} else if at := strings.LastIndex(server, "@"); at >= 0 {
		server = server[at+1:]
	}
	return ClusterIdentity{Name: name, Server: server}
}

// String names the cluster on one line, as "cluster prod-eu (https://api.example.com)"; empty
// where nothing is known.
func (c ClusterIdentity) String() string {
	switch {
	case c == ClusterIdentity{}:
		return ""
	case c.Name == "":
		return "cluster " + Printable(c.Server)
	case c.Server == "":
		return "cluster " + Printable(c.Name)
	}
	return "cluster " + Printable(c.Name) + " (" + Printable(c.Server) + ")"
}

// identity is the one cluster that the report is of; nothing where there are several, or it is
// not known.
func (r *Report) identity() ClusterIdentity {
	if r.Cluster == nil {
		return ClusterIdentity{}
	}
	return *r.Cluster
}

// clusterOf names the cluster of an item.
func (r *Report) clusterOf(item Item) string {
	if item.Cluster != "" {
		return item.Cluster
	}
	return r.identity().Name
}

// identityLines say before the summary of which cluster it is.
func (r *Report) identityLines(o TextOptions) []string {
	c := r.identity()
	if c == (ClusterIdentity{}) {
		return nil
	}
	text := strings.TrimPrefix(c.String(), "cluster ")
	return wrap("Cluster "+o.paint(bold, text), o.Width, 0)
}
