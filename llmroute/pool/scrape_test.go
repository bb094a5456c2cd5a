package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func TestReadValues(t *testing.T) {
	for _, tc := range []struct {
		name, doc string
		want      values
	}{
		{"vLLM", `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 7.0
vllm:num_requests_waiting_total{engine="0"} 99
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:lora_requests_info{max_lora="4",running_lora_adapters="old",waiting_lora_adapters=""} 1.7e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql, fr",waiting_lora_adapters="de"} 1.8e+09
`, values{true, 7, 3, 250_000, []string{"sql", "fr"}}},
		{"engines are added up, the fullest cache counts", "vllm:num_requests_waiting{engine=\"0\"} 1\nvllm:num_requests_waiting{engine=\"1\"} 2\n" +
			"vllm:kv_cache_usage_perc{engine=\"0\"} 0.5\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.2", values{true, 3, 0, 500_000, nil}},
		{"vLLM before 0.10", "vllm:gpu_cache_usage_perc 1", values{true, 0, 0, 1_000_000, nil}},
		{"SGLang", "sglang:num_queue_reqs{model_name=\"m\"} 4\nsglang:num_running_reqs{model_name=\"m\"} 5\nsglang:token_usage{model_name=\"m\"} 0.28\n", values{true, 4, 5, 280_000, nil}},
		{"TensorRT-LLM", "trtllm_num_requests_waiting 1\r\ntrtllm_num_requests_running 2\r\ntrtllm_kv_cache_utilization 0.5\r\n", values{true, 1, 2, 500_000, nil}},
		{"Triton", `nv_trt_llm_request_metrics{model="m",request_type="waiting",version="1"} 2
nv_trt_llm_request_metrics{model="m",request_type="scheduled",version="1"} 6
nv_trt_llm_request_metrics{model="m",request_type="context",version="1"} 50
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="m"} 0.75
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="m"} 6239`, values{true, 2, 6, 750_000, nil}},
		{"a brace and a quote in a label", `vllm:num_requests_waiting{model_name="a}\"} 9"} 2 1700000000000`, values{true, 2, 0, -1, nil}},
		{"what cannot be read", "vllm:num_requests_waiting\nvllm:num_requests_waiting{\nvllm:num_requests_waiting NaN\nvllm:num_requests_running -1\nvllm:kv_cache_usage_perc x\n", values{cache: -1}},
		{"more than there can be", "vllm:num_requests_waiting +Inf\nvllm:kv_cache_usage_perc 7", values{true, 1_000_000, 0, 1_000_000, nil}},
		{"others", "go_goroutines 5\nvllm:e2e_request_latency_seconds_sum 3\n", values{cache: -1}},
		{"nothing", "", values{cache: -1}},
	} {
		if got := readValues([]byte(tc.doc)); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func FuzzReadValues(f *testing.F) {
	f.Add("vllm:num_requests_waiting{engine=\"0\"} 1\n")
	f.Add("vllm:lora_requests_info{running_lora_adapters=\"a,b\"} 1\nnv_trt_llm_request_metrics{request_type=\"waiting\"} 2")
	f.Fuzz(func(t *testing.T, doc string) {
		v := readValues([]byte(doc))
		if v.waiting < 0 || v.running < 0 || v.cache < -1 || v.cache > 1e6 || len(v.adapters) > maxAdapters {
			t.Errorf("%+v", v)
		}
	})
}

// answers is what the endpoints of a test say, by address.
type answers map[string]func() (*http.Response, error)

func (a answers) scrape(_ context.Context, address string) (*http.Response, error) {
	return a[address]()
}

func said(status int, text string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text))}, nil
	}
}

func TestScrapeOnlyWhileUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var good, bad atomic.Int64
		a := answers{
			"good:1": func() (*http.Response, error) {
				good.Add(1)
				return said(200, "vllm:num_requests_waiting 4\n")()
			},
			"bad:1":   func() (*http.Response, error) { bad.Add(1); return nil, errors.New("refused") },
			"other:1": said(404, "vllm:num_requests_waiting 9\n"),
			"long:1":  said(200, strings.Repeat("# text\n", maxScrape/7+10)+"vllm:num_requests_waiting 9\n"),
		}
		p := New(new(Registry), Options{Addresses: []string{"good:1", "bad:1", "other:1", "long:1"}, Scrape: a.scrape, Logger: zap.NewNop()})
		defer p.Close()
		p.Start()
		time.Sleep(time.Minute)
		if good.Load() != 0 {
			t.Fatal("an unused pool is scraped")
		}
		use := func() {
			v := p.Visit(false)
			if _, ok := v.Next(t.Context(), time.Now()); !ok {
				t.Fatal("no endpoint")
			}
			v.Done()
		}
		for range 30 {
			use()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := good.Load(); n < 29 || n > 32 {
			t.Errorf("scraped %d times in 30 s", n)
		}
		if n := bad.Load(); n > 6 {
			t.Errorf("an endpoint that does not answer is scraped %d times in 30 s", n)
		}
		view := p.View(time.Now(), 10)
		for _, row := range view.Rows {
			if want := row.Address == "good:1"; (row.Load != nil) != want || want && row.Load.Waiting != 4 {
				t.Errorf("%s has %+v", row.Address, row.Load)
			}
		}
		time.Sleep(time.Minute)
		before := good.Load()
		time.Sleep(time.Minute)
		if good.Load() != before {
			t.Error("a pool that is not used any more is scraped")
		}
		if view := p.View(time.Now(), 10); view.Rows[0].Load != nil || view.Rows[1].Load != nil {
			t.Error("old values are shown")
		}
		use()
		synctest.Wait()
		if good.Load() == before {
			t.Error("a pool that is used again is not scraped")
		}
	})
}

// vllmMetrics is about what a server with one model says.
func vllmMetrics() string {
	var b strings.Builder
	for _, name := range []string{"time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds", "request_prompt_tokens", "iteration_tokens_total"} {
		fmt.Fprintf(&b, "# HELP vllm:%s Histogram.\n# TYPE vllm:%s histogram\n", name, name)
		for i := range 25 {
			fmt.Fprintf(&b, "vllm:%s_bucket{engine=\"0\",le=\"%d.0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} %d.0\n", name, i, i*3)
		}
	}
	for i := range 60 {
		fmt.Fprintf(&b, "python_gc_objects_collected_total{generation=\"%d\"} 1234.0\n", i)
	}
	b.WriteString("vllm:num_requests_running{engine=\"0\"} 3.0\nvllm:num_requests_waiting{engine=\"0\"} 7.0\nvllm:kv_cache_usage_perc{engine=\"0\"} 0.25\n")
	return b.String()
}

// BenchmarkScrape is one endpoint's answer, connection included. 100 of them a second
// are to take less than 1 % of a core: less than 100 µs each.
func BenchmarkScrape(b *testing.B) {
	text := vllmMetrics()
	b.Run("read", func(b *testing.B) {
		doc := []byte(text)
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			readValues(doc)
		}
	})
	b.Run("fetch", func(b *testing.B) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer listener.Close()
		go serveText(listener, text)
		transport := new(http.Transport)
		p := New(new(Registry), Options{Addresses: []string{listener.Addr().String()}, Logger: zap.NewNop(), Scrape: func(ctx context.Context, address string) (*http.Response, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
			if err != nil {
				return nil, err
			}
			return transport.RoundTrip(r)
		}})
		defer p.Close()
		b.ReportAllocs()
		began := cpuTime()
		n := 0
		for b.Loop() {
			p.scrapeAll()
			n++
		}
		b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/float64(n), "cpu-ns/op")
		if p.registry.unread.Load() > 0 {
			b.Error("some responses were not read")
		}
	})
}

// serveText says the same to every request, at as little cost as a server can have.
func serveText(listener net.Listener, text string) {
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 4<<10)
			for {
				if n, err := conn.Read(buf); err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
					return
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

// cpuTime is what the process has used of the CPU.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
