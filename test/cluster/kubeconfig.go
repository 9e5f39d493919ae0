package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig writes a kubeconfig file for a client that authenticates with
// a bearer token. Who reads it meanwhile finds the file before or this one: tests that
// run beside each other ask for the same account's.
func writeKubeconfig(path string, config *rest.Config) error {
	const name = "sidecar-drift-test"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.CurrentContext = name
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{
		Server:                   config.Host,
		CertificateAuthority:     config.CAFile,
		CertificateAuthorityData: config.CAData,
		InsecureSkipTLSVerify:    config.Insecure,
	}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	err := replaceFile(path, func(complete string) error { return clientcmd.WriteToFile(*kubeconfig, complete) })
	if err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", path, err)
	}
	return nil
}

// replaceFile has write write another file, which then takes the place of path.
func replaceFile(path string, write func(string) error) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	complete := filepath.Join(dir, filepath.Base(path))
	if err := write(complete); err != nil {
		return err
	}
	return os.Rename(complete, path)
}
