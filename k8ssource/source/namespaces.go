package source

import (
	"fmt"
	"regexp"

	"github.com/caddy-llm/gateway/internal/options"
)

// OwnNamespace stands for the workload's namespace in a list of namespaces, as in
// Istio's `exportTo`.
const OwnNamespace = "."

// Names of namespaces are DNS labels.
var namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// CheckNamespaces checks a list of namespaces, of which OwnNamespace may be one.
func CheckNamespaces(names []string) error {
	for _, n := range names {
		if n != OwnNamespace && !namespaceName.MatchString(n) {
			return fmt.Errorf("namespaces: %s is not the name of a namespace; write one such as default, or . for the workload's own", options.Quoted(n))
		}
	}
	return nil
}
