// Package meter counts, prices and traces what became of requests, and says what logs tell
// of it. Its input is an Outcome, by reference; it knows nothing of how requests are served.
//
// It imports the packages whose state metrics show (cache, cooldown, guard, limit, pool), and
// price, authz and httproute for what an Outcome is made of. Begin with Outcome, then Metrics.
package meter

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/guard"
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
	metricHandled          = "llm_service_requests_total"
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

	metricCacheRequests    = "llm_cache_requests_total"
	metricCacheBypassed    = "llm_cache_bypassed_total"
	metricCacheStored      = "llm_cache_stored_total"
	metricCacheSavedTokens = "llm_cache_saved_tokens_total"
	metricCacheSavedCost   = "llm_cache_saved_cost_total"
	metricCacheEntries     = "llm_cache_entries"
	metricCacheBytes       = "llm_cache_bytes"
	metricCacheBytesLimit  = "llm_cache_bytes_limit"
	metricCacheEvicted     = "llm_cache_evicted_total"
	metricCacheStoreErrors = "llm_cache_store_errors_total"
	metricCacheStoreDown   = "llm_cache_store_down"

	metricDuration       = "gen_ai_client_operation_duration_seconds"
	metricFirstToken     = "gen_ai_server_time_to_first_token_seconds"
	metricPerOutputToken = "gen_ai_server_time_per_output_token_seconds"
	metricTokenUsage     = "gen_ai_client_token_usage"
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

// Metrics are the collectors and the workload they are labelled with.
type Metrics struct {
	promptTokens, completionTokens *prometheus.CounterVec
	attempts, usageMissing         *prometheus.CounterVec
	refused, fallbacks, denied     *prometheus.CounterVec
	captured, handled              *prometheus.CounterVec
	translations, translationLoss  *prometheus.CounterVec
	guards                         *prometheus.CounterVec
	guardActs                      guardActs // for the status page
	cache                          cache.Stats
	duration, firstToken, perToken *prometheus.HistogramVec
	tokenUsage, overhead           *prometheus.HistogramVec
	costUnknown                    *prometheus.CounterVec
	costs                          *costCollector
	source                         sourceMetrics

	workload  atomic.Pointer[Workload]
	snapshots atomic.Uint64 // that were in use so far

	names modelNames

	began   time.Time // when counting did
	endings endings
	history history
}

// Workload is the workload that the gateway acts for.
type Workload struct{ Namespace, Name string }

// Acquire returns the collectors of the process, registered with the registry. They are
// never given back: a counter must not start again.
func Acquire(registry *prometheus.Registry) (*Metrics, error) {
	value, _ := collectors.LoadOrStore("llm", newMetrics())
	m := value.(*Metrics)
	for _, c := range []prometheus.Collector{m.promptTokens, m.completionTokens, m.attempts, m.usageMissing, m.duration, m.firstToken, m.perToken, m.tokenUsage,
		m.denied, m.refused, m.fallbacks, m.captured, m.handled, m.overhead, m.source.snapshots, m.source.since, m.source.objects, m.source.findings, stateCollector{}, poolCollector{},
		m.costs, m.costUnknown, m.translations, m.translationLoss, m.guards} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

func newMetrics() *Metrics {
	documented := []string{"llmproxy_source_workload", "llmproxy_source_workload_namespace", "llmproxy_destination_service", "llmproxy_model"}
	genAI := []string{"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "server_address", "rule"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, append(genAI[:len(genAI):len(genAI)], labels...))
	}
	m := &Metrics{
		began:            time.Now(),
		promptTokens:     counter(metricPromptTokens, "Input tokens that providers reported.", documented...),
		completionTokens: counter(metricCompletionTokens, "Output tokens that providers reported.", documented...),
		attempts:         counter(metricAttempts, "Attempts by their outcome: an HTTP status, or the code of the gateway's own error.", "provider", "rule", "outcome"),
		usageMissing:     counter(metricUsageMissing, "Responses that reported no usage, or broke off before.", "provider", "gen_ai_operation_name", "reason"),
		refused:          counter(metricRefused, "Requests that the gateway answered with an error of its own.", "rule", "code"),
		fallbacks:        counter(metricFallbacks, "Requests that moved on from a provider to another one.", "rule", "from", "to"),
		denied:           counter(metricDenied, "Requests that policies did not let pass, by the policy and its rule.", "policy", "rule"),
		captured:         counter(metricCaptured, "Connections that were led to a sidecar, and tunnels through it, by what became of them and why.", "outcome", "reason"),
		handled:          counter(metricHandled, "Requests that rules passed to Services as they are, and other responses of rules without providers, by status.", "service", "rule", "code"),
		translations:     counter(metricTranslated, "Attempts whose request was translated, by the client's API and the provider's.", "from", "to"),
		translationLoss:  counter(metricTranslationLoss, "Fields of translated requests that the provider was not told, or was told otherwise.", "from", "to", "field", "class"),
		guards:           counter(metricGuard, "What guards did about requests and responses, by what they found.", "guard", "direction", "action", "category"),
		duration:         histogram(metricDuration, "Time from the request to the end of its response.", durationBuckets, "error_type"),
		firstToken:       histogram(metricFirstToken, "Time from the request to the first event with content of its streamed response.", firstBuckets[:]),
		perToken:         histogram(metricPerOutputToken, "Time for each output token after the first of a streamed response.", perTokenBuckets),
		tokenUsage:       histogram(metricTokenUsage, "Tokens of a response, by type.", tokenBuckets, "gen_ai_token_type"),
		overhead: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metricOverhead, Help: "Time from the request to the head of its response, less the time that the request's body and the providers took.", Buckets: overheadBuckets,
		}, []string{"provider", "rule"}),
		costs:       new(costCollector),
		costUnknown: counter(metricCostUnknown, "Answers with usage that have no price.", "client", "model", "provider", "rule"),
		source:      newSourceMetrics(),
	}
	m.workload.Store(new(Workload))
	return m
}

// Identify sets the workload that counts are labelled with from now on.
func (m *Metrics) Identify(w Workload) {
	if *m.workload.Load() != w {
		m.workload.Store(&w)
	}
}

// Workload returns the workload that counts are labelled with. It is not to be changed.
func (m *Metrics) Workload() *Workload { return m.workload.Load() }

// NextSnapshot returns the number of a snapshot that is put in use, in their order.
func (m *Metrics) NextSnapshot() uint64 { return m.snapshots.Add(1) }

// CacheStats returns what caches count.
func (m *Metrics) CacheStats() *cache.Stats { return &m.cache }

// Denied counts a request that a policy does not let pass, by the policy's rule from 0, which
// is negative where none decided.
func (m *Metrics) Denied(policy string, rule int) {
	number := ""
	if rule >= 0 {
		number = strconv.Itoa(rule)
	}
	m.denied.WithLabelValues(policy, number).Inc()
}

// Captured counts a connection that was led to a sidecar, by what became of it and why.
func (m *Metrics) Captured(outcome, reason string) {
	m.captured.WithLabelValues(outcome, reason).Inc()
}

// FellBack counts a request that moves on from a provider to another one.
func (m *Metrics) FellBack(rule, from, to string) {
	m.fallbacks.WithLabelValues(rule, from, to).Inc()
}

// Guarded counts what a guard did about a request or a response.
func (m *Metrics) Guarded(name, direction string, action guard.Action, category string) {
	m.guards.WithLabelValues(name, direction, string(action), category).Inc()
	m.guardActs.add(name, action)
}

// GuardActs returns how often a guard did something, by what it did.
func (m *Metrics) GuardActs(name string) map[guard.Action]uint64 { return m.guardActs.of(name) }
