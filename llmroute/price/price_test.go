package price

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/internal/livefile"
	"github.com/caddy-llm/gateway/llmprovider"
)

const somePrices = `# list prices
currency: USD
prices:
  - {model: "*", input: 9, output: 9}
  - {model: gpt-4o*, input: 2.50, cached: 1.25, output: 10.00}
  - {model: gpt-4o-mini*, input: 0.15, cached: 0.075, output: 0.60}
  - {model: gpt-4o, input: 5, output: 15}
  - {model: gpt-4o, from: 2026-03-01, input: 2.5, output: 10}
  - {model: gpt-4o, from: 2026-05-01T12:00:00Z, input: 2, output: 8}
  - {model: o*, provider: batch, input: 1, output: 4, reasoning: 3}
  - {model: gpt-4o, provider: api.openai.com, from: 2026-06-01, input: 7, output: 7}
`

func parseSome(t testing.TB, text string) *Table {
	t.Helper()
	table, err := parsePrices("dir/prices.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestPriceInForce(t *testing.T) {
	table := parseSome(t, somePrices)
	for _, tc := range []struct {
		name, provider, host, model, at string
		line                            int // of the price, 0 for none
	}{
		{"an exact model", "openai", "x", "gpt-4o", "2026-02-01T00:00:00Z", 7},
		{"the moment before a date", "openai", "x", "gpt-4o", "2026-02-28T23:59:59.999Z", 7},
		{"the date's midnight", "openai", "x", "gpt-4o", "2026-03-01T00:00:00Z", 8},
		{"that midnight elsewhere", "openai", "x", "gpt-4o", "2026-03-01T00:00:00+08:00", 7},
		{"the moment before a time", "openai", "x", "gpt-4o", "2026-05-01T11:59:59Z", 8},
		{"a time", "openai", "x", "gpt-4o", "2026-05-01T12:00:00Z", 9},
		{"a wildcard", "openai", "x", "gpt-4o-2024-08-06", "2026-02-01T00:00:00Z", 5},
		{"a longer wildcard", "openai", "x", "gpt-4o-mini-2024-07-18", "2026-02-01T00:00:00Z", 6},
		{"what the wildcard begins with", "openai", "x", "gpt-4o-mini", "2026-02-01T00:00:00Z", 6},
		{"anything else", "openai", "x", "other", "2026-02-01T00:00:00Z", 4},
		{"another case is another model", "openai", "x", "GPT-4o", "2026-02-01T00:00:00Z", 4},
		{"for the provider by name", "batch", "x", "o3", "2026-02-01T00:00:00Z", 10},
		{"for another provider", "openai", "x", "o3", "2026-02-01T00:00:00Z", 4},
		{"for the provider by host", "mine", "api.openai.com", "gpt-4o", "2026-06-01T00:00:00Z", 11},
		{"for the provider, but not yet", "mine", "api.openai.com", "gpt-4o", "2026-05-31T23:59:59Z", 9},
		{"no model", "openai", "x", "", "2026-02-01T00:00:00Z", 0},
	} {
		at, err := time.Parse(time.RFC3339, tc.at)
		if err != nil {
			t.Fatal(err)
		}
		line := 0
		if p := table.Find(tc.provider, tc.host, tc.model, at); p != nil {
			line = p.line
		}
		if line != tc.line {
			t.Errorf("%s: the price in line %d, want %d", tc.name, line, tc.line)
		}
	}
	if p := parseSome(t, "currency: EUR\nprices:\n  - {model: a, from: 2026-01-02, input: 1, output: 1}\n").Find("p", "h", "a", time.Unix(0, 0)); p != nil {
		t.Error("a price is in force before its date")
	}
}

func TestCost(t *testing.T) {
	for _, tc := range []struct {
		name, price string
		usage       llmprovider.Usage
		want        string // empty for beyond every number
	}{
		{"a million each", "input: 2.50, output: 10", llmprovider.Usage{PromptTokens: 1e6, CompletionTokens: 1e6}, "12.5"},
		{"some cached", "input: 2.50, cached: 1.25, output: 10", llmprovider.Usage{PromptTokens: 1000, CachedTokens: 400, CompletionTokens: 100}, "0.003"},
		{"cached at the input's price", "input: 2.50, output: 10", llmprovider.Usage{PromptTokens: 1000, CachedTokens: 400, CompletionTokens: 100}, "0.0035"},
		{"some written to the cache", "input: 3, cached: 0.3, cache_write: 3.75, output: 15", llmprovider.Usage{PromptTokens: 2412, CachedTokens: 2387, CacheWriteTokens: 9}, "0.00079785"},
		{"written at the input's price", "input: 3, cached: 0.3, output: 15", llmprovider.Usage{PromptTokens: 2412, CachedTokens: 2387, CacheWriteTokens: 9}, "0.0007911"},
		{"more written than there are", "input: 1, cached: 0.5, cache_write: 2, output: 4", llmprovider.Usage{PromptTokens: 10, CachedTokens: 4, CacheWriteTokens: 20}, "0.000014"},
		{"some reasoning", "input: 1, output: 4, reasoning: 3", llmprovider.Usage{CompletionTokens: 30, ReasoningTokens: 10}, "0.00011"},
		{"more cached than there are", "input: 1, cached: 0.5, output: 4", llmprovider.Usage{PromptTokens: 10, CachedTokens: 20}, "0.000005"},
		{"one token", "input: 0.15, output: 0.6", llmprovider.Usage{PromptTokens: 1}, "0.00000015"},
		{"half of a billionth", "input: 0.0005, output: 0", llmprovider.Usage{PromptTokens: 1}, "0.000000001"},
		{"less than half", "input: 0.000499, output: 0", llmprovider.Usage{PromptTokens: 1}, "0"},
		{"free", "input: 0, output: 0", llmprovider.Usage{PromptTokens: 1e6, CompletionTokens: 1e6}, "0"},
		{"a lot", "input: 9999999.999999, output: 0", llmprovider.Usage{PromptTokens: 1e9}, "9999999999.999"},
		{"beyond every number", "input: 9999999, output: 9999999", llmprovider.Usage{PromptTokens: 1 << 40, CompletionTokens: 1 << 40}, ""},
	} {
		p := parseSome(t, "currency: USD\nprices:\n  - {model: a, "+tc.price+"}\n").Find("p", "h", "a", time.Now())
		got := ""
		if cost, ok := p.Cost(&tc.usage); ok {
			got = (&Charges{Nano: cost}).Amount()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestPricesFileMistakes(t *testing.T) {
	const entry = "currency: USD\nprices:\n  - model: a\n    input: 1\n    output: 2\n"
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", ":1: the file is empty"},
		{"a comment", "# prices\n", ":1: the file is empty"},
		{"no YAML", "currency: USD\nprices: [\n", ": this is not YAML"},
		{"a list", "- a\n", ":1: expected members such as currency"},
		{"no currency", "prices: []\n", ":1: currency is missing"},
		{"a currency's sign", "\ncurrency: $\n", ":2: currency is missing or no code"},
		{"no prices", "currency: USD\n", ":1: prices is missing or no list"},
		{"an unknown member", "currency: USD\nprice: []\n", `:2: unknown member "price"; expected one of currency, prices`},
		{"an unknown member of a price", entry + "    inptu: 2\n", `:6: unknown member "inptu"; expected one of model, provider, from, input, cached, cache_write, output, reasoning`},
		{"a member twice", entry + "    input: 2\n", ":6: input is given twice"},
		{"no model", "currency: USD\nprices:\n  - input: 1\n    output: 2\n", ":3: the price has no model"},
		{"an empty model", "currency: USD\nprices:\n  - model:\n    input: 1\n    output: 2\n", ":3: model is no name"},
		{"a wildcard inside", strings.Replace(entry, "model: a", "model: a*b", 1), `:3: the model "a*b" has a * that is not at its end`},
		{"no output", "currency: USD\nprices:\n  - model: a\n    input: 1\n", ":3: the price has no output"},
		{"a negative price", entry + "    cached: -1\n", ":6: cached is no price"},
		{"a price with a currency", entry + "    cached: 1 USD\n", ":6: cached is no price"},
		{"an exponent", entry + "    cached: 1e3\n", ":6: cached is no price"},
		{"too many digits", entry + "    cached: 0.0000001\n", ":6: cached is no price"},
		{"too much", entry + "    cached: 10000000\n", ":6: cached is no price"},
		{"a list of prices", entry + "    cached: [1]\n", ":6: cached is no price"},
		{"a reference", "currency: USD\nprices:\n  - model: &m a\n    input: 1\n    output: 2\n  - model: *m\n", ":6: model is a reference"},
		{"no date", entry + "    from: soon\n", ":6: from is no date"},
		{"a day that is not", entry + "    from: 2026-02-30\n", ":6: from is no date"},
		{"a price twice", entry + "  - {model: a, input: 3, output: 4}\n", ":6: line 3 has a price of the same model, provider and date"},
		{"a second document", entry + "---\n" + entry, ":1: there is a second document"},
	} {
		_, err := parsePrices("dir/prices.yaml", []byte(tc.text))
		if err == nil || !strings.HasPrefix(err.Error(), "dir/prices.yaml:") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: the error is %v, want %s", tc.name, err, tc.want)
		}
	}
}

func FuzzParsePrices(f *testing.F) {
	f.Add([]byte(somePrices))
	f.Add([]byte("currency: &a USD\nprices: [*a, {model: *a}, [], {}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := parsePrices("prices", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "prices:") {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		if p := table.Find("p", "h", "gpt-4o", time.Now()); p != nil {
			p.Cost(&llmprovider.Usage{PromptTokens: 1 << 40, CompletionTokens: 1 << 40})
		}
	})
}

func TestPricesFileFollowsChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.yaml")
	write := func(input string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("currency: USD\nprices:\n  - {model: a, input: "+input+", output: 0}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	core, logs := observer.New(zapcore.DebugLevel)
	kind := *File
	kind.Refresh = time.Nanosecond
	f, err := livefile.Open(path, &kind, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		input string
		want  uint64
		log   string
	}{
		{"2", 2_000_000, "prices file changed"},
		{"two", 2_000_000, "prices file is invalid; keeping the last valid version"},
		{"3", 3_000_000, "prices file changed"},
	} {
		write(tc.input)
		if got := f.Get().Find("p", "h", "a", time.Now()).input; got != tc.want {
			t.Errorf("input: %s: got %d", tc.input, got)
		}
		if all := logs.TakeAll(); len(all) != 1 || all[0].Message != tc.log {
			t.Errorf("input: %s: logged %v", tc.input, all)
		}
	}
}
