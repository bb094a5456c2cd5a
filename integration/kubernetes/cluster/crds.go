package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/integration/internal/host"
)

// InstallCRDs applies the CustomResourceDefinitions in a YAML file or folder,
// all of them or those of the kinds named, and returns when they are served.
func (c *Cluster) InstallCRDs(path string, kinds ...string) {
	c.t.Helper()
	// kubectl reads the YAML, so that this package needs no parser.
	printed := c.Kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", path)
	if printed.Code != 0 {
		c.t.Fatalf("reading %s: %s", path, printed.Stderr)
	}
	found := map[string]bool{}
	for _, crd := range c.definitions(path, printed.Stdout) {
		found[crd.Spec.Names.Kind] = true
		if len(kinds) == 0 || slices.Contains(kinds, crd.Spec.Names.Kind) {
			c.install(crd)
		}
	}
	for _, kind := range kinds {
		if !found[kind] {
			c.t.Fatalf("%s defines no kind %s", path, kind)
		}
	}
}

// InstallIstioCRDs is InstallCRDs with Istio's, as published in istio.io/api.
func (c *Cluster) InstallIstioCRDs(kinds ...string) {
	c.t.Helper()
	dir, err := moduleDir("istio.io/api")
	if err != nil {
		c.t.Fatalf("finding Istio's CRDs: %v", err)
	}
	c.InstallCRDs(filepath.Join(dir, "kubernetes", "customresourcedefinitions.gen.yaml"), kinds...)
}

// inferenceExtension is the module with the CRDs of the Gateway API Inference Extension.
const inferenceExtension = "sigs.k8s.io/gateway-api-inference-extension@v1.6.0"

// InstallInferenceCRDs is InstallCRDs with InferencePool, as published.
func (c *Cluster) InstallInferenceCRDs() {
	c.t.Helper()
	dir, err := moduleDir(inferenceExtension)
	if err != nil {
		c.t.Fatalf("finding the CRDs of the Inference Extension: %v", err)
	}
	c.InstallCRDs(filepath.Join(dir, "config", "crd", "bases", "inference.networking.k8s.io_inferencepools.yaml"))
}

// gatewayAPI is the module with the CRDs of Gateway API.
const gatewayAPI = "sigs.k8s.io/gateway-api@v1.6.3"

// InstallGatewayAPICRDs is InstallCRDs with those of Gateway API that the gateway reads, as
// published in the standard channel.
func (c *Cluster) InstallGatewayAPICRDs() {
	c.t.Helper()
	dir, err := moduleDir(gatewayAPI)
	if err != nil {
		c.t.Fatalf("finding the CRDs of Gateway API: %v", err)
	}
	for _, resource := range []string{"gatewayclasses", "gateways", "httproutes", "referencegrants"} {
		c.InstallCRDs(filepath.Join(dir, "config", "crd", "standard", "gateway.networking.k8s.io_"+resource+".yaml"))
	}
}

// moduleDir is where a module was downloaded to: one that ../lab requires, or one with its
// version.
func moduleDir(module string) (string, error) {
	lab, err := labDir()
	if err != nil {
		return "", err
	}
	out, err := host.Go(lab, "mod", "download", "-json", module)
	if err != nil {
		return "", err
	}
	var download struct{ Dir string }
	err = json.Unmarshal([]byte(out), &download)
	return download.Dir, err
}

// definition is what is needed of a CustomResourceDefinition.
type definition struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Group string `json:"group"`
		Names struct {
			Kind   string `json:"kind"`
			Plural string `json:"plural"`
		} `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Served bool   `json:"served"`
		} `json:"versions"`
	} `json:"spec"`

	whole json.RawMessage
}

// definitions reads JSON objects that follow each other.
func (c *Cluster) definitions(path, objects string) []definition {
	c.t.Helper()
	var crds []definition
	for dec := json.NewDecoder(strings.NewReader(objects)); ; {
		var crd definition
		err := dec.Decode(&crd.whole)
		if errors.Is(err, io.EOF) {
			return crds
		}
		if err == nil {
			err = json.Unmarshal(crd.whole, &crd)
		}
		if err == nil && crd.Spec.Names.Kind == "" {
			err = fmt.Errorf("%q is no CustomResourceDefinition", crd.Metadata.Name)
		}
		if err != nil {
			c.t.Fatalf("reading %s: %v", path, err)
		}
		crds = append(crds, crd)
	}
}

func (c *Cluster) install(crd definition) {
	c.t.Helper()
	path := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + crd.Metadata.Name + "?fieldManager=test&force=true"
	status, answer, err := c.server.request(http.MethodPatch, path, "application/apply-patch+yaml", crd.whole)
	if err == nil && status != http.StatusOK && status != http.StatusCreated {
		err = fmt.Errorf("%d %s", status, answer)
	}
	if err != nil {
		c.t.Fatalf("installing %s: %v", crd.Metadata.Name, err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := c.served(crd)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s is not served after %v: %v", crd.Metadata.Name, patience, err)
		}
	}
}

// served reports whether the API server answers for each version of a kind, and
// lists it where clients look kinds up.
func (c *Cluster) served(crd definition) error {
	for _, v := range crd.Spec.Versions {
		if !v.Served {
			continue
		}
		base := "/apis/" + crd.Spec.Group + "/" + v.Name
		for _, path := range []string{base, base + "/" + crd.Spec.Names.Plural + "?limit=1"} {
			status, answer, err := c.server.request(http.MethodGet, path, "", nil)
			if err == nil && (status != http.StatusOK || path == base && !strings.Contains(string(answer), `"`+crd.Spec.Names.Plural+`"`)) {
				err = fmt.Errorf("%s: %d %s", path, status, answer)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
