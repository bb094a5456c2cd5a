package conformance

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	inference "sigs.k8s.io/gateway-api-inference-extension/conformance"
	"sigs.k8s.io/gateway-api-inference-extension/conformance/tests"
	"sigs.k8s.io/gateway-api-inference-extension/version"
	gatewayapi "sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/internal/host"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

var (
	only   = flag.String("only", "", "run this `test` of the suites alone, by its short name")
	update = flag.Bool("update", false, "write the reports")
)

const config = `{
	shutdown_delay 0s
	llm {
		status_listen 127.0.0.1:{{.Status}}
		source kubernetes {
			kubeconfig {{.Kubeconfig}}
			namespace {{.Namespace}}
			workload gateway
			labels app=gateway
			root_namespace {{.Namespace}}
			gateway_networks {{.Network}}
		}
	}
}
`

// The class of the Gateways, and the namespace of the gateway. The suite of the Inference
// Extension waits for a pod there.
const (
	class     = "llm-gateway"
	namespace = "inference-conformance-infra"
)

// lab is a cluster with what stands in for a node, and a gateway.
func lab(t *testing.T) {
	t.Helper()
	need(t)
	c := cluster.Shared(t)
	for module, pattern := range map[string]string{
		"sigs.k8s.io/gateway-api":                     "config/crd/standard/gateway.*.yaml",
		"sigs.k8s.io/gateway-api-inference-extension": "config/crd/bases/inference.networking.k8s.io_inferencepools.yaml",
	} {
		dir, err := host.Go("", "list", "-m", "-f", "{{.Dir}}", module)
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no definitions in %s: %v", dir, err)
		}
		for _, f := range files {
			if !strings.Contains(f, "_vap_") { // which is a policy for those who install them
				c.InstallCRDs(f)
			}
		}
	}
	c.InstallCRDs("../../../examples/kubernetes/crds")
	kubeconfig := c.Kubeconfig(c.AdminToken)
	t.Setenv("KUBECONFIG", kubeconfig)
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	rest.QPS = -1
	cl, err := client.New(rest, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	c.Apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + namespace + "}}\n---\n" +
		"{apiVersion: v1, kind: Pod, metadata: {name: gateway, namespace: " + namespace + ", labels: {app: gateway}}, spec: {nodeName: node, containers: [{name: gateway, image: gateway}]}}\n---\n" +
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: " + class + "}, spec: {controllerName: istio.alibabacloud.com/llm-gateway}}")
	startControllers(t, newNode(t, c), cl)
	gateway.Start(t, gateway.Render(t, config, map[string]any{"Kubeconfig": kubeconfig, "Namespace": namespace, "Network": gatewayNetwork, "Status": gateway.FreePort(t)}))
}

// claimed are the features of Gateway API that the gateway is said to have: the core of the
// profile, and more.
var claimed = []features.FeatureName{
	features.SupportGateway, features.SupportHTTPRoute, features.SupportReferenceGrant,

	features.SupportGatewayAddressEmpty, features.SupportGatewayHTTPSListenerDetectMisdirectedRequests, features.SupportGatewayPort8080,
	features.SupportHTTPRoute303RedirectStatusCode, features.SupportHTTPRoute307RedirectStatusCode, features.SupportHTTPRoute308RedirectStatusCode,
	features.SupportHTTPRouteBackendProtocolH2C, features.SupportHTTPRouteBackendProtocolWebSocket, features.SupportHTTPRouteBackendRequestHeaderModification,
	features.SupportHTTPRouteDestinationPortMatching, features.SupportHTTPRouteHostRewrite, features.SupportHTTPRouteMethodMatching,
	features.SupportHTTPRouteNamedRouteRule, features.SupportHTTPRouteParentRefPort, features.SupportHTTPRoutePathRedirect,
	features.SupportHTTPRoutePathRewrite, features.SupportHTTPRoutePortRedirect, features.SupportHTTPRouteQueryParamMatching,
	features.SupportHTTPRouteResponseHeaderModification, features.SupportHTTPRouteSchemeRedirect,
}

// TestConformance runs both suites on one cluster, with one gateway.
func TestConformance(t *testing.T) {
	lab(t)
	t.Run("gateway-api", func(t *testing.T) {
		report := filepath.Join(t.TempDir(), "report")
		t.Run("suite", func(t *testing.T) { // which writes its report when the test ends
			opts := gatewayapi.DefaultOptions(t)
			opts.ConformanceProfiles, opts.SupportedFeatures = []suite.ConformanceProfileName{suite.GatewayHTTPConformanceProfileName}, claimed
			prepare(&opts, report)
			gatewayapi.RunConformanceWithOptions(t, opts)
		})
		compare(t, report)
	})
	t.Run("inference-extension", func(t *testing.T) {
		report := filepath.Join(t.TempDir(), "report")
		var cs *suite.ConformanceTestSuite
		t.Run("suite", func(t *testing.T) {
			opts := inference.DefaultOptions(t)
			prepare(&opts, report)
			cs = runInference(t, opts)
		})
		made, err := cs.Report()
		if err != nil {
			t.Fatal(err)
		}
		whole := inference.GatewayAPIInferenceExtensionConformanceReport{GatewayAPIInferenceExtensionVersion: version.BundleVersion, ConformanceReport: *made}
		if err := whole.WriteReport(t.Logf, report); err != nil {
			t.Fatal(err)
		}
		compare(t, report)
	})
}

// weighted is a test that first waits for three responses in a row from each pod of two pools,
// one of which gets 30 % of the requests. That takes minutes, and more with bad luck, so one
// response is enough there.
const weighted = "GatewayWeightedAcrossTwoInferencePools"

// runInference is the suite's RunConformanceWithOptions up to the report, which that asks for
// before the suite, in the version of Gateway API that is used here, has one.
func runInference(t *testing.T, opts suite.ConformanceOptions) *suite.ConformanceTestSuite {
	t.Helper()
	required := opts.TimeoutConfig.RequiredConsecutiveSuccesses
	opts.Hook = func(_ *testing.T, test suite.ConformanceTest, s *suite.ConformanceTestSuite) {
		next := 1 + slices.IndexFunc(tests.ConformanceTests, func(other suite.ConformanceTest) bool { return other.ShortName == test.ShortName })
		s.TimeoutConfig.RequiredConsecutiveSuccesses = required
		if next < len(tests.ConformanceTests) && tests.ConformanceTests[next].ShortName == weighted {
			s.TimeoutConfig.RequiredConsecutiveSuccesses = 1
		}
	}
	suite.RegisterConformanceProfile(inference.GatewayLayerProfile)
	cs, err := suite.NewConformanceTestSuite(opts)
	if err != nil {
		t.Fatal(err)
	}
	inference.SetupConformanceTestSuite(t.Context(), t, cs, opts, tests.ConformanceTests)
	if err := cs.Run(t, tests.ConformanceTests); err != nil {
		t.Fatal(err)
	}
	return cs
}

// prepare sets the options that both suites share. A run that fails ends sooner than with the
// suites' own limits, which are minutes.
func prepare(opts *suite.ConformanceOptions, report string) {
	opts.GatewayClassName, opts.RunTest, opts.ReportOutputPath = class, *only, report
	opts.CleanupBaseResources = false // they end with the cluster
	opts.Implementation = confv1.Implementation{
		Organization: "caddy-llm", Project: "gateway", URL: "https://github.com/caddy-llm/gateway", Version: "main",
		Contact: []string{"https://github.com/caddy-llm/gateway/issues"},
	}
	opts.RestConfig.QPS = -1
	limits := &opts.TimeoutConfig
	for _, d := range []*time.Duration{
		&limits.GatewayMustHaveAddress, &limits.GatewayMustHaveCondition, &limits.GWCMustBeAccepted, &limits.GatewayStatusMustHaveListeners, &limits.GatewayListenersMustHaveConditions,
		&limits.HTTPRouteMustNotHaveParents, &limits.HTTPRouteMustHaveCondition, &limits.RouteMustHaveParents, &limits.LatestObservedGenerationSet,
	} {
		*d = time.Minute
	}
	limits.MaxTimeToConsistency = 30 * time.Second // the most that Gateway API's suite permits
}

// compare compares the report with the one that is kept, or writes it. The date does not count.
func compare(t *testing.T, report string) {
	t.Helper()
	if *only != "" {
		return
	}
	got, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	got = regexp.MustCompile(`(?m)^date: .*\n`).ReplaceAll(got, nil)
	kept := filepath.Join("reports", filepath.Base(t.Name())+".yaml")
	if *update {
		if err := os.WriteFile(kept, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the report differs from %s; if that is meant, run the test with -update:\n%s", kept, got)
	}
}
