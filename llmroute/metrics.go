package llmroute

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// The names of all metrics, in one place because the OpenTelemetry GenAI
// conventions, which the last four follow, still move. The first two are the
// documented names of LLM traffic metrics in Alibaba Cloud Service Mesh.
const (
	metricPromptTokens     = "asm_llm_proxy_prompt_tokens"
	metricCompletionTokens = "asm_llm_proxy_completion_tokens"
	metricAttempts         = "llm_attempts_total"
	metricUsageMissing     = "llm_usage_missing_total"
	metricRefused          = "llm_refused_total"
	metricFallbacks        = "llm_fallbacks_total"
	metricTranslated       = "llm_translated_total"
	metricTranslationLoss  = "llm_translation_loss_total"
	metricCoolDowns        = "llm_cool_downs_total"
	metricCooling          = "llm_provider_cooling"
	metricInFlight         = "llm_attempts_in_flight"
	metricPoolEndpoints    = "llm_pool_endpoints"
	metricPoolCooling      = "llm_pool_endpoints_cooling"
	metricPoolChoices      = "llm_pool_choices_total"
	metricPoolRetries      = "llm_pool_retries_total"
	metricPickerFailures   = "llm_pool_picker_failures_total"
	metricPoolScrapes      = "llm_pool_scrapes_total"
	metricPoolRequests     = "llm_pool_endpoint_requests_total"
	metricPoolFailures     = "llm_pool_endpoint_failures_total"
	metricPoolInFlight     = "llm_pool_endpoint_in_flight"
	metricPoolWaiting      = "llm_pool_endpoint_waiting"
	metricPoolRunning      = "llm_pool_endpoint_running"
	metricPoolCache        = "llm_pool_endpoint_cache_usage_ratio"
	metricBodiesHeld       = "llm_bodies_held_bytes"
	metricBodiesLimit      = "llm_bodies_limit_bytes"
	metricOverhead         = "llm_overhead_seconds"
	metricCost             = "llm_cost_total"
	metricCostUnknown      = "llm_cost_unknown_total"
	metricSnapshots        = "llm_snapshots_total"
	metricSnapshotTime     = "llm_snapshot_timestamp_seconds"
	metricObjects          = "llm_source_objects"
	metricFindings         = "llm_source_findings"
	metricDenied           = "llm_authz_denied_total"
	metricCaptured         = "llm_captured_connections_total"
	metricReady            = "llm_ready"
	metricWorkload         = "llm_workload_info"
	metricBuild            = "llm_build_info"

	metricLimitAdmitted     = "llm_limit_admitted_total"
	metricLimitRefused      = "llm_limit_refused_total"
	metricLimitWouldRefuse  = "llm_limit_would_refuse_total"
	metricLimitUsageMissing = "llm_limit_usage_missing_total"
	metricLimitSpent        = "llm_limit_spent_total"
	metricLimitReserved     = "llm_limit_reserved"
	metricLimitOverrun      = "llm_limit_overrun_total"
	metricLimitLeased       = "llm_limit_leased"
	metricLimitUsedRatio    = "llm_limit_used_ratio"
	metricLimitStoreErrors  = "llm_limit_store_errors_total"
	metricLimitStoreDown    = "llm_limit_store_down"

	metricGuard = "llm_guard_total"

	metricDuration       = "gen_ai_client_operation_duration_seconds"
	metricFirstToken     = "gen_ai_server_time_to_first_token_seconds"
	metricPerOutputToken = "gen_ai_server_time_per_output_token_seconds"
	metricTokenUsage     = "gen_ai_client_token_usage"
)

const (
	// errorInside is what an answer is counted and logged as in which the provider
	// reports an error after it has begun.
	errorInside = "provider_error"
	// errorClientGone is what a request is counted as whose client left.
	errorClientGone = "client_gone"
)

var (
	durationBuckets = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	tokenBuckets    = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304}
	firstBuckets    = [...]float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	perTokenBuckets = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
	overheadBuckets = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1}
)

// collectors holds the collectors of the process: they count on through
// reloads, and every configuration's registry gets the same ones.
var collectors = caddy.NewUsagePool()

// metrics are the collectors and the workload they are labelled with.
type metrics struct {
	promptTokens, completionTokens *prometheus.CounterVec
	attempts, usageMissing         *prometheus.CounterVec
	refused, fallbacks, denied     *prometheus.CounterVec
	captured                       *prometheus.CounterVec
	translations, translationLoss  *prometheus.CounterVec
	guards                         *prometheus.CounterVec
	duration, firstToken, perToken *prometheus.HistogramVec
	tokenUsage, overhead           *prometheus.HistogramVec
	costUnknown                    *prometheus.CounterVec
	costs                          *costCollector
	source                         sourceMetrics

	identity  atomic.Pointer[Identity]
	snapshots atomic.Uint64 // that were in use so far

	names modelNames

	began   time.Time // when counting did
	endings endings
	history history
	started sync.Map // *App to nothing: those whose requests may still be open
}

// acquireMetrics returns the collectors, registered with the registry. They are
// never given back: a counter must not start again.
func acquireMetrics(registry *prometheus.Registry) (*metrics, error) {
	value, _ := collectors.LoadOrStore("llm", newMetrics())
	m := value.(*metrics)
	for _, c := range []prometheus.Collector{m.promptTokens, m.completionTokens, m.attempts, m.usageMissing, m.duration, m.firstToken, m.perToken, m.tokenUsage,
		m.denied, m.refused, m.fallbacks, m.captured, m.overhead, m.source.snapshots, m.source.since, m.source.objects, m.source.findings, stateCollector{}, poolCollector{},
		m.costs, m.costUnknown, m.translations, m.translationLoss, m.guards} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

func newMetrics() *metrics {
	documented := []string{"llmproxy_source_workload", "llmproxy_source_workload_namespace", "llmproxy_destination_service", "llmproxy_model"}
	genAI := []string{"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "server_address", "rule"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, append(genAI[:len(genAI):len(genAI)], labels...))
	}
	m := &metrics{
		began:            time.Now(),
		promptTokens:     counter(metricPromptTokens, "Input tokens that providers reported.", documented...),
		completionTokens: counter(metricCompletionTokens, "Output tokens that providers reported.", documented...),
		attempts:         counter(metricAttempts, "Attempts by their outcome: an HTTP status, or the code of the gateway's own error.", "provider", "rule", "outcome"),
		usageMissing:     counter(metricUsageMissing, "Answers that reported no usage, or broke off before.", "provider", "gen_ai_operation_name", "reason"),
		refused:          counter(metricRefused, "Requests that the gateway answered with an error of its own.", "rule", "code"),
		fallbacks:        counter(metricFallbacks, "Requests that moved on from a provider to another one.", "rule", "from", "to"),
		denied:           counter(metricDenied, "Requests that policies did not let pass, by the policy and its rule.", "policy", "rule"),
		captured:         counter(metricCaptured, "Connections that were led to a sidecar, and tunnels through it, by what became of them and why.", "outcome", "reason"),
		translations:     counter(metricTranslated, "Attempts whose request was translated, by the client's API and the provider's.", "from", "to"),
		translationLoss:  counter(metricTranslationLoss, "Fields of translated requests that the provider was not told, or was told otherwise.", "from", "to", "field", "class"),
		guards:           counter(metricGuard, "What guards did about requests and responses, by what they found.", "guard", "direction", "action", "category"),
		duration:         histogram(metricDuration, "Time from the request to the end of its answer.", durationBuckets, "error_type"),
		firstToken:       histogram(metricFirstToken, "Time from the request to the first event with content of its streamed response.", firstBuckets[:]),
		perToken:         histogram(metricPerOutputToken, "Time for each output token after the first of a streamed answer.", perTokenBuckets),
		tokenUsage:       histogram(metricTokenUsage, "Tokens of an answer, by type.", tokenBuckets, "gen_ai_token_type"),
		overhead: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metricOverhead, Help: "Time from the request to the head of its answer, less the time that the request's body and the providers took.", Buckets: overheadBuckets,
		}, []string{"provider", "rule"}),
		costs:       new(costCollector),
		costUnknown: counter(metricCostUnknown, "Answers with usage that have no price.", "client", "model", "provider", "rule"),
		source:      newSourceMetrics(),
	}
	m.identity.Store(new(Identity))
	return m
}

// identify sets the workload that counts are labelled with from now on.
func (m *metrics) identify(id Identity) {
	if old := m.identity.Load(); old.Namespace != id.Namespace || old.Workload != id.Workload {
		m.identity.Store(&id)
	}
}
