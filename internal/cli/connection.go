package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apiversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	ourversion "github.com/sidecar-drift/sidecar-drift/internal/version"
)

// oldestKubernetes is the first release with ValidatingAdmissionPolicy v1,
// without which "create pods" would be granted unguarded.
var oldestKubernetes = apiversion.MajorMinor(1, 30)

// connection holds kubectl's own connection flags.
type connection struct {
	flags *genericclioptions.ConfigFlags
}

func newConnection() connection {
	return connection{flags: genericclioptions.NewConfigFlags(true)}
}

// addFlags adds the connection flags to a command, all but --namespace, which
// selects.
func (c connection) addFlags(cmd *cobra.Command) {
	group(cmd, "Connection", func(flags *pflag.FlagSet) {
		all := pflag.NewFlagSet("", pflag.ContinueOnError)
		c.flags.AddFlags(all)
		all.VisitAll(func(f *pflag.Flag) {
			if f.Name == "cache-dir" {
				f.DefValue = "$HOME/.kube/cache" // not the home of whoever generated the reference
			}
			if f.Name != "namespace" {
				flags.AddFlag(f)
			}
		})
	})
	c.completeFlags(cmd)
}

// connect reads the kubeconfig and makes sure that there is an API server that
// is recent enough.
func (c connection) connect(ctx context.Context) (*rest.Config, error) {
	config, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	return config, checkVersion(ctx, config)
}

// restConfig reads the kubeconfig.
func (c connection) restConfig() (*rest.Config, error) {
	if err := c.kubeconfigExists(); err != nil {
		return nil, err
	}
	config, err := c.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.UserAgent = "sidecar-drift/" + ourversion.Get().Version
	// Each dry run would repeat the warnings that its owner has seen.
	config.WarningHandlerWithContext = rest.NoWarnings{}
	return config, nil
}

// validate checks what can be checked without a kubeconfig.
func (c connection) validate() error {
	if _, err := clientcmd.ParseTimeout(*c.flags.Timeout); err != nil {
		return misuse("--request-timeout %q: give a duration as 30s or 2m", *c.flags.Timeout)
	}
	return nil
}

// kubeconfigExists refuses to go on where nothing names an API server: the
// client library would try localhost.
func (c connection) kubeconfigExists() error {
	given := []string{*c.flags.KubeConfig, *c.flags.APIServer, os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_MASTER")}
	if strings.Join(given, "") != "" {
		return nil
	}
	paths := c.flags.ToRawKubeConfigLoader().ConfigAccess().GetLoadingPrecedence()
	for _, path := range paths {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			return nil
		}
	}
	return fmt.Errorf("no kubeconfig: %s does not exist; give --kubeconfig or set KUBECONFIG", strings.Join(paths, " or "))
}

// identity says which cluster that is: by the kubeconfig's context, where there is one, and by
// its API server.
func (c connection) identity(config *rest.Config) report.ClusterIdentity {
	name := *c.flags.Context
	if raw, err := c.flags.ToRawKubeConfigLoader().RawConfig(); name == "" && err == nil && raw.Contexts[raw.CurrentContext] != nil {
		name = raw.CurrentContext
	}
	return report.IdentityOf(name, config.Host)
}

// namespace is the one that the kubeconfig's context (or --namespace) names.
func (c connection) namespace() (string, error) {
	namespace, _, err := c.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("read the namespace of the kubeconfig's context: %w", err)
	}
	return namespace, nil
}

func checkVersion(ctx context.Context, config *rest.Config) error {
	version, err := serverVersion(ctx, config)
	if err != nil || version == "" {
		return err // whoever may not ask for the version may still audit
	}
	server, err := apiversion.ParseGeneric(strings.TrimSuffix(version, "+"))
	if err != nil {
		return fmt.Errorf("the API server at %s has no Kubernetes version: %w", config.Host, err)
	}
	if server.LessThan(oldestKubernetes) {
		return fmt.Errorf("the API server at %s is Kubernetes %s, and sidecar-drift needs %s or later", config.Host, version, oldestKubernetes)
	}
	return nil
}

// serverVersion returns the API server's version as it gives it (v1.37.2), empty
// if it may not be asked for. The error says that there is no API server to talk to.
func serverVersion(ctx context.Context, config *rest.Config) (string, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return "", fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	body, err := client.RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case apierrors.IsForbidden(err):
		return "", nil
	case apierrors.IsUnauthorized(err):
		return "", fmt.Errorf("the API server at %s does not accept these credentials: %w; check --context and --user, or log in again", config.Host, err)
	case err != nil:
		if request, ok := errors.AsType[*url.Error](err); ok {
			err = request.Err // without the URL, which is in the message already
		}
		return "", fmt.Errorf("cannot reach the API server at %s: %w; check --kubeconfig, --context and --server", config.Host, err)
	}
	var info version.Info
	err = json.Unmarshal(body, &info)
	if err == nil && info.GitVersion == "" {
		err = errors.New("no gitVersion")
	}
	if err != nil {
		return "", fmt.Errorf("%s does not answer like a Kubernetes API server: %w", config.Host, err)
	}
	return info.GitVersion, nil
}
