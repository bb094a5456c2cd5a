package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"go.uber.org/zap"
	admission "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/inject"
)

// The paths that the webhook is asked at. What selects the pod is told by the path,
// since a request has no labels of the namespace and the API server has decided by
// them already.
const (
	pathPod       = "/inject"           // the pod's label
	pathNamespace = "/inject/namespace" // that of its namespace
	pathHealth    = "/healthz"
)

const (
	// maxReview bounds a request. API servers take no object of more than 3 MiB.
	maxReview = 4 << 20
	// maxReviews bounds the requests that are held in memory at a time.
	maxReviews = 32
)

// handler answers API servers.
func (w *Webhook) handler() http.Handler {
	slots := make(chan struct{}, maxReviews)
	reviews := func(namespaceLabels map[string]string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-r.Context().Done():
				return
			}
			w.answer(rw, r, namespaceLabels)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc(pathPod, reviews(nil))
	mux.HandleFunc(pathNamespace, reviews(map[string]string{inject.InjectionLabel: "enabled"}))
	mux.HandleFunc(pathHealth, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "ok\n") })
	return mux
}

// answer answers one request. A request that cannot be understood gets an HTTP
// status: then the webhook's failurePolicy says what becomes of the pod.
func (w *Webhook) answer(rw http.ResponseWriter, r *http.Request, namespaceLabels map[string]string) {
	request, status, err := readReview(rw, r)
	if err != nil {
		metricPods.WithLabelValues(resultFailed, "InvalidRequest").Inc()
		w.logger().Warn("a request that is none of an API server's", zap.Int("status", status), zap.Error(err), zap.String("remote", r.RemoteAddr))
		http.Error(rw, err.Error(), status)
		return
	}
	response := w.review(request, namespaceLabels)
	response.UID = request.UID
	data, err := json.Marshal(&admission.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admission.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, Response: response,
	})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_, _ = rw.Write(data) // who asked may have left
}

// readReview reads the request of an AdmissionReview. The error comes with the HTTP
// status for it.
func readReview(rw http.ResponseWriter, r *http.Request) (*admission.AdmissionRequest, int, error) {
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		return nil, http.StatusMethodNotAllowed, fmt.Errorf("%s is not taken here; POST an AdmissionReview", r.Method)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, http.StatusUnsupportedMediaType, errors.New("the Content-Type is not application/json")
	}
	data, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxReview))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the request is over the limit of %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("reading the request: %w", err)
	}
	request, err := parseReview(data)
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	return request, http.StatusOK, nil
}

func parseReview(data []byte) (*admission.AdmissionRequest, error) {
	var review admission.AdmissionReview
	if err := json.Unmarshal(data, &review); err != nil {
		return nil, fmt.Errorf("this is no AdmissionReview: %w", err)
	}
	switch {
	case review.Kind != "AdmissionReview" || review.APIVersion != admission.SchemeGroupVersion.String():
		return nil, fmt.Errorf("this is kind %q of %q; the webhook takes AdmissionReview of %s", review.Kind, review.APIVersion, admission.SchemeGroupVersion)
	case review.Request == nil || review.Request.UID == "":
		return nil, errors.New("the AdmissionReview has no request with a uid")
	}
	return review.Request, nil
}

// review decides about one object.
func (w *Webhook) review(request *admission.AdmissionRequest, namespaceLabels map[string]string) *admission.AdmissionResponse {
	operations, decision, err := w.patch(request, namespaceLabels)
	fields := []zap.Field{zap.String("namespace", request.Namespace), zap.String("pod", podName(request)), zap.Bool("dry_run", request.DryRun != nil && *request.DryRun)}
	if err != nil {
		metricPods.WithLabelValues(resultRefused, "InvalidPod").Inc()
		w.logger().Warn("a pod that should have the sidecar cannot have it", append(fields, zap.Error(err))...)
		return &admission.AdmissionResponse{Result: &metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: "the LLM gateway's sidecar cannot be added: " + err.Error(),
		}}
	}
	fields = append(fields, zap.String("reason", decision.Reason), zap.String("message", decision.Message))
	response := &admission.AdmissionResponse{Allowed: true}
	if !decision.Inject {
		metricPods.WithLabelValues(resultSkipped, decision.Reason).Inc()
		w.logger().Debug("a pod is left as it is", fields...)
		if decision.Reason == inject.ReasonHostNetwork || decision.Reason == inject.ReasonWindows { // somebody opted in, and may wonder
			response.Warnings = []string{"there is no LLM gateway's sidecar: " + decision.Message}
		}
		return response
	}
	metricPods.WithLabelValues(resultInjected, decision.Reason).Inc()
	w.logger().Info("a pod gets the sidecar", fields...)
	kind := admission.PatchTypeJSONPatch
	response.Patch, response.PatchType = operations, &kind
	return response
}

// reasonOtherKind, reasonOtherOperation and reasonOwnNamespace are why something is
// left alone that no correct configuration asks about.
const (
	reasonOtherKind      = "OtherKind"
	reasonOtherOperation = "OtherOperation"
	reasonOwnNamespace   = "OwnNamespace"
)

// patch returns the JSON Patch for the object of a request.
func (w *Webhook) patch(request *admission.AdmissionRequest, namespaceLabels map[string]string) ([]byte, inject.Decision, error) {
	switch kind := request.Kind; {
	case kind.Group != "" || kind.Version != "v1" || kind.Kind != "Pod" || request.SubResource != "":
		return nil, inject.Decision{Reason: reasonOtherKind, Message: "it is no pod"}, nil
	case request.Operation != admission.Create:
		return nil, inject.Decision{Reason: reasonOtherOperation, Message: "the pod is there already"}, nil
	case request.Namespace == w.options.Namespace:
		// Its own pods must be able to start without it.
		return nil, inject.Decision{Reason: reasonOwnNamespace, Message: "the pod is in the gateway's own namespace"}, nil
	}
	operations, decision, err := w.injection.get().Patch(request.Object.Raw, inject.Place{Namespace: request.Namespace, NamespaceLabels: namespaceLabels})
	if err != nil || !decision.Inject {
		return nil, decision, err
	}
	data, err := json.Marshal(operations)
	return data, decision, err
}

// podName is the name of the pod, or what it begins with.
func podName(request *admission.AdmissionRequest) string {
	if request.Name != "" {
		return request.Name
	}
	var pod struct {
		Metadata struct {
			GenerateName string `json:"generateName"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(request.Object.Raw, &pod) // it is only for the log
	return pod.Metadata.GenerateName
}
