package tap

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/jsontest"
	"github.com/caddy-llm/gateway/llmprovider"
)

// usageShapes are usage objects as providers document them, with what they mean.
var usageShapes = []struct {
	name      string
	operation llmprovider.Operation
	usage     string
	want      llmprovider.Usage
}{
	{"OpenAI chat", llmprovider.Chat, `{"prompt_tokens":1200,"completion_tokens":300,"total_tokens":1500,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0,"cache_write_tokens":128},
		"completion_tokens_details":{"reasoning_tokens":192,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`,
		llmprovider.Usage{PromptTokens: 1200, CompletionTokens: 300, CachedTokens: 1024, CacheWriteTokens: 128, ReasoningTokens: 192}},
	{"OpenAI responses", llmprovider.Responses, `{"input_tokens":36,"input_tokens_details":{"cached_tokens":4},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":123}`,
		llmprovider.Usage{PromptTokens: 36, CompletionTokens: 87, CachedTokens: 4, ReasoningTokens: 2}},
	{"OpenAI embeddings", llmprovider.Embeddings, `{"prompt_tokens":8,"total_tokens":8}`, llmprovider.Usage{PromptTokens: 8}},
	{"OpenAI images", llmprovider.Images, `{"input_tokens":50,"output_tokens":4160,"total_tokens":4210,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}`, llmprovider.Usage{PromptTokens: 50, CompletionTokens: 4160}},
	{"OpenAI transcriptions", llmprovider.Audio, `{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":45,"total_tokens":59}`, llmprovider.Usage{PromptTokens: 14, CompletionTokens: 45}},
	{"xAI", llmprovider.Chat, `{"prompt_tokens":32,"completion_tokens":9,"total_tokens":335,"prompt_tokens_details":{"text_tokens":32,"audio_tokens":0,"image_tokens":0,"cached_tokens":6},
		"completion_tokens_details":{"reasoning_tokens":294,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0},"num_sources_used":0}`,
		llmprovider.Usage{PromptTokens: 32, CompletionTokens: 303, CachedTokens: 6, ReasoningTokens: 294}},
	{"DeepSeek", llmprovider.Chat, `{"prompt_tokens":204,"completion_tokens":16,"total_tokens":220,"prompt_tokens_details":{"cached_tokens":192},"prompt_cache_hit_tokens":192,"prompt_cache_miss_tokens":12}`,
		llmprovider.Usage{PromptTokens: 204, CompletionTokens: 16, CachedTokens: 192}},
	{"DeepSeek, the cache alone", llmprovider.Chat, `{"completion_tokens":16,"prompt_cache_hit_tokens":192,"prompt_cache_miss_tokens":12}`, llmprovider.Usage{PromptTokens: 204, CompletionTokens: 16, CachedTokens: 192}},
	{"Moonshot", llmprovider.Chat, `{"prompt_tokens":519,"completion_tokens":9,"total_tokens":528,"cached_tokens":512}`, llmprovider.Usage{PromptTokens: 519, CompletionTokens: 9, CachedTokens: 512}},
	{"DashScope", llmprovider.Chat, `{"prompt_tokens":3019,"completion_tokens":104,"total_tokens":3123,"prompt_tokens_details":{"cached_tokens":0,"cache_type":"ephemeral",
		"cache_creation_input_tokens":2048,"cache_creation":{"ephemeral_5m_input_tokens":2048}}}`, llmprovider.Usage{PromptTokens: 3019, CompletionTokens: 104, CacheWriteTokens: 2048}},
	{"OpenRouter", llmprovider.Chat, `{"prompt_tokens":17,"completion_tokens":8,"total_tokens":25,"cost":7.35e-06,"is_byok":false,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":5,"audio_tokens":0},
		"cost_details":{"upstream_inference_cost":null},"completion_tokens_details":{"reasoning_tokens":2,"image_tokens":0}}`,
		llmprovider.Usage{PromptTokens: 17, CompletionTokens: 8, CachedTokens: 4, CacheWriteTokens: 5, ReasoningTokens: 2}},
	{"Mistral", llmprovider.Chat, `{"prompt_audio_seconds":null,"prompt_tokens":13,"total_tokens":24,"completion_tokens":11}`, llmprovider.Usage{PromptTokens: 13, CompletionTokens: 11}},
	{"Groq", llmprovider.Chat, `{"queue_time":0.018,"prompt_tokens":41,"prompt_time":0.001,"completion_tokens":120,"completion_time":0.2,"total_tokens":161,"total_time":0.201}`, llmprovider.Usage{PromptTokens: 41, CompletionTokens: 120}},
	{"SGLang", llmprovider.Chat, `{"prompt_tokens":18,"total_tokens":232,"completion_tokens":214,"prompt_tokens_details":null,"reasoning_tokens":187}`, llmprovider.Usage{PromptTokens: 18, CompletionTokens: 214, ReasoningTokens: 187}},
	{"vLLM with names of both APIs", llmprovider.Chat, `{"input_tokens":0,"output_tokens":0,"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"input_tokens_details":null}`, llmprovider.Usage{PromptTokens: 7, CompletionTokens: 5}},
	{"another API's names on chat", llmprovider.Chat, `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"input_tokens":7,"output_tokens":5}`, llmprovider.Usage{PromptTokens: 7, CompletionTokens: 5}},
	{"the API's own names go first", llmprovider.Chat, `{"prompt_tokens":7,"completion_tokens":5,"input_tokens":70,"output_tokens":50}`, llmprovider.Usage{PromptTokens: 7, CompletionTokens: 5}},
	{"the API's own names go first, responses", llmprovider.Responses, `{"prompt_tokens":70,"completion_tokens":50,"input_tokens":7,"output_tokens":5}`, llmprovider.Usage{PromptTokens: 7, CompletionTokens: 5}},
	{"the API's own names go first, stored response", llmprovider.StoredResponse, `{"prompt_tokens":70,"completion_tokens":50,"input_tokens":7,"output_tokens":5}`, llmprovider.Usage{PromptTokens: 7, CompletionTokens: 5}},
	{"Anthropic", llmprovider.Chat, `{"input_tokens":16,"cache_creation_input_tokens":9,"cache_read_input_tokens":2387,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5},"output_tokens":30,"service_tier":"standard"}`,
		llmprovider.Usage{PromptTokens: 2412, CompletionTokens: 30, CachedTokens: 2387, CacheWriteTokens: 9}},
	{"LiteLLM, of Anthropic", llmprovider.Chat, `{"prompt_tokens":2412,"completion_tokens":30,"total_tokens":2442,"cache_creation_input_tokens":9,"cache_read_input_tokens":2387,
		"prompt_tokens_details":{"cached_tokens":2387,"cache_creation_tokens":9}}`, llmprovider.Usage{PromptTokens: 2412, CompletionTokens: 30, CachedTokens: 2387, CacheWriteTokens: 9}},
	{"a total beside Anthropic's names", llmprovider.Chat, `{"prompt_tokens":16,"completion_tokens":30,"total_tokens":2442,"cache_creation_input_tokens":9,"cache_read_input_tokens":2387}`,
		llmprovider.Usage{PromptTokens: 2412, CompletionTokens: 30, CachedTokens: 2387, CacheWriteTokens: 9}},
	{"Cohere chat", llmprovider.Chat, `{"billed_units":{"input_tokens":5,"output_tokens":418},"tokens":{"input_tokens":71,"output_tokens":418}}`, llmprovider.Usage{PromptTokens: 5, CompletionTokens: 418}},
	{"Cohere embed", llmprovider.Embeddings, `{"api_version":{"version":"2"},"billed_units":{"input_tokens":2}}`, llmprovider.Usage{PromptTokens: 2}},
	{"Cohere rerank", llmprovider.Rerank, `{"api_version":{"version":"2"},"billed_units":{"search_units":1},"tokens":{"input_tokens":93,"output_tokens":0}}`, llmprovider.Usage{PromptTokens: 93}},
	{"Jina rerank", llmprovider.Rerank, `{"total_tokens":815}`, llmprovider.Usage{PromptTokens: 815}},
	{"Voyage embeddings", llmprovider.Embeddings, `{"total_tokens":10}`, llmprovider.Usage{PromptTokens: 10}},
	{"zeros beside a total", llmprovider.Embeddings, `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":10}`, llmprovider.Usage{PromptTokens: 10}},
}

// shuffled is a JSON document with its members in another order, at every level.
func shuffled(t testing.TB, random *rand.Rand, doc string) string {
	t.Helper()
	pairs, isObject := jsontest.Members([]byte(doc))
	if !isObject {
		return doc
	}
	random.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	var out strings.Builder
	for i, p := range pairs {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:%s", p.Name, shuffled(t, random, p.Value))
	}
	return "{" + out.String() + "}"
}

// without is a usage object of which only some members are left: a provider
// reports partial counts first. What it leaves is never wrong by itself.
func without(random *rand.Rand, doc string) string {
	pairs, _ := jsontest.Members([]byte(doc))
	var out []string
	for _, p := range pairs {
		if random.IntN(2) == 0 {
			out = append(out, fmt.Sprintf("%q:%s", p.Name, p.Value))
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

// emptied is a usage object with all counts 0.
func emptied(doc string) string {
	var out []string
	pairs, _ := jsontest.Members([]byte(doc))
	for _, p := range pairs {
		value := p.Value
		switch {
		case strings.HasPrefix(value, "{"):
			value = emptied(value)
		case value != "" && (value[0] >= '0' && value[0] <= '9'):
			value = "0"
		}
		out = append(out, fmt.Sprintf("%q:%s", p.Name, value))
	}
	return "{" + strings.Join(out, ",") + "}"
}

// oddMembers are values that are no count, under names that no shape above relies
// on, or beside those it does.
var oddMembers = []string{
	`"total_tokens":"9"`, `"prompt_tokens_details":null`, `"completion_tokens_details":[1]`, `"cached_tokens":-1`, `"reasoning_tokens":1e300`, `"cost":"x"`, `"tokens":7`, `"billed_units":[]`,
	`"prompt_tokens":-5`, `"completion_tokens":"12"`, `"input_tokens":null`, `"output_tokens":[3]`, `"cache_creation":true`, `"prompt_cache_hit_tokens":{}`, `"input_tokens_details":{"cached_tokens":"5"}`,
}

// TestUsageShapes expects the documented counts of each shape, whatever the
// order of its members, however often and in whatever order it comes among
// zeros, parts of itself, nulls and members that are no counts.
func TestUsageShapes(t *testing.T) {
	for _, shape := range usageShapes {
		t.Run(shape.name, func(t *testing.T) {
			want := shape.want
			want.Known = true
			for seed := range uint64(200) {
				random := rand.New(rand.NewPCG(seed, 1))
				pieces := []string{shape.usage}
				for range random.IntN(5) {
					switch random.IntN(5) {
					case 0:
						pieces = append(pieces, shape.usage)
					case 1:
						pieces = append(pieces, emptied(shape.usage))
					case 2:
						pieces = append(pieces, without(random, shape.usage))
					case 3:
						pieces = append(pieces, "null", "{}")
					case 4:
						pieces = append(pieces, "{"+oddMembers[random.IntN(len(oddMembers))]+","+shape.usage[1:], "{"+oddMembers[random.IntN(len(oddMembers))]+"}")
					}
				}
				random.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
				r := usageReader{operation: shape.operation}
				for i := range pieces {
					if json.Valid([]byte(pieces[i])) {
						pieces[i] = shuffled(t, random, pieces[i])
					}
					r.readUsage([]byte(pieces[i]))
				}
				if r.Usage != want {
					t.Fatalf("seed %d: read %+v, want %+v from %s", seed, r.Usage, want, strings.Join(pieces, "\n"))
				}
			}
		})
	}
}

// TestUsageOfStreams reads the shapes out of events and documents, in every
// place that providers put them.
func TestUsageOfStreams(t *testing.T) {
	for _, shape := range usageShapes {
		usage := strings.NewReplacer("\n", "", "\t", "").Replace(shape.usage)
		want := shape.want
		want.Known = true
		for _, place := range []string{`{"usage":%s}`, `{"choices":[],"usage":%s}`, `{"response":{"usage":%s}}`, `{"choices":[{"index":0,"usage":%s}]}`, `{"x_groq":{"usage":%s}}`} {
			r := &usageReader{operation: shape.operation}
			tap := eventTap{usage: r, hide: true}
			stream := event(fmt.Sprintf(place, usage)) + event(`{"usage":`+emptied(usage)+`}`) + event(`{"usage":null}`)
			for _, p := range []byte(stream) {
				if err := tap.write([]byte{p}, discard); err != nil {
					t.Fatal(err)
				}
			}
			if r.Usage != want {
				t.Errorf("%s in an event %s: read %+v, want %+v", shape.name, place, r.Usage, want)
			}
		}
		places := []string{`{"usage":%s}`}
		if slices.Contains([]llmprovider.Operation{llmprovider.Embeddings, llmprovider.Rerank}, shape.operation) {
			places = append(places, `{"meta":%s,"results":[]}`)
		}
		for _, place := range places {
			r := &usageReader{operation: shape.operation}
			(&jsonTap{usage: r}).write([]byte(fmt.Sprintf(place, usage)))
			if r.Usage != want {
				t.Errorf("%s in a document %s: read %+v, want %+v", shape.name, place, r.Usage, want)
			}
		}
	}
}

func TestUsageThatIsNotKnown(t *testing.T) {
	for _, usage := range []string{
		`{"total_tokens":12}`, `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":12}`, `{"type":"duration","seconds":9}`, `{"prompt_tokens":"1","completion_tokens":null}`,
		`{"completion_tokens_details":{"reasoning_tokens":3}}`,
	} {
		r := usageReader{operation: llmprovider.Chat}
		if r.readUsage([]byte(usage)); r.Known {
			t.Errorf("%s: read %+v, want nothing", usage, r.Usage)
		}
	}
}

// FuzzUsage expects that no usage object gives counts that cannot be, and that
// reading it again changes nothing.
func FuzzUsage(f *testing.F) {
	for _, shape := range usageShapes {
		f.Add([]byte(shape.usage), []byte(oddMembers[0]))
	}
	f.Fuzz(func(t *testing.T, one, other []byte) {
		for _, operation := range []llmprovider.Operation{llmprovider.Chat, llmprovider.Responses, llmprovider.Embeddings} {
			r, reverse := usageReader{operation: operation}, usageReader{operation: operation}
			r.readUsage(one)
			r.readUsage(other)
			once := r.Usage
			r.readUsage(one)
			reverse.readUsage(other)
			reverse.readUsage(one)
			if r.Usage != once || reverse.Usage != once {
				t.Fatalf("%+v, again %+v, in the other order %+v", once, r.Usage, reverse.Usage)
			}
			for _, n := range []int64{once.PromptTokens, once.CompletionTokens, once.CachedTokens, once.CacheWriteTokens, once.ReasoningTokens} {
				if n < 0 || n > 3*maxTokens {
					t.Fatalf("counted %+v", once)
				}
			}
		}
	})
}
