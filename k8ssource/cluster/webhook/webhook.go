package webhook

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// Options are what the source that the webhook belongs to knows.
type Options struct {
	// REST is how the API server is reached.
	REST *rest.Config
	// Namespace is that of the gateway's workload.
	Namespace string
	// Logger returns the logger of now.
	Logger func() *zap.Logger
}

// Webhook serves API servers. It ends with the context it was started with.
type Webhook struct {
	config  *Config
	options Options
	times   times
	now     func() time.Time
	clients struct {
		secrets        coreclient.SecretInterface
		configurations admissionclient.MutatingWebhookConfigurationInterface
	}

	secret        *single[corev1.Secret]
	configuration *single[admission.MutatingWebhookConfiguration]
	certificate   *certificate
	injection     *optionsFile
	wake          chan struct{} // holds a token when there may be something to write
	ready         chan struct{} // closed once there is a certificate
	readyOnce     sync.Once

	changing sync.Mutex // is held while what was read is taken over, so that newer stays
	missing  bool       // that there is no configuration is logged
}

// Start begins to listen, and to follow the Secret and the configuration. The error
// is an address that cannot be listened on, or a file of options that is wrong.
func (c *Config) Start(ctx context.Context, options Options) (*Webhook, error) {
	w := &Webhook{config: c, options: options, times: timesOf(time.Duration(c.CALifetime)), now: time.Now, wake: make(chan struct{}, 1), ready: make(chan struct{})}
	core, err := coreclient.NewForConfig(options.REST)
	if err != nil {
		return nil, err
	}
	registration, err := admissionclient.NewForConfig(options.REST)
	if err != nil {
		return nil, err
	}
	w.clients.secrets, w.clients.configurations = core.Secrets(options.Namespace), registration.MutatingWebhookConfigurations()
	w.certificate = &certificate{times: w.times, now: w.now}
	if w.injection, err = openOptions(c.Options, w.logger); err != nil {
		return nil, err
	}
	if err := w.serve(ctx); err != nil {
		return nil, err
	}
	w.secret = &single[corev1.Secret]{what: "Secret " + options.Namespace + "/" + c.Secret, logger: options.Logger, changed: w.changed,
		needs: fmt.Sprintf(`a Role in namespace %s needs the rule {apiGroups: [""], resources: [secrets], resourceNames: [%s], verbs: [list, watch]}`, options.Namespace, c.Secret)}
	w.configuration = &single[admission.MutatingWebhookConfiguration]{what: "MutatingWebhookConfiguration " + c.Webhook, logger: options.Logger, changed: w.changed,
		needs: fmt.Sprintf(`a ClusterRole needs the rule {apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], resourceNames: [%s], verbs: [list, watch]}`, c.Webhook)}
	follow(ctx, w.secret, c.Secret, w.clients.secrets)
	follow(ctx, w.configuration, c.Webhook, w.clients.configurations)
	return w, nil
}

// Ready is closed once the webhook can answer.
func (w *Webhook) Ready() <-chan struct{} { return w.ready }

func (w *Webhook) logger() *zap.Logger { return w.options.Logger().Named("webhook") }

// changed takes over what was read.
func (w *Webhook) changed() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
	w.changing.Lock()
	defer w.changing.Unlock()
	var a authority
	if secret, _ := w.secret.get(); secret != nil {
		a, _ = parseAuthority(secret.Data[secretBundle], secret.Data[secretKeys]) // who leads mends it
	}
	configuration, known := w.configuration.get()
	if known {
		if configuration == nil && !w.missing {
			w.logger().Warn("MutatingWebhookConfiguration not found; no sidecars are injected until it is created", zap.String("webhook", w.config.Webhook))
		}
		w.missing = configuration == nil
	}
	var hosts []string
	var bundle []fingerprint
	if configuration != nil {
		hosts, bundle = hostsOf(configuration), trustedBy(configuration)
	}
	w.certificate.update(a, hosts, bundle)
	expires, err := w.certificate.expires()
	if err != nil {
		return
	}
	metricExpiry.Set(float64(expires.Unix()))
	w.readyOnce.Do(func() {
		w.logger().Info("webhook ready", zap.Strings("hosts", hosts))
		close(w.ready)
	})
}

// hostsOf are the names by which API servers call the configuration's webhooks.
func hostsOf(configuration *admission.MutatingWebhookConfiguration) []string {
	var out []string
	for _, hook := range configuration.Webhooks {
		switch client := hook.ClientConfig; {
		case client.Service != nil:
			out = append(out, client.Service.Name+"."+client.Service.Namespace+".svc")
		case client.URL != nil:
			if u, err := url.Parse(*client.URL); err == nil && u.Hostname() != "" {
				out = append(out, u.Hostname())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// trustedBy are the roots that the caBundles of all webhooks have.
func trustedBy(configuration *admission.MutatingWebhookConfiguration) []fingerprint {
	out := []fingerprint{}
	count := make(map[fingerprint]int)
	for _, hook := range configuration.Webhooks {
		own := make(map[fingerprint]bool)
		for _, certificate := range parseCertificates(hook.ClientConfig.CABundle) {
			own[sha256.Sum256(certificate.Raw)] = true
		}
		for f := range own {
			if count[f]++; count[f] == len(configuration.Webhooks) {
				out = append(out, f)
			}
		}
	}
	return out
}
