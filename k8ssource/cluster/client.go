package cluster

import (
	"errors"
	"fmt"
	"runtime/debug"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	events "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// readRate and readBurst bound the requests a second that begin to follow
	// something, those for single objects apart. Each Secret in use takes one at
	// the start.
	readRate  = 100
	readBurst = 200
)

// clients are what the API server is talked to with. They share connections.
type clients struct {
	dynamic   dynamic.Interface
	single    dynamic.Interface // for single objects, of which there may be many
	metadata  metadata.Interface
	discovery rest.Interface

	// Those that write have a rate of their own.
	statuses dynamic.Interface
	leases   coordination.CoordinationV1Interface
	events   events.EventsV1Interface
}

// restConfig is where the API server is, and the credentials for it.
func (k *Kubernetes) restConfig() (*rest.Config, error) {
	var config *rest.Config
	var err error
	if k.Kubeconfig == "" {
		config, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("the gateway does not run in a pod, so it does not know an API server; write the option kubeconfig with the path of a kubeconfig file")
		}
	} else {
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
			&clientcmd.ClientConfigLoadingRules{ExplicitPath: k.Kubeconfig}, &clientcmd.ConfigOverrides{CurrentContext: k.Context}).ClientConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	config.UserAgent = "llm-gateway/" + version()
	config.QPS, config.Burst = readRate, readBurst
	config.WarningHandler = rest.NoWarnings{} // that a version is deprecated is nothing the gateway's users can change
	return config, nil
}

func newClients(config *rest.Config) (*clients, error) {
	c := new(clients)
	var errs [7]error
	c.dynamic, errs[0] = dynamic.NewForConfig(config)
	c.single, errs[1] = dynamic.NewForConfig(config)
	c.metadata, errs[2] = metadata.NewForConfig(config)
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if errs[3] = err; err == nil {
		c.discovery = discoverer.RESTClient()
	}
	writing := rest.CopyConfig(config)
	writing.QPS, writing.Burst = writeRate, writeBurst
	c.statuses, errs[4] = dynamic.NewForConfig(writing)
	c.leases, errs[5] = coordination.NewForConfig(writing)
	noting := rest.CopyConfig(config)
	noting.QPS, noting.Burst = eventRate, eventBurst
	c.events, errs[6] = events.NewForConfig(noting)
	return c, errors.Join(errs[:]...)
}

// version is the version of this module, as it was built.
func version() string {
	const module = "github.com/caddy-llm/gateway"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "devel"
}
