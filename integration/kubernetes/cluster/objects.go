package cluster

import (
	"regexp"
	"strings"
)

type metadata struct {
	Name         string `json:"name,omitempty"`
	GenerateName string `json:"generateName,omitempty"`
}

// Namespace makes a namespace of the test's own and returns its name. It stays
// when the test has ended: objects that work in other namespaces too, in the
// root namespace for example, must be deleted by the test.
func (c *Cluster) Namespace() string {
	c.t.Helper()
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(c.t.Name()), "-")
	var namespace struct {
		Metadata metadata `json:"metadata"`
	}
	namespace.Metadata.GenerateName = name[:min(len(name), 40)] + "-"
	c.create("/api/v1/namespaces", namespace, &namespace)
	return namespace.Metadata.Name
}

// Token makes a ServiceAccount if there is none of that name and returns a
// token for it, as a pod would get it, valid for an hour.
func (c *Cluster) Token(namespace, serviceAccount string) string {
	c.t.Helper()
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts"
	c.create(path, map[string]any{"metadata": metadata{Name: serviceAccount}}, nil)
	var request struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	c.create(path+"/"+serviceAccount+"/token", map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"spec": map[string]any{"expirationSeconds": 3600},
	}, &request)
	return request.Status.Token
}
