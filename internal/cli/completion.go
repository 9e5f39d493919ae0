package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/completion"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// completions are kubectl's own, by the connection that the command line names so far:
// what a cluster or a kubeconfig has. Without a cluster there are none.
type completions struct{ factory cmdutil.Factory }

// completer returns the words that begin with a text.
type completer func(beginning string) []string

// completeFlags has the shell complete what a command's flags take of a cluster and of a
// kubeconfig.
func (c connection) completeFlags(cmd *cobra.Command) {
	from := completions{cmdutil.NewFactory(cmdutil.NewMatchVersionFlags(c.flags))}
	for name, complete := range map[string]completer{
		"namespace":         from.resource("namespaces"),
		"include-namespace": from.resource("namespaces"),
		"exclude-namespace": from.resource("namespaces"),
		"lock-namespace":    from.resource("namespaces"),
		"context":           from.kubeconfig(completion.ListContextsInConfig),
		"contexts":          from.kubeconfig(completion.ListContextsInConfig),
		"cluster":           from.kubeconfig(completion.ListClustersInConfig),
		"user":              from.kubeconfig(completion.ListUsersInConfig),
		sidecarNamesFlag:    from.containers,
	} {
		flag := cmd.Flags().Lookup(name)
		if flag == nil {
			continue
		}
		if strings.HasSuffix(flag.Value.Type(), "Slice") {
			complete = complete.inList()
		}
		registerCompletion(cmd, name, complete)
	}
}

// completeWorkloads has the shell complete arguments KIND/NAME, of the kinds that a command
// takes.
func (c connection) completeWorkloads(cmd *cobra.Command, takes func(kind.Kind) bool) {
	from := completions{cmdutil.NewFactory(cmdutil.NewMatchVersionFlags(c.flags))}
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, beginning string) ([]string, cobra.ShellCompDirective) {
		kindText, name, named := strings.Cut(beginning, "/")
		if !named {
			return kindsBeginningWith(kindText, takes), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		found, known := kind.Find(kindText)
		if !known || !takes(found) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var words []string
		for _, each := range from.resource(found.GroupVersionResource().GroupResource().String())(name) {
			if word := kindText + "/" + each; !slices.Contains(given, word) {
				words = append(words, word)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

func kindsBeginningWith(beginning string, takes func(kind.Kind) bool) []string {
	var words []string
	for _, k := range kind.All() {
		if takes(k) && strings.HasPrefix(k.Names[0], beginning) {
			words = append(words, k.Names[0]+"/")
		}
	}
	return words
}

// anyKind is for commands that only look.
func anyKind(kind.Kind) bool { return true }

// canBeRolledOut is for those that replace Pods.
func canBeRolledOut(k kind.Kind) bool { return k.Restarts || k.Recreated }

// resource completes names of objects, in the namespace that the command line names.
func (c completions) resource(resource string) completer {
	return func(beginning string) []string { return completion.CompGetResource(c.factory, resource, beginning) }
}

// containers completes names of containers of Pods that run.
func (c completions) containers(beginning string) []string {
	template := `{{range .items}}{{range .spec.initContainers}}{{.name}} {{end}}{{range .spec.containers}}{{.name}} {{end}}{{end}}`
	words := completion.CompGetFromTemplate(&template, c.factory, "", []string{"pods"}, beginning)
	slices.Sort(words)
	return slices.Compact(words)
}

// kubeconfig completes what the kubeconfig has. kubectl's functions for that ask the factory
// that was set last.
func (c completions) kubeconfig(list completer) completer {
	return func(beginning string) []string {
		completion.SetFactoryForCompletion(c.factory)
		return list(beginning)
	}
}

// fixed completes words that are known.
func fixed(words []string) completer {
	return func(beginning string) []string {
		var matching []string
		for _, word := range words {
			if len(word) >= len(beginning) && strings.EqualFold(word[:len(beginning)], beginning) {
				matching = append(matching, word)
			}
		}
		return matching
	}
}

// inList completes the last item of a list that commas separate, with none twice.
func (c completer) inList() completer {
	return func(beginning string) []string {
		at := strings.LastIndex(beginning, ",") + 1
		given := strings.Split(beginning[:at], ",")
		var words []string
		for _, word := range c(beginning[at:]) {
			if !slices.Contains(given, word) {
				words = append(words, beginning[:at]+word)
			}
		}
		return words
	}
}

func registerCompletion(cmd *cobra.Command, flag string, complete completer) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, beginning string) ([]string, cobra.ShellCompDirective) {
		return complete(beginning), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // only if this package adds one flag twice
	}
}
