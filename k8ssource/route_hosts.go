package k8ssource

import (
	"fmt"
	"strings"
)

// clusterSuffix is what follows namespace in the full names of Services.
const clusterSuffix = ".svc.cluster.local"

// checkRouteHost says what is wrong with the host of an LLMRoute, if anything.
func checkRouteHost(host string) string {
	switch host {
	case "":
		return "a host is required; write a provider's host, the name of a Service, or \"*\""
	case "*":
		return ""
	}
	if len(host) > maxRouteHost {
		return fmt.Sprintf(tooLong, maxRouteHost)
	}
	name, _ := strings.CutPrefix(host, "*.")
	if strings.Contains(name, "*") || name == "" {
		return "there is a star in a place where there can be none; write a name, *.suffix, or \"*\""
	}
	if _, port, ok := strings.Cut(name, ":"); ok && isNumber(port) {
		return "the host has a port, and routes are for all ports; write the name alone"
	}
	if err := checkHost(name); err != nil {
		return err.Error()
	}
	return ""
}

// hosts are the names that the route's host answers to in a table. A Service
// has several.
func (b *routeBuilder) hosts(table string) []string {
	host := canonicalHost(b.object.Spec.Host)
	if checkRouteHost(b.object.Spec.Host) != "" {
		return nil
	}
	name, namespace, ok := b.service(host)
	if !ok {
		return []string{host}
	}
	full := name + "." + namespace
	out := []string{full, full + ".svc", full + clusterSuffix}
	// In another namespace the short name is another Service's.
	if table == MeshTable && b.t.known && b.t.identity.Namespace != namespace {
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
	case len(labels) == 3 && labels[2] == "svc", len(labels) == 5 && strings.HasSuffix(host, clusterSuffix),
		len(labels) == 2 && b.t.services[labels[1]+"/"+labels[0]]:
		return labels[0], labels[1], true
	}
	return "", "", false
}
