package inject

import (
	"fmt"
	"strings"
)

// Folders of the gateway's container.
const (
	configDir = "/etc/caddy"     // Caddyfile and the pod's labels
	objectDir = "/etc/llm"       // what the Secret and the ConfigMap hold
	stateDir  = "/var/lib/caddy" // all that Caddy writes

	// tokenDir is where clients of the API server look for the pod's account.
	tokenDir = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// caddyfile is the gateway's. Its admin endpoint is off, since the application could
// reach it, and so is the status page, since its port is open to the whole cluster.
func (o *Options) caddyfile() string {
	if o.Caddyfile != "" {
		return o.Caddyfile
	}
	var b strings.Builder
	b.WriteString("{\n\tadmin off\n\tpersist_config off\n\tllm {\n")
	if o.Source == SourceKubernetes {
		fmt.Fprintf(&b, "\t\tsource kubernetes {\n\t\t\tnamespaces %s\n\t\t\tgateways off\n\t\t\tstatus off\n", strings.Join(o.Namespaces, " "))
	} else {
		b.WriteString("\t\tsource files")
		for _, volume := range o.objectVolumes() {
			b.WriteString(" " + volume.folder())
		}
		b.WriteString(" {\n")
	}
	fmt.Fprintf(&b, "\t\t\tnamespace {$LLM_NAMESPACE}\n\t\t\tworkload {$LLM_WORKLOAD}\n\t\t\tlabels_file %s/labels\n", configDir)
	fmt.Fprintf(&b, "\t\t\troot_namespace %s\n\t\t\tmesh_listen localhost:%d\n\t\t\toutbound_traffic_policy %s\n\t\t}\n",
		o.RootNamespace, o.Port, o.OutboundTrafficPolicy)
	fmt.Fprintf(&b, "\t\tstatus_listen :%d\n\t\tstatus_page off\n", o.StatusPort)
	if o.AccessLog {
		b.WriteString("\t\taccess_log\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}
