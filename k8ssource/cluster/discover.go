package cluster

import (
	"context"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// discoveryTime is how often it is looked which kinds are served while one is
	// not, and settledTime how often while all are.
	discoveryTime = 5 * time.Second
	settledTime   = 30 * time.Second
	// absences is how often in a row a kind must not be served before its objects
	// are forgotten: an API server that has just started does not serve all yet.
	absences = 2
)

// discoverer finds out which kinds the API server serves, and in which version.
type discoverer struct {
	clients *clients
	kinds   []kind

	served map[string]string // the version of each kind by resource and group
	absent map[string]int    // how often in a row a kind was not found

	backoff *wait.Backoff
	logged  string // the last failure
}

func newDiscoverer(c *clients, kinds []kind) *discoverer {
	return &discoverer{clients: c, kinds: kinds, served: make(map[string]string), absent: make(map[string]int), backoff: retries(longestRetry)}
}

// key is a kind as discoverer knows it.
func (k kind) key() string { return k.at("").GroupResource().String() }

// look asks the API server. The error is one that leaves it unknown whether a kind
// is served; nothing has changed then for that kind.
func (d *discoverer) look(ctx context.Context) error {
	answers := make(map[string]map[string]bool) // resources by group and version
	var failed error
	for _, k := range d.kinds {
		version, err := d.version(ctx, k, answers)
		switch {
		case err != nil:
			failed = err
		case version != "":
			d.served[k.key()], d.absent[k.key()] = version, 0
		default:
			if d.absent[k.key()]++; d.absent[k.key()] >= absences || d.served[k.key()] == "" {
				d.served[k.key()] = ""
			}
		}
	}
	if failed == nil {
		d.backoff, d.logged = retries(longestRetry), ""
	}
	return failed
}

// failed logs a failure unless it is the last one again, and returns how long to wait
// before the next look.
func (d *discoverer) failed(err error) time.Duration {
	if answered(err) && err.Error() != d.logged {
		d.logged = err.Error()
		logger().Error("API discovery failed; the credentials must be valid and have the permissions of the ClusterRole system:discovery", zap.Error(err))
	}
	return d.backoff.Step()
}

// version returns the version that a kind is to be read in, or none if it is not
// served.
func (d *discoverer) version(ctx context.Context, k kind, answers map[string]map[string]bool) (string, error) {
	if k.group == "" {
		return k.versions[0], nil
	}
	for _, version := range k.versions {
		path := "/apis/" + k.group + "/" + version
		if answers[path] == nil {
			resources, err := d.resources(ctx, path)
			if err != nil {
				return "", err
			}
			answers[path] = resources
		}
		if answers[path][k.resource] {
			return version, nil
		}
	}
	return "", nil
}

func (d *discoverer) resources(ctx context.Context, path string) (map[string]bool, error) {
	var list metav1.APIResourceList
	out := make(map[string]bool)
	err := d.clients.discovery.Get().AbsPath(path).Timeout(discoveryTime).Do(ctx).Into(&list)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	for _, r := range list.APIResources {
		out[r.Name] = true
	}
	return out, nil
}
