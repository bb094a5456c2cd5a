package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestPodsMayNotTakeOver goes through all annotations: each is decided about, and one
// that would let a pod decide what the gateway is takes the operator's permission.
func TestPodsMayNotTakeOver(t *testing.T) {
	values := map[string]struct {
		value string
		off   bool
	}{
		"image": {"evil:1", true}, "captureImage": {"evil:1", true}, "source": {SourceKubernetes, true}, "secret": {"other", true}, "configMap": {"other", true}, "caddyfile": {"{ }", true},
		"mode": {ModeHTTPProxy, false}, "outboundTrafficPolicy": {"REGISTRY_ONLY", false}, "includeOutboundPorts": {"80,81", false}, "excludeOutboundIPRanges": {"10.0.0.0/8", false},
		"port": {"15101", false}, "statusPort": {"15121", false}, "cpu": {"1", false}, "cpuLimit": {"1", false}, "memory": {"64Mi", false}, "memoryLimit": {"64Mi", false},
	}
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		test, ok := values[name]
		if !ok {
			t.Errorf("%s: decide whether pods may change it", name)
			continue
		}
		pod := fmt.Sprintf(`{"metadata":{"labels":{%q:"true"},"annotations":{%q:%q}},"spec":{"containers":[{"name":"app"}]}}`, InjectLabel, annotationPrefix+name, test.value)
		try := func(o *Options, place Place) string {
			place.Namespace = "default"
			_, decision, err := o.Patch([]byte(pod), place)
			if err != nil {
				return err.Error()
			}
			if !decision.Inject {
				t.Errorf("%s: %+v", name, decision)
			}
			return ""
		}
		const refusal = " is not allowed in this cluster; remove it, or have the operator of the injection add "
		if got := try(options(t, nil), Place{}); strings.Contains(got, annotationPrefix+name+refusal+name) != test.off || !test.off && got != "" {
			t.Errorf("%s: got %q", name, got)
		}
		if got := try(options(t, nil), Place{AllAnnotations: true}); got != "" {
			t.Errorf("%s on the command line: got %q", name, got)
		}
		if test.off {
			if got := try(options(t, func(o *Options) { o.AllowAnnotations = []string{name} }), Place{}); got != "" {
				t.Errorf("%s where it is allowed: got %q", name, got)
			}
		}
	}
	if _, err := ReadOptions([]byte("image: a\nallowAnnotations: [imaeg]\n")); err == nil || !strings.Contains(err.Error(), `allowAnnotations: "imaeg" is none of the annotations that need it`) {
		t.Error(err)
	}
	if o, err := ReadOptions([]byte("image: a\nallowAnnotations: [image, secret]\n")); err != nil || !o.mayUse("secret") || o.mayUse("caddyfile") {
		t.Errorf("%+v, %v", o, err)
	}
}
