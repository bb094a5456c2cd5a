package k8ssource

import (
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

// hosts are the names that the route's host answers to in a table. A Service
// has several.
func (b *routeBuilder) hosts(table string) []string {
	host := object.CanonicalHost(b.object.Spec.Host)
	if object.CheckRouteHost(b.object.Spec.Host) != "" {
		return nil
	}
	name, namespace, ok := b.service(host)
	if !ok {
		return []string{host}
	}
	full := name + "." + namespace
	out := []string{full, full + ".svc", full + object.ClusterSuffix}
	// In another namespace the short name is another Service's.
	if table == MeshTable && b.t.workload.Known && b.t.workload.Identity.Namespace != namespace {
		return out
	}
	return append([]string{name}, out...)
}

// service tells which Service a host names, if it names one.
func (b *routeBuilder) service(host string) (name, namespace string, ok bool) {
	if strings.Contains(host, "*") || b.t.owners[host] != nil {
		return "", "", false
	}
	labels := strings.Split(host, ".")
	switch {
	case len(labels) == 1:
		return host, b.object.Namespace, true
	case len(labels) == 3 && labels[2] == "svc", len(labels) == 5 && strings.HasSuffix(host, object.ClusterSuffix),
		len(labels) == 2 && b.t.services[labels[1]+"/"+labels[0]] != nil:
		return labels[0], labels[1], true
	}
	return "", "", false
}
