package cluster

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/source"
)

func TestWorkload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "labels")
	if err := os.WriteFile(file, []byte("app=\"gw\"\napp.kubernetes.io/name=\"gateway\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile := map[string]string{"app": "gw", "app.kubernetes.io/name": "gateway"}
	for name, test := range map[string]struct {
		options source.Settings
		file    string
		env     map[string]string
		want    source.Settings
		err     string
	}{
		"the file": {
			options: source.Settings{Namespace: "ns"}, file: file,
			want: source.Settings{Namespace: "ns", Labels: fromFile, Workload: "gateway"},
		},
		"the environment before the file": {
			file: file, env: map[string]string{"LLM_NAMESPACE": "ns", "LLM_LABELS": "app=x"},
			want: source.Settings{Namespace: "ns", Labels: map[string]string{"app": "x"}, Workload: "x"},
		},
		"options before all": {
			options: source.Settings{Namespace: "ns", Labels: map[string]string{"a": "b"}, Workload: "w"}, file: file,
			env:  map[string]string{"LLM_NAMESPACE": "other", "LLM_LABELS": "app=x", "LLM_WORKLOAD": "y"},
			want: source.Settings{Namespace: "ns", Labels: map[string]string{"a": "b"}, Workload: "w"},
		},
		"no namespace": {
			file: file, err: "the namespace of the gateway's workload is not known; write the option namespace, or set LLM_NAMESPACE (open /var/run/secrets",
		},
		"no labels": {
			options: source.Settings{Namespace: "ns"}, file: file + "-missing",
			err: "the labels of the gateway's workload are not known; write the option labels, set LLM_LABELS, or mount the pod's labels there with a downwardAPI volume (open " + file + "-missing",
		},
		"wrong labels": {env: map[string]string{"LLM_NAMESPACE": "ns", "LLM_LABELS": "app"}, err: `LLM_LABELS: "app" is not a label`},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			k := &Kubernetes{Settings: test.options}
			k.LabelsFile, test.want.LabelsFile = test.file, test.file
			got, err := k.workload()
			switch {
			case test.err != "":
				if err == nil || !strings.HasPrefix(err.Error(), test.err) {
					t.Errorf("got %v, want %s", err, test.err)
				}
			case err != nil || !reflect.DeepEqual(got, test.want):
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}
