package cluster

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/source"
)

// namespaceFile is where every pod finds its namespace, unless it has no
// ServiceAccount.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// canonicalNames are the labels that may hold the workload's name, as Istio looks
// for them.
var canonicalNames = []string{"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}

// workload is the source's options with the workload filled in. The error says
// what to set.
func (k *Kubernetes) workload() (source.Settings, error) {
	o := k.Settings
	if err := o.FromEnvironment(os.LookupEnv); err != nil {
		return o, err
	}
	if o.Namespace == "" {
		data, err := os.ReadFile(namespaceFile)
		if o.Namespace = strings.TrimSpace(string(data)); o.Namespace == "" {
			return o, fmt.Errorf("the namespace of the gateway's workload is not known; write the option namespace, or set %s (%w)",
				source.EnvNamespace, cause(err, namespaceFile))
		}
	}
	if o.Labels == nil {
		if err := o.ReadLabels(); err != nil {
			return o, fmt.Errorf("the labels of the gateway's workload are not known; write the option labels, set %s, or mount the pod's labels there with a downwardAPI volume (%w)",
				source.EnvLabels, err)
		}
	}
	for _, name := range canonicalNames {
		if o.Workload == "" {
			o.Workload = o.Labels[name]
		}
	}
	return o, nil
}

func cause(err error, file string) error {
	if err == nil {
		return errors.New(file + " is empty")
	}
	return err
}
