package pool

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// values is what an endpoint's metrics say of its load.
type values struct {
	any              bool
	waiting, running int64
	cache            int64 // used part of the KV cache, in millionths; -1 if unknown
	adapters         []string
}

// maxAdapters is how many loaded adapters of an endpoint are remembered.
const maxAdapters = 128

// What a metric says.
const (
	saysWaiting = iota
	saysRunning
	saysCache
	saysAdapters
)

// metric is a metric of a server's by name and, for some, a label with its value.
type metric struct {
	name, label string
	says        int
}

// The metrics that are known: those of vLLM (the second name of its cache's use is that
// of its versions before 0.10), SGLang, TensorRT-LLM serve, and Triton with TensorRT-LLM.
var metrics = []metric{
	{name: "vllm:num_requests_waiting", says: saysWaiting},
	{name: "vllm:num_requests_running", says: saysRunning},
	{name: "vllm:kv_cache_usage_perc", says: saysCache},
	{name: "vllm:gpu_cache_usage_perc", says: saysCache},
	{name: "vllm:lora_requests_info", says: saysAdapters},
	{name: "sglang:num_queue_reqs", says: saysWaiting},
	{name: "sglang:num_running_reqs", says: saysRunning},
	{name: "sglang:token_usage", says: saysCache},
	{name: "trtllm_num_requests_waiting", says: saysWaiting},
	{name: "trtllm_num_requests_running", says: saysRunning},
	{name: "trtllm_kv_cache_utilization", says: saysCache},
	{"nv_trt_llm_request_metrics", `request_type="waiting"`, saysWaiting},
	{"nv_trt_llm_request_metrics", `request_type="scheduled"`, saysRunning},
	{"nv_trt_llm_kv_cache_block_metrics", `kv_cache_block_type="fraction"`, saysCache},
}

// initials are the first bytes of the metrics' names.
const initials = "vstn"

// readValues reads a document in Prometheus' text format. A server may have a line for
// each of its models or engines: queues are added up, and of the caches the fullest one
// counts. What cannot be read is passed over.
func readValues(doc []byte) (v values) {
	v.cache = -1
	newest := math.Inf(-1)
	for len(doc) > 0 {
		line := doc
		if i := bytes.IndexByte(doc, '\n'); i >= 0 {
			line, doc = doc[:i], doc[i+1:]
		} else {
			doc = nil
		}
		if len(line) == 0 || strings.IndexByte(initials, line[0]) < 0 {
			continue
		}
		v.line(line, &newest)
	}
	return v
}

// line reads a line that may be one of the metrics.
func (v *values) line(line []byte, newest *float64) {
	end := bytes.IndexAny(line, "{ \t")
	if end < 0 {
		return
	}
	for i := range metrics {
		m := &metrics[i]
		if string(line[:end]) != m.name {
			continue
		}
		labels, number, ok := splitLine(line[end:])
		if !ok || m.label != "" && !bytes.Contains(labels, []byte(m.label)) {
			continue
		}
		v.any = true
		switch m.says {
		case saysWaiting:
			v.waiting += count(number)
		case saysRunning:
			v.running += count(number)
		case saysCache:
			v.cache = max(v.cache, int64(min(number, 1)*1e6))
		case saysAdapters: // one line for each set of adapters there ever was; the value is when
			if number >= *newest {
				*newest = number
				v.adapters = adaptersIn(labels)
			}
		}
		return
	}
}

// splitLine takes a line behind the name apart. Numbers below 0 are none.
func splitLine(rest []byte) (labels []byte, number float64, ok bool) {
	if rest[0] == '{' {
		end := endOfLabels(rest)
		if end < 0 {
			return nil, 0, false
		}
		labels, rest = rest[1:end], rest[end+1:]
	}
	fields := bytes.TrimLeft(rest, " \t")
	if i := bytes.IndexAny(fields, " \t\r"); i >= 0 { // a time may follow
		fields = fields[:i]
	}
	number, err := strconv.ParseFloat(string(fields), 64)
	return labels, number, err == nil && number >= 0
}

// endOfLabels returns where the labels end: a brace in quotes is text.
func endOfLabels(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			i++
		case b[i] == '"':
			quoted = !quoted
		case b[i] == '}' && !quoted:
			return i
		}
	}
	return -1
}

// count is a number of requests.
func count(number float64) int64 { return int64(min(number, 1e6)) }

// adaptersIn returns the adapters that a line of vllm:lora_requests_info names as
// loaded.
func adaptersIn(labels []byte) []string {
	const name = `running_lora_adapters="`
	i := bytes.Index(labels, []byte(name))
	if i < 0 {
		return nil
	}
	list := string(labels[i+len(name):])
	if i = strings.IndexByte(list, '"'); i >= 0 {
		list = list[:i]
	}
	var out []string
	for adapter := range strings.SplitSeq(list, ",") {
		if adapter = strings.TrimSpace(adapter); adapter != "" && len(adapter) <= 256 && len(out) < maxAdapters {
			out = append(out, adapter)
		}
	}
	return out
}
