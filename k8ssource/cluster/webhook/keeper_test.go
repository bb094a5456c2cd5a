package webhook

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// TestSecretKeepsOtherKeys holds that of a Secret only the authority is written.
func TestSecretKeepsOtherKeys(t *testing.T) {
	var written corev1.Secret
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(data, &written); err != nil {
			t.Error(err)
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(data)
	}))
	defer server.Close()
	core, err := coreclient.NewForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	w := newTestWebhook(t)
	w.config.Secret, w.clients.secrets = "ca", core.Secrets("gateways")
	for want, data := range map[string]map[string][]byte{"ca.crt ca.key": nil, "ca.crt ca.key note": {"note": []byte("hers"), secretKeys: []byte("spoilt")}} {
		old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "gateways", Name: "ca"}, Data: data}
		a := renewed(t, nil, start)
		if err := w.writeSecret(t.Context(), old, a); err != nil {
			t.Fatal(err)
		}
		keys := slices.Sorted(maps.Keys(written.Data))
		if got := strings.Join(keys, " "); got != want || string(written.Data[secretBundle]) != string(a.bundle()) || string(written.Data["note"]) != string(data["note"]) {
			t.Errorf("%s: got %s", want, got)
		}
		written = corev1.Secret{}
	}
}
