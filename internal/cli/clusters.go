package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// clustersAtOnce is how many clusters are audited at once, each with --concurrency
// dry runs: what is held of each adds up.
const clustersAtOnce = 10

// ofOneCluster are the connection flags that make no sense, or would give one
// cluster's credentials to another, where there are several.
var ofOneCluster = []string{
	"context", "cluster", "user", "server", "token", "certificate-authority",
	"client-certificate", "client-key", "tls-server-name",
}

// clusters are those to audit side by side, by contexts of the kubeconfig.
type clusters struct {
	contexts []string
	all      bool
}

func (c *clusters) addFlags(cmd *cobra.Command) {
	group(cmd, "Several clusters", func(flags *pflag.FlagSet) {
		flags.StringSliceVar(&c.contexts, "contexts", nil, "Audit the clusters of these `contexts` of the kubeconfig side by side, comma-separated.")
		addSwitch(flags, &c.all, "all-contexts", "Audit the clusters of all contexts of the kubeconfig. A cluster that several contexts name is audited once.")
	})
}

// several reports whether clusters are chosen by these flags.
func (c *clusters) several() bool { return c.all || len(c.contexts) > 0 }

// complete checks the flags.
func (c *clusters) complete(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("contexts")
	if flag.Changed && emptyItem(flag) {
		return misuse("--contexts is empty")
	}
	if !c.several() {
		return nil
	}
	if c.all && flag.Changed {
		return misuse("--contexts and --all-contexts contradict each other: give one of them")
	}
	for _, name := range ofOneCluster {
		if cmd.Flags().Changed(name) {
			return misuse("--%s is about one cluster: --contexts and --all-contexts take each cluster's from the kubeconfig", name)
		}
	}
	for i, name := range c.contexts {
		if slices.Contains(c.contexts[:i], name) {
			return misuse("--contexts names %s twice", name)
		}
	}
	return nil
}

// target is one of several clusters.
type target struct {
	context    string
	connection connection
	// asks: its credentials plugin may ask for something on the terminal.
	asks bool
	// broken says why there is nothing to connect to; nil if there is.
	broken error
}

// targets are the clusters to audit, and notes about contexts that are left out.
// It fails if there are none, or one that is named is not there, or two that are
// named are of one cluster, whose Pods would be counted twice.
func (c *clusters) targets(of connection) (targets []target, notes []string, err error) {
	if err := of.kubeconfigExists(); err != nil {
		return nil, nil, err
	}
	config, err := of.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	known := slices.Sorted(maps.Keys(config.Contexts))
	if len(known) == 0 {
		return nil, nil, errors.New("the kubeconfig has no context")
	}
	names := c.contexts
	if c.all {
		// Of contexts of one cluster, the current one counts.
		names = slices.Clone(known)
		if at := slices.Index(names, config.CurrentContext); at > 0 {
			names = slices.Insert(slices.Delete(names, at, at+1), 0, config.CurrentContext)
		}
	}
	contextOf := map[string]string{}
	for _, name := range names {
		if config.Contexts[name] == nil {
			return nil, nil, fmt.Errorf("the kubeconfig has no context %q; it has %s", name, strings.Join(known, ", "))
		}
		at, broken := address(config, name)
		same, taken := contextOf[at]
		switch {
		case broken != nil || !taken:
			contextOf[at] = name
			targets = append(targets, target{name, of.at(name), mayAsk(config, name), broken})
		case c.all:
			notes = append(notes, fmt.Sprintf("Context %s is of the same cluster as %s, and was left out.", name, same))
		default:
			return nil, nil, fmt.Errorf("the contexts %s and %s are of the same cluster, %s: its Pods would be counted twice", same, name, at)
		}
	}
	slices.SortFunc(targets, func(a, b target) int { return strings.Compare(a.context, b.context) })
	return targets, notes, nil
}

// address is where a context's API server is, and by which way. The error says that
// the context names none, for which the client library would try localhost.
func address(config api.Config, context string) (string, error) {
	name := config.Contexts[context].Cluster
	cluster := config.Clusters[name]
	if cluster == nil || cluster.Server == "" {
		return "", fmt.Errorf("the kubeconfig has no server for its cluster %q", name)
	}
	words := []string{strings.TrimRight(cluster.Server, "/"), cluster.TLSServerName, cluster.ProxyURL}
	return strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " "), nil
}

func mayAsk(config api.Config, context string) bool {
	user := config.AuthInfos[config.Contexts[context].AuthInfo]
	return user != nil && user.Exec != nil && user.Exec.InteractiveMode != api.NeverExecInteractiveMode
}

// at is the connection to the cluster of a context, with the flags that are about
// no cluster of its own.
func (c connection) at(context string) connection {
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.CacheDir, flags.Namespace, flags.Timeout = c.flags.KubeConfig, c.flags.CacheDir, c.flags.Namespace, c.flags.Timeout
	flags.Impersonate, flags.ImpersonateUID, flags.ImpersonateGroup = c.flags.Impersonate, c.flags.ImpersonateUID, c.flags.ImpersonateGroup
	flags.ImpersonateUserExtra = c.flags.ImpersonateUserExtra
	flags.Insecure, flags.DisableCompression, flags.ProxyURL = c.flags.Insecure, c.flags.DisableCompression, c.flags.ProxyURL
	flags.Context = &context
	return connection{flags}
}

// auditClusters audits clusters side by side. One that fails does not keep the
// others: the report and the second result say so. An error is one of all.
func (o *auditOptions) auditClusters(ctx context.Context) (found audited, failed, err error) {
	targets, notes, err := o.clusters.targets(o.connection)
	if err != nil {
		return audited{}, nil, err
	}
	display := newClusterDisplay(o.ErrOut, len(targets))
	defer display.erase()
	audits := make([]report.Audit, len(targets))
	absent := make([][]string, len(targets))
	var login sync.Mutex
	var group errgroup.Group
	group.SetLimit(clustersAtOnce)
	for i, t := range targets {
		group.Go(func() error {
			display.count(t.context, 0, 0)
			found, err := o.auditTarget(ctx, t, &login, display)
			audits[i] = report.Audit{Cluster: t.context, Report: found.Report, Err: err}
			absent[i] = found.absent
			display.done(t.context)
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	if ctx.Err() != nil {
		return audited{}, nil, context.Cause(ctx)
	}
	found = audited{report.Merge(time.Now(), audits), everywhere(absent)}
	found.Notes = append(found.Notes, notes...)
	return found, failures(audits), nil
}

// everywhere are the words that are in each of the lists.
func everywhere(lists [][]string) []string {
	return slices.DeleteFunc(slices.Clone(lists[0]), func(word string) bool {
		return slices.ContainsFunc(lists, func(list []string) bool { return !slices.Contains(list, word) })
	})
}

// auditTarget audits one of several clusters. Plugins that may ask for something
// do so one after the other.
func (o *auditOptions) auditTarget(ctx context.Context, t target, login *sync.Mutex, display *clusterDisplay) (audited, error) {
	if t.broken != nil {
		return audited{}, t.broken
	}
	ask := t.asks && isTerminal(o.In)
	if ask {
		login.Lock()
		display.pause(true)
	}
	config, err := t.connection.connect(ctx)
	if ask {
		display.pause(false)
		login.Unlock()
	}
	if err != nil {
		return audited{}, err
	}
	var selected inventory.Selection
	if selected, err = o.selection.resolve(t.connection); err != nil {
		return audited{}, err
	}
	return o.auditAt(ctx, t.connection, config, o.auditing(selected, func(done, total int) { display.count(t.context, done, total) }))
}

// failures says which clusters could not be audited, and why; nil if all were.
func failures(audits []report.Audit) error {
	var lines []string
	for _, a := range audits {
		if a.Err != nil {
			lines = append(lines, fmt.Sprintf("\n  %s: %s", a.Cluster, strings.Join(strings.Fields(a.Err.Error()), " ")))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %s could not be audited:%s", len(lines), countOf(len(audits), "cluster", "clusters"), strings.Join(lines, ""))
}
