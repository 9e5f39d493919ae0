package main

import (
	"fmt"
	"path/filepath"
	"sync"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/filewatcher"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/log"
)

// environment is the mesh configuration and the ProxyConfigs, followed as istiod
// does.
type environment struct {
	*model.Environment

	mu           sync.Mutex
	proxyConfigs string
}

// newEnvironment follows the files in dir until stop is closed. A malformed one
// changes nothing.
func newEnvironment(dir string, stop <-chan struct{}) (*environment, error) {
	files, opts := filewatcher.NewWatcher(), krt.NewOptionsBuilder(stop, "", nil)
	meshSource, err := meshwatcher.NewFileSource(files, filepath.Join(dir, meshFile), opts)
	if err != nil {
		return nil, err
	}
	collection := meshwatcher.NewCollection(opts, meshSource)
	collection.AsCollection().WaitUntilSynced(stop)
	e := &environment{Environment: &model.Environment{Watcher: meshwatcher.ConfigAdapter(collection)}}

	proxyConfigs, err := meshwatcher.NewFileSource(files, filepath.Join(dir, proxyConfigsFile), opts)
	if err != nil {
		return nil, err
	}
	if err := e.push(*proxyConfigs.Get()); err != nil {
		return nil, err
	}
	// A change of either is a new push, as in istiod.
	again := func() {
		if err := e.push(*proxyConfigs.Get()); err != nil {
			log.Errorf("the last ProxyConfigs stay in force: %v", err)
		}
	}
	proxyConfigs.Register(func(krt.Event[string]) { again() })
	e.AddMeshHandler(again)
	return e, nil
}

// push puts ProxyConfigs, YAML documents, in force.
func (e *environment) push(proxyConfigs string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	store, err := proxyConfigStore(proxyConfigs)
	if err != nil {
		return err
	}
	e.SetPushContext(&model.PushContext{ProxyConfigs: model.GetProxyConfigs(store, e.Mesh())})
	e.proxyConfigs = proxyConfigs
	return nil
}

// proxyConfigStore holds the ProxyConfigs of YAML documents.
func proxyConfigStore(documents string) (model.ConfigStore, error) {
	configs, others, err := crd.ParseInputs(documents)
	if err != nil {
		return nil, fmt.Errorf("read ProxyConfigs: %w", err)
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("read ProxyConfigs: kind %q is none of Istio's", others[0].Kind)
	}
	store := model.NewFakeStore()
	for _, config := range configs {
		if config.GroupVersionKind != gvk.ProxyConfig {
			return nil, fmt.Errorf("read ProxyConfigs: %s %s is none", config.GroupVersionKind.Kind, config.Name)
		}
		if _, err := store.Create(config); err != nil {
			return nil, fmt.Errorf("read ProxyConfigs: %w", err)
		}
	}
	return store, nil
}

// ProxyConfigs are those in force, as they were pushed.
func (e *environment) ProxyConfigs() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.proxyConfigs
}
