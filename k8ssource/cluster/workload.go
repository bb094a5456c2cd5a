package cluster

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource"
)

// namespaceFile is where every pod finds its namespace, unless it has no
// ServiceAccount.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// canonicalNames are the labels that may hold the workload's name, as Istio looks
// for them.
var canonicalNames = []string{"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}

// workload is the source's options with the workload filled in. The error says
// what to set.
func (k *Kubernetes) workload() (k8ssource.SourceOptions, error) {
	o := k.SourceOptions
	if err := o.FromEnvironment(os.LookupEnv); err != nil {
		return o, err
	}
	if o.Namespace == "" {
		data, err := os.ReadFile(namespaceFile)
		if o.Namespace = strings.TrimSpace(string(data)); o.Namespace == "" {
			return o, fmt.Errorf("the namespace of the gateway's workload is not known; write the option namespace, or set %s (%w)",
				k8ssource.EnvNamespace, cause(err, namespaceFile))
		}
	}
	if o.Labels == nil {
		data, err := os.ReadFile(k.LabelsFile)
		if err == nil {
			o.Labels, err = parseDownwardLabels(data)
		}
		if err != nil {
			return o, fmt.Errorf("the labels of the gateway's workload are not known; write the option labels, set %s, or mount the pod's labels there with a downwardAPI volume (%w)",
				k8ssource.EnvLabels, cause(err, k.LabelsFile))
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

// parseDownwardLabels reads what the downward API writes into a file: a line of
// name="value" for each label, the value quoted as in Go.
func parseDownwardLabels(data []byte) (map[string]string, error) {
	labels := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for number := 1; lines.Scan(); number++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		name, quoted, ok := strings.Cut(lines.Text(), "=")
		value, err := strconv.Unquote(strings.TrimSpace(quoted))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			return nil, fmt.Errorf("line %d is not of the form name=\"value\"", number)
		}
		labels[name] = value
	}
	return labels, lines.Err()
}
