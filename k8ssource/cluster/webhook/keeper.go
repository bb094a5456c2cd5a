package webhook

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"
	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What the Secret of the authority holds.
const (
	secretBundle = "ca.crt"
	secretKeys   = "ca.key"
)

const (
	// fieldManager is who writes, as the API server notes it.
	fieldManager = "llm-gateway"

	// keepPause is the least time between two looks at Secret and caBundle, and
	// failurePause that after a failure.
	keepPause    = 500 * time.Millisecond
	failurePause = 5 * time.Second
)

// Lead keeps the authority in its Secret and in the caBundle, until ctx is done. One
// of the workload's gateways must do it.
func (w *Webhook) Lead(ctx context.Context) {
	w.logger().Info("became leader for the webhook's certificate authority", zap.String("secret", w.options.Namespace+"/"+w.config.Secret),
		zap.String("webhook", w.config.Webhook))
	failing := ""
	for {
		pause := keepPause
		if err := w.keep(ctx); err != nil && ctx.Err() == nil {
			pause = failurePause
			if text := err.Error(); text != failing {
				failing = text
				w.logger().Error("cannot maintain the webhook's certificate authority; retrying", zap.Error(err))
			}
		} else {
			failing = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-time.After(min(w.times.renew/10, time.Minute)):
		}
	}
}

// keep writes what is not as it should be. After a write it does not wait for the
// news of it.
func (w *Webhook) keep(ctx context.Context) error {
	secret, known := w.secret.get()
	if !known {
		return nil // it will wake
	}
	configuration, known := w.configuration.get()
	if !known {
		return nil
	}
	var inBundle []*x509.Certificate
	if configuration != nil {
		for _, hook := range configuration.Webhooks {
			inBundle = append(inBundle, parseCertificates(hook.ClientConfig.CABundle)...)
		}
	}
	var current authority
	if secret != nil && len(secret.Data[secretBundle])+len(secret.Data[secretKeys]) > 0 {
		var err error
		if current, err = parseAuthority(secret.Data[secretBundle], secret.Data[secretKeys]); err != nil {
			w.logger().Warn("the Secret of the webhook's certificate authority is unusable; recreating it", zap.String("secret", w.options.Namespace+"/"+w.config.Secret), zap.Error(err))
		}
	}
	next, err := current.renewed(w.times, w.now(), inBundle)
	if err != nil {
		return err
	}
	bundle := next.bundle()
	if secret == nil || !bytes.Equal(secret.Data[secretBundle], bundle) {
		if err := w.writeSecret(ctx, secret, next); apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			return nil // the version that was in the way is about to be seen
		} else if err != nil {
			return err
		}
	}
	if configuration == nil {
		return nil
	}
	return w.writeBundle(ctx, configuration, bundle)
}

// writeSecret creates the Secret, or replaces the version of it that was read.
func (w *Webhook) writeSecret(ctx context.Context, old *corev1.Secret, a authority) error {
	keys, err := a.keys()
	if err != nil {
		return err
	}
	data := map[string][]byte{secretBundle: a.bundle(), secretKeys: keys}
	client := w.clients.secrets
	if old == nil {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.options.Namespace, Name: w.config.Secret}, Type: corev1.SecretTypeOpaque, Data: data}
		if _, err = client.Create(ctx, secret, metav1.CreateOptions{FieldManager: fieldManager}); apierrors.IsForbidden(err) {
			return fmt.Errorf("creating the Secret: %w; create it, empty: kubectl -n %s create secret generic %s", err, w.options.Namespace, w.config.Secret)
		}
	} else {
		secret := old.DeepCopy()
		if secret.Data == nil {
			secret.Data = make(map[string][]byte, len(data))
		}
		maps.Copy(secret.Data, data) // what else is there is somebody's
		if _, err = client.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager}); apierrors.IsForbidden(err) {
			return fmt.Errorf("writing the Secret: %w; a Role in namespace %s needs the rule {apiGroups: [\"\"], resources: [secrets], resourceNames: [%s], verbs: [update]}",
				err, w.options.Namespace, w.config.Secret)
		}
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return err
	}
	if err != nil {
		return fmt.Errorf("writing the Secret %s/%s: %w", w.options.Namespace, w.config.Secret, err)
	}
	w.logger().Info("wrote the webhook's certificate authority", zap.Int("roots", len(a)), zap.Time("expires", a.signing().certificate.NotAfter))
	return nil
}

// writeBundle puts the bundle into all webhooks of the configuration that have
// another.
func (w *Webhook) writeBundle(ctx context.Context, configuration *admission.MutatingWebhookConfiguration, bundle []byte) error {
	var hooks []any
	for _, hook := range configuration.Webhooks {
		if !bytes.Equal(hook.ClientConfig.CABundle, bundle) {
			hooks = append(hooks, map[string]any{"name": hook.Name, "clientConfig": map[string]any{"caBundle": bundle}})
		}
	}
	if len(hooks) == 0 {
		return nil
	}
	// With its version, a webhook that was removed meanwhile does not come back.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": configuration.ResourceVersion}, "webhooks": hooks})
	if err != nil {
		return err
	}
	_, err = w.clients.configurations.Patch(ctx, configuration.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	switch {
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		return nil // what is there now is about to be seen
	case apierrors.IsForbidden(err):
		return fmt.Errorf("writing the caBundle: %w; a ClusterRole needs the rule {apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], resourceNames: [%s], verbs: [patch]}",
			err, configuration.Name)
	case err != nil:
		return fmt.Errorf("writing the caBundle of %s: %w", configuration.Name, err)
	}
	w.logger().Info("wrote the webhook's caBundle", zap.String("webhook", configuration.Name), zap.Int("webhooks", len(hooks)))
	return nil
}
