package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	admission "k8s.io/api/admission/v1"
)

// newTestWebhook is a webhook in the namespace gateways, without an API server.
func newTestWebhook(t testing.TB) *Webhook {
	t.Helper()
	path := filepath.Join(t.TempDir(), "options.yaml")
	if err := os.WriteFile(path, []byte("image: gateway:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &Webhook{config: new(Config), options: Options{Namespace: "gateways", Logger: zap.NewNop}}
	var err error
	if w.injection, err = openOptions(path, w.logger); err != nil {
		t.Fatal(err)
	}
	return w
}

// reviewOf is a request for a pod.
func reviewOf(namespace, operation, kind, pod string) string {
	return `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", "namespace": "` + namespace + `", "operation": "` + operation + `",
		"kind": {"group": "", "version": "v1", "kind": "` + kind + `"}, "object": ` + pod + `}}`
}

func post(h http.Handler, method, path, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// TestRequestsThatAreRefused holds that what is no API server's request gets an HTTP
// status, by which the failurePolicy decides.
func TestRequestsThatAreRefused(t *testing.T) {
	h := newTestWebhook(t).handler(newIntake())
	good := reviewOf("default", "CREATE", "Pod", `{"metadata": {}, "spec": {"containers": [{"name": "app", "image": "app"}]}}`)
	for name, test := range map[string]struct {
		method, path, contentType, body string
		status                          int
		want                            string
	}{
		"method":      {http.MethodGet, "/inject", "application/json", "", 405, "POST an AdmissionReview"},
		"put":         {http.MethodPut, "/inject/namespace", "application/json", good, 405, "POST an AdmissionReview"},
		"path":        {http.MethodPost, "/", "application/json", good, 404, ""},
		"no type":     {http.MethodPost, "/inject", "", good, 415, "Content-Type"},
		"other type":  {http.MethodPost, "/inject", "application/yaml", good, 415, "Content-Type"},
		"no JSON":     {http.MethodPost, "/inject", "application/json", "hello", 400, "this is not an AdmissionReview"},
		"empty":       {http.MethodPost, "/inject", "application/json", "", 400, "this is not an AdmissionReview"},
		"version":     {http.MethodPost, "/inject", "application/json", strings.Replace(good, "k8s.io/v1", "k8s.io/v1beta1", 1), 400, "takes AdmissionReview of admission.k8s.io/v1"},
		"kind":        {http.MethodPost, "/inject", "application/json", strings.Replace(good, "AdmissionReview", "Pod", 1), 400, `this is kind "Pod"`},
		"no request":  {http.MethodPost, "/inject", "application/json", `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}`, 400, "no request with a uid"},
		"no uid":      {http.MethodPost, "/inject", "application/json", strings.Replace(good, "u-1", "", 1), 400, "no request with a uid"},
		"too large":   {http.MethodPost, "/inject", "application/json", strings.Repeat(" ", maxReview) + good, 413, "over the limit of 4194304 bytes"},
		"type's case": {http.MethodPost, "/inject", "Application/JSON; charset=utf-8", good, 200, ""},
		"health":      {http.MethodGet, "/healthz", "", "", 200, "ok"},
	} {
		rec := post(h, test.method, test.path, test.contentType, test.body)
		if rec.Code != test.status || !strings.Contains(rec.Body.String(), test.want) {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
		if test.status == 405 && rec.Header().Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", name, rec.Header().Get("Allow"))
		}
	}
}

func TestReviews(t *testing.T) {
	h := newTestWebhook(t).handler(newIntake())
	const (
		pod     = `{"metadata": {"labels": {"sidecar.llm-gateway/inject": "true"}}, "spec": {"containers": [{"name": "app", "image": "app"}]}}`
		another = `{"metadata": {}, "spec": {"containers": [{"name": "app", "image": "app"}]}}`
		out     = `{"metadata": {"labels": {"sidecar.llm-gateway/inject": "false"}}, "spec": {"containers": [{"name": "app", "image": "app"}]}}`
		host    = `{"metadata": {"labels": {"sidecar.llm-gateway/inject": "true"}}, "spec": {"hostNetwork": true, "containers": [{"name": "app", "image": "app"}]}}`
		wrong   = `{"metadata": {"labels": {"sidecar.llm-gateway/inject": "yes"}}, "spec": {"containers": [{"name": "app", "image": "app"}]}}`
	)
	for name, test := range map[string]struct {
		path, review     string
		allowed, patched bool
		want             string // of the warning or the message
	}{
		"opted in":            {"/inject", reviewOf("default", "CREATE", "Pod", pod), true, true, ""},
		"by namespace":        {"/inject/namespace", reviewOf("default", "CREATE", "Pod", another), true, true, ""},
		"not opted in":        {"/inject", reviewOf("default", "CREATE", "Pod", another), true, false, ""},
		"opted out":           {"/inject/namespace", reviewOf("default", "CREATE", "Pod", out), true, false, ""},
		"system":              {"/inject", reviewOf("kube-system", "CREATE", "Pod", pod), true, false, ""},
		"own namespace":       {"/inject", reviewOf("gateways", "CREATE", "Pod", pod), true, false, ""},
		"update":              {"/inject", reviewOf("default", "UPDATE", "Pod", pod), true, false, ""},
		"other kind":          {"/inject", reviewOf("default", "CREATE", "Job", pod), true, false, ""},
		"host network":        {"/inject", reviewOf("default", "CREATE", "Pod", host), true, false, "there is no LLM gateway's sidecar: "},
		"label that is wrong": {"/inject", reviewOf("default", "CREATE", "Pod", wrong), false, false, "the LLM gateway's sidecar cannot be added: "},
		"no pod":              {"/inject", reviewOf("default", "CREATE", "Pod", `[1]`), false, false, "the LLM gateway's sidecar cannot be added: "},
	} {
		rec := post(h, http.MethodPost, test.path, "application/json", test.review)
		var review admission.AdmissionReview
		if err := json.Unmarshal(rec.Body.Bytes(), &review); err != nil || rec.Code != 200 || review.Response == nil {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
			continue
		}
		r := review.Response
		if review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" || r.UID != "u-1" || review.Request != nil {
			t.Errorf("%s: %s", name, rec.Body)
		}
		said := strings.Join(r.Warnings, "")
		if r.Result != nil {
			said += r.Result.Message
		}
		if r.Allowed != test.allowed || (len(r.Patch) > 0) != test.patched || !strings.HasPrefix(said, test.want) || (said != "") != (test.want != "") {
			t.Errorf("%s: %s", name, rec.Body)
		}
		if test.patched && (r.PatchType == nil || *r.PatchType != admission.PatchTypeJSONPatch || !strings.Contains(string(r.Patch), "gateway:1")) {
			t.Errorf("%s: the patch is %s", name, r.Patch)
		}
	}
}

// TestOptionsThatChange holds that the file is read again, and that a mistake in it
// changes nothing.
func TestOptionsThatChange(t *testing.T) {
	w := newTestWebhook(t)
	for _, test := range []struct{ content, want string }{{"image: gateway:2\n", "gateway:2"}, {"imagen: x\n", "gateway:2"}, {"", "gateway:2"}, {"image: gateway:3\n", "gateway:3"}} {
		if err := os.WriteFile(w.injection.path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		w.injection.last = time.Time{}
		if got := w.injection.get().Image; got != test.want {
			t.Errorf("after %q the image is %s", test.content, got)
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "missing"), t.TempDir()} {
		if _, err := openOptions(path, w.logger); err == nil || !strings.HasPrefix(err.Error(), "reading the injection's options: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzReview holds that whatever is sent gets a response: an HTTP status, or a review
// for the same request.
func FuzzReview(f *testing.F) {
	f.Add(reviewOf("default", "CREATE", "Pod", `{"metadata": {"labels": {"sidecar.llm-gateway/inject": "true"}}, "spec": {"containers": [{"name": "app"}]}}`))
	f.Add(reviewOf("default", "CREATE", "Pod", `null`))
	f.Add(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u"}}`)
	h := newTestWebhook(f).handler(newIntake())
	f.Fuzz(func(t *testing.T, body string) {
		rec := post(h, http.MethodPost, "/inject/namespace", "application/json", body)
		if rec.Code == http.StatusBadRequest {
			return
		}
		var review admission.AdmissionReview
		if err := json.Unmarshal(rec.Body.Bytes(), &review); err != nil || review.Response == nil || review.Response.UID == "" {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if r := review.Response; r != nil && len(r.Patch) > 0 && !json.Valid(r.Patch) {
			t.Errorf("the patch is %s", r.Patch)
		}
	})
}
