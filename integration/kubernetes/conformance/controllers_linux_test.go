package conformance

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// controllers stand in for what makes pods of Deployments, runs them, and tells Services
// where they are.
type controllers struct {
	node   *node
	client client.Client
	// Service addresses that are listened on.
	services map[string]*service
	ready    chan podReady
}

type podReady struct {
	key     types.NamespacedName
	address string
}

// service is the address of a Service with the endpoints that connections to it go to.
type service struct {
	listener net.Listener
	targets  atomic.Pointer[[]string]
	turn     atomic.Uint64
}

// startControllers has them run until the test ends.
func startControllers(t *testing.T, n *node, c client.Client) {
	t.Helper()
	cs := &controllers{node: n, client: c, services: make(map[string]*service), ready: make(chan podReady, 100)}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			// Conflicts with what the suite changes meanwhile are tried again.
			if err := cs.round(ctx); err != nil && ctx.Err() == nil {
				t.Logf("controllers: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		for _, s := range n.pods {
			s.stop()
		}
		for _, s := range cs.services {
			_ = s.listener.Close()
		}
	})
}

// round does what there is to do now.
func (cs *controllers) round(ctx context.Context) error {
	var deployments appsv1.DeploymentList
	var pods corev1.PodList
	var services corev1.ServiceList
	var slicesNow discoveryv1.EndpointSliceList
	for _, list := range []client.ObjectList{&deployments, &pods, &services, &slicesNow} {
		if err := cs.client.List(ctx, list); err != nil {
			return err
		}
	}
	if err := cs.replicas(ctx, deployments.Items, pods.Items); err != nil {
		return err
	}
	if err := cs.run(ctx, pods.Items); err != nil {
		return err
	}
	return cs.endpoints(ctx, services.Items, pods.Items, slicesNow.Items)
}

// replicas makes and removes pods of Deployments.
func (cs *controllers) replicas(ctx context.Context, deployments []appsv1.Deployment, pods []corev1.Pod) error {
	wanted := make(map[types.UID]int)
	for i := range deployments {
		wanted[deployments[i].UID] = int(*deployments[i].Spec.Replicas)
	}
	for i := range pods {
		owner := metav1.GetControllerOf(&pods[i])
		if owner == nil || pods[i].DeletionTimestamp != nil {
			continue
		}
		if wanted[owner.UID] == 0 {
			if err := cs.client.Delete(ctx, &pods[i]); client.IgnoreNotFound(err) != nil {
				return err
			}
			continue
		}
		wanted[owner.UID]--
	}
	for i := range deployments {
		d := &deployments[i]
		for range wanted[d.UID] {
			pod := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy()}
			pod.GenerateName, pod.Namespace = d.Name+"-5d8b9c7f6-", d.Namespace // as a ReplicaSet's, which the suite takes apart
			pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
			pod.Spec.NodeName = "node"
			if err := cs.client.Create(ctx, pod); err != nil {
				return err
			}
		}
	}
	return nil
}

// run starts pods that are new and ends those that are gone.
func (cs *controllers) run(ctx context.Context, pods []corev1.Pod) error {
	there := make(map[string]bool)
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil {
			if err := cs.client.Delete(ctx, pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
				return err
			}
			continue
		}
		there[string(pod.UID)] = true
		if cs.node.pods[string(pod.UID)] == nil {
			if err := cs.node.runPod(pod, func(address string) {
				cs.ready <- podReady{client.ObjectKeyFromObject(pod), address}
			}); err != nil {
				return fmt.Errorf("pod %s: %w", pod.Name, err)
			}
		}
	}
	for uid, s := range cs.node.pods {
		if !there[uid] {
			s.stop()
			delete(cs.node.pods, uid)
		}
	}
	for {
		select {
		case r := <-cs.ready:
			var pod corev1.Pod
			if err := cs.client.Get(ctx, r.key, &pod); client.IgnoreNotFound(err) != nil {
				return err
			} else if err == nil {
				pod.Status = running(&pod, r.address)
				if err := cs.client.Status().Update(ctx, &pod); err != nil {
					cs.ready <- r
					return err
				}
			}
		default:
			return nil
		}
	}
}

// endpoints writes the EndpointSlices of Services, and listens at their addresses.
func (cs *controllers) endpoints(ctx context.Context, services []corev1.Service, pods []corev1.Pod, now []discoveryv1.EndpointSlice) error {
	const mine = "conformance.test"
	wanted := make(map[types.NamespacedName]*discoveryv1.EndpointSlice)
	listened := make(map[string][]string)
	for i := range services {
		svc := &services[i]
		if len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		slice := sliceOf(svc, pods)
		slice.Labels[discoveryv1.LabelManagedBy] = mine
		wanted[client.ObjectKeyFromObject(slice)] = slice
		for j, p := range svc.Spec.Ports {
			var targets []string
			for _, e := range slice.Endpoints {
				targets = append(targets, net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*slice.Ports[j].Port))))
			}
			if svc.Spec.ClusterIP != corev1.ClusterIPNone && cmp.Or(p.Protocol, corev1.ProtocolTCP) == corev1.ProtocolTCP && len(targets) > 0 {
				listened[net.JoinHostPort(svc.Spec.ClusterIP, strconv.Itoa(int(p.Port)))] = targets
			}
		}
	}
	if err := cs.listen(listened); err != nil {
		return err
	}
	for i := range now {
		is := &now[i]
		if is.Labels[discoveryv1.LabelManagedBy] != mine {
			continue
		}
		want := wanted[client.ObjectKeyFromObject(is)]
		delete(wanted, client.ObjectKeyFromObject(is))
		switch {
		case want == nil:
			if err := cs.client.Delete(ctx, is); client.IgnoreNotFound(err) != nil {
				return err
			}
		case !reflect.DeepEqual(is.Endpoints, want.Endpoints) || !reflect.DeepEqual(is.Ports, want.Ports):
			is.Endpoints, is.Ports = want.Endpoints, want.Ports
			if err := cs.client.Update(ctx, is); err != nil {
				return err
			}
		}
	}
	for _, slice := range wanted {
		if err := cs.client.Create(ctx, slice); err != nil {
			return err
		}
	}
	return nil
}

// sliceOf is the EndpointSlice of a Service.
func sliceOf(svc *corev1.Service, pods []corev1.Pod) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: svc.Name + "-pods", Namespace: svc.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, p := range svc.Spec.Ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{
			Name: new(p.Name), Protocol: new(cmp.Or(p.Protocol, corev1.ProtocolTCP)), Port: new(cmp.Or(p.TargetPort.IntVal, p.Port)), AppProtocol: p.AppProtocol,
		})
	}
	selector := labels.SelectorFromSet(svc.Spec.Selector)
	for i := range pods {
		pod := &pods[i]
		isReady := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		if pod.Namespace != svc.Namespace || !selector.Matches(labels.Set(pod.Labels)) || !isReady || pod.DeletionTimestamp != nil {
			continue
		}
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{pod.Status.PodIP}, NodeName: new(pod.Spec.NodeName),
			Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
		})
	}
	slices.SortFunc(slice.Endpoints, func(a, b discoveryv1.Endpoint) int { return cmp.Compare(a.TargetRef.Name, b.TargetRef.Name) })
	return slice
}

// listen has the addresses of Services, and no others, lead to their endpoints.
func (cs *controllers) listen(wanted map[string][]string) error {
	for address, s := range cs.services {
		if wanted[address] == nil {
			_ = s.listener.Close()
			delete(cs.services, address)
		}
	}
	for address, targets := range wanted {
		s := cs.services[address]
		if s == nil {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				continue
			}
			s = &service{listener: listener}
			cs.services[address] = s
			s.targets.Store(&targets)
			go forward(listener, func() string {
				to := *s.targets.Load()
				return to[s.turn.Add(1)%uint64(len(to))]
			})
		}
		s.targets.Store(&targets)
	}
	return nil
}
