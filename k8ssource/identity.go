package k8ssource

import (
	"fmt"
	"strings"
)

// The environment variables that say which workload the gateway acts for.
const (
	EnvNamespace = "LLM_NAMESPACE"
	EnvLabels    = "LLM_LABELS" // as in a=b,c=d
	EnvWorkload  = "LLM_WORKLOAD"
)

// FromEnvironment fills in what is not set from environment variables; lookup is
// os.LookupEnv. LLM_LABELS that is there and empty means that there are no labels.
func (o *SourceOptions) FromEnvironment(lookup func(string) (string, bool)) error {
	if o.Namespace == "" {
		o.Namespace, _ = lookup(EnvNamespace)
	}
	if o.Workload == "" {
		o.Workload, _ = lookup(EnvWorkload)
	}
	text, ok := lookup(EnvLabels)
	if o.Labels != nil || !ok {
		return nil
	}
	list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
	labels, err := parseLabels(list)
	if err != nil {
		return fmt.Errorf("%s: %w", EnvLabels, err)
	}
	o.Labels = labels
	return nil
}
