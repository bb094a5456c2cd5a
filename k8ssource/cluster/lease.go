package cluster

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The times of the election are those that Kubernetes' own components use: another
// gateway takes over within leaseTime plus retryTime.
const (
	leaseTime = 15 * time.Second
	renewTime = 10 * time.Second
	retryTime = 2 * time.Second
)

var notInNames = regexp.MustCompile(`[^a-z0-9-]+`)

// leaseName is the Lease of a workload's gateways, unless configured.
func leaseName(workload string) string {
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(workload), "-"), "-")
	return "llm-gateway-" + name[:min(len(name), 200)]
}

// election decides which of a workload's gateways writes.
type election struct {
	client    coordination.LeasesGetter
	namespace string
	name      string
	required  bool       // the certificates of an injection are written, too
	refused   sync.Once  // is logged
	leading   sync.Mutex // is held while lead runs
}

// run calls lead whenever this gateway is the one that writes, with a context that
// ends when it no longer is. It ends when ctx does.
func (e *election) run(ctx context.Context, lead func(context.Context)) {
	host, _ := os.Hostname()
	identity := host + "_" + uuid.NewString()
	ctx = logr.NewContext(ctx, quietly)
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &observedLock{e, &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: e.namespace, Name: e.name},
				Client:     e.client,
				LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
			}},
			LeaseDuration: leaseTime, RenewDeadline: renewTime, RetryPeriod: retryTime, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					e.leading.Lock() // until the last one has noticed its end
					defer e.leading.Unlock()
					logger().Info("became leader", zap.String("lease", e.namespace+"/"+e.name))
					lead(ctx)
				},
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			logger().Error("leader election failed; retrying", zap.Error(err))
			return
		}
		elector.Run(ctx)
	}
}

// observedLock logs why there can be no election.
type observedLock struct {
	election *election
	resourcelock.Interface
}

func (l *observedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	return record, raw, l.election.observe(err)
}

func (l *observedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.election.observe(l.Interface.Create(ctx, record))
}

func (l *observedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.election.observe(l.Interface.Update(ctx, record))
}

func (e *election) observe(err error) error {
	if apierrors.IsForbidden(err) {
		e.refused.Do(func() {
			fix := fmt.Sprintf("a Role in namespace %s needs the rules {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]} and "+
				"{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [%s], verbs: [get, update]}", e.namespace, e.name)
			if e.required {
				logger().Error("no permission for leader election; nothing is written to the cluster, and the sidecar injection does not work without its certificates", zap.String("fix", fix), zap.Error(err))
				return
			}
			logger().Warn("no permission for leader election; nothing is written to the cluster, such as the status of objects", zap.String("fix", fix+"; or set status off"), zap.Error(err))
		})
	}
	return err
}
