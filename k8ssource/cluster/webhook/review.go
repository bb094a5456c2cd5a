package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"go.uber.org/zap"
	admission "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/internal/options"
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

// handler answers API servers.
func (w *Webhook) handler(in *intake) http.Handler {
	reviews := func(namespaceLabels map[string]string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { w.answer(rw, r, in, namespaceLabels) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc(pathPod, reviews(nil))
	mux.HandleFunc(pathNamespace, reviews(map[string]string{inject.InjectionLabel: "enabled"}))
	mux.HandleFunc(pathHealth, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "ok\n") })
	return mux
}

// answer answers one request. A request that cannot be understood gets an HTTP
// status: then the webhook's failurePolicy says what becomes of the pod.
func (w *Webhook) answer(rw http.ResponseWriter, r *http.Request, in *intake, namespaceLabels map[string]string) {
	data, release, status, err := readReview(rw, r, in)
	defer release()
	var request *admission.AdmissionRequest
	if err == nil {
		if !in.enter(r.Context()) {
			return // nobody waits for the response any more
		}
		defer in.leave()
		if request, err = parseReview(data); err != nil {
			status = http.StatusBadRequest
		}
	}
	if err != nil {
		reason := reasonInvalidRequest
		if status == http.StatusServiceUnavailable {
			reason = reasonBusy
			rw.Header().Set("Retry-After", "1") // API servers do
		}
		metricPods.WithLabelValues(resultFailed, reason).Inc()
		w.logger().Warn("rejected an admission request", zap.Int("status", status), zap.String("error", cut(err.Error(), maxLoggedText)), zap.String("remote", r.RemoteAddr))
		http.Error(rw, err.Error(), status)
		return
	}
	response := w.review(request, namespaceLabels)
	response.UID = request.UID
	answer, err := json.Marshal(&admission.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admission.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, Response: response,
	})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_, _ = rw.Write(answer) // who asked may have left
}

// readReview reads the body of a request, if it may be an AdmissionReview. The error
// comes with the HTTP status for it. release is to be called in any case, once the
// body is not needed any more.
func readReview(rw http.ResponseWriter, r *http.Request, in *intake) (data []byte, release func(), status int, err error) {
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		return nil, func() {}, http.StatusMethodNotAllowed, fmt.Errorf("%s is not taken here; POST an AdmissionReview", r.Method)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, func() {}, http.StatusUnsupportedMediaType, errors.New("the Content-Type is not application/json")
	}
	return in.read(rw, r)
}

func parseReview(data []byte) (*admission.AdmissionRequest, error) {
	var review admission.AdmissionReview
	if err := json.Unmarshal(data, &review); err != nil {
		return nil, fmt.Errorf("this is not an AdmissionReview: %w", err)
	}
	switch {
	case review.Kind != "AdmissionReview" || review.APIVersion != admission.SchemeGroupVersion.String():
		return nil, fmt.Errorf("this is kind %s of %s; the webhook takes AdmissionReview of %s", options.Quoted(review.Kind), options.Quoted(review.APIVersion), admission.SchemeGroupVersion)
	case review.Request == nil || review.Request.UID == "":
		return nil, errors.New("the AdmissionReview has no request with a uid")
	}
	return review.Request, nil
}

// review decides about one object.
func (w *Webhook) review(request *admission.AdmissionRequest, namespaceLabels map[string]string) *admission.AdmissionResponse {
	operations, decision, err := w.patch(request, namespaceLabels)
	fields := []zap.Field{zap.String("namespace", cut(request.Namespace, maxLoggedName)), zap.String("pod", cut(podName(request), maxLoggedName)), zap.Bool("dry_run", request.DryRun != nil && *request.DryRun)}
	if err != nil {
		metricPods.WithLabelValues(resultRefused, "InvalidPod").Inc()
		w.logger().Warn("cannot inject the sidecar into a pod", append(fields, zap.String("error", cut(err.Error(), maxLoggedText)))...)
		return &admission.AdmissionResponse{Result: &metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: "the LLM gateway's sidecar cannot be added: " + err.Error(),
		}}
	}
	fields = append(fields, zap.String("reason", decision.Reason), zap.String("message", cut(decision.Message, maxLoggedText)))
	response := &admission.AdmissionResponse{Allowed: true}
	if !decision.Inject {
		metricPods.WithLabelValues(resultSkipped, decision.Reason).Inc()
		w.logger().Debug("no sidecar injected into a pod", fields...)
		if decision.Reason == inject.ReasonHostNetwork || decision.Reason == inject.ReasonWindows { // somebody opted in, and may wonder
			response.Warnings = []string{"there is no LLM gateway's sidecar: " + decision.Message}
		}
		return response
	}
	metricPods.WithLabelValues(resultInjected, decision.Reason).Inc()
	w.logger().Info("sidecar injected into a pod", fields...)
	kind := admission.PatchTypeJSONPatch
	response.Patch, response.PatchType = operations, &kind
	return response
}

// Why an admission request was rejected.
const (
	reasonInvalidRequest = "InvalidRequest"
	reasonBusy           = "Busy"
)

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

// What is logged of a request has these lengths at most, in bytes: nobody knows who
// asked. Names in a cluster are no longer.
const (
	maxLoggedName = 253
	maxLoggedText = 1024
)

// cut shortens a text for the log.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
