package embeddings_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
)

func TestRequests(t *testing.T) {
	const two = `{"model":"x","input":["a","b\n"],"dimensions":8,"encoding_format":"base64","user":"u"}`
	for _, tc := range []struct {
		name     string
		from, to *dialect.API
		model    string
		in       string
		path     string
		out      string // or what refuses it
		lost     string
	}{
		{"OpenAI to Google", embeddings.OpenAI, embeddings.Gemini, "e", two, "/models/e:batchEmbedContents",
			`{"requests":[{"model":"models/e","content":{"parts":[{"text":"a"}]},"outputDimensionality":8},{"model":"models/e","content":{"parts":[{"text":"b\n"}]},"outputDimensionality":8}]}`, "user"},
		{"OpenAI to Cohere", embeddings.OpenAI, embeddings.Cohere, "cohere.embed-english-v3", two, "/model/cohere.embed-english-v3/invoke",
			`{"input_type":"search_document","embedding_types":["float"],"texts":["a","b\n"]}`, "dimensions user"},
		{"OpenAI to Titan", embeddings.OpenAI, embeddings.Titan, "amazon.titan-embed-text-v2:0", `{"input":"a","dimensions":256}`, "/model/amazon.titan-embed-text-v2%3A0/invoke", `{"inputText":"a","dimensions":256}`, ""},
		{"OpenAI to Titan's images", embeddings.OpenAI, embeddings.Titan, "amazon.titan-embed-image-v1", `{"input":"a","dimensions":256}`, "/model/amazon.titan-embed-image-v1/invoke", `{"inputText":"a","embeddingConfig":{"outputEmbeddingLength":256}}`, ""},
		{"OpenAI to Titan's first", embeddings.OpenAI, embeddings.Titan, "amazon.titan-embed-text-v1", `{"input":["a"],"dimensions":256}`, "/model/amazon.titan-embed-text-v1/invoke", `{"inputText":"a"}`, "dimensions"},
		{"OpenAI to Vertex", embeddings.OpenAI, embeddings.Predict, "text-embedding-005", two, "/models/text-embedding-005:predict", `{"instances":[{"content":"a"},{"content":"b\n"}],"parameters":{"outputDimensionality":8}}`, "user"},
		{"Google to Vertex", embeddings.Gemini, embeddings.Predict, "e", `{"content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING","x":1}`, "/models/e:predict", `{"instances":[{"content":"a","task_type":"CLUSTERING"}]}`, "other"},
		{"Vertex's settings to Vertex", embeddings.Gemini, embeddings.Predict, "e", `{"content":{"parts":[{"text":"a"}]},"embedContentConfig":{"taskType":"CLUSTERING","outputDimensionality":8}}`, "/models/e:predict", `{"instances":[{"content":"a","task_type":"CLUSTERING"}],"parameters":{"outputDimensionality":8}}`, ""},
		{"OpenAI to embedContent", embeddings.OpenAI, embeddings.EmbedContent, "e", `{"input":["a"],"dimensions":8}`, "/models/e:embedContent", `{"content":{"parts":[{"text":"a"}]},"embedContentConfig":{"outputDimensionality":8}}`, ""},
		{"a batch of one to embedContent", embeddings.Gemini, embeddings.EmbedContent, "e", `{"requests":[{"content":{"parts":[{"text":"a"}]}}]}`, "/models/e:embedContent", `{"content":{"parts":[{"text":"a"}]}}`, ""},
		{"several to embedContent", embeddings.OpenAI, embeddings.EmbedContent, "e", two, "", "input cannot be translated", ""},
		{"several to Titan", embeddings.OpenAI, embeddings.Titan, "m", two, "", "input cannot be translated", ""},
		{"tokens", embeddings.OpenAI, embeddings.Gemini, "m", `{"input":[[1,2]]}`, "", "input cannot be translated", ""},
		{"nothing", embeddings.OpenAI, embeddings.Gemini, "m", `{"input":[]}`, "", "input must be", ""},
		{"no model", embeddings.OpenAI, embeddings.Gemini, "", `{"input":"a"}`, "", "names no model", ""},
		{"Google to OpenAI", embeddings.Gemini, embeddings.OpenAI, "m", `{"content":{"parts":[{"text":"a"},{"text":"b"}]},"task_type":"CLUSTERING","title":"t"}`, "/embeddings", `{"model":"m","input":["a\nb"]}`, "taskType title"},
		{"a batch to OpenAI", embeddings.Gemini, embeddings.OpenAI, "m", `{"requests":[{"content":{"parts":[{"text":"a"}]},"outputDimensionality":3},{"content":{"parts":[{"text":"b"}]},"outputDimensionality":3}]}`, "/embeddings", `{"model":"m","dimensions":3,"input":["a","b"]}`, ""},
		{"a batch of two sizes", embeddings.Gemini, embeddings.OpenAI, "m", `{"requests":[{"content":{"parts":[{"text":"a"}]},"outputDimensionality":3},{"content":{"parts":[{"text":"b"}]}}]}`, "", "outputDimensionality cannot be translated", ""},
		{"Google to Cohere", embeddings.Gemini, embeddings.Cohere, "cohere.embed-v4:0", `{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":256}`, "/model/cohere.embed-v4%3A0/invoke", `{"input_type":"search_query","embedding_types":["float"],"output_dimension":256,"texts":["a"]}`, ""},
	} {
		r, refused := dialect.Read(tc.from, []byte(tc.in), dialect.Call{})
		var out *dialect.Translation
		if refused == nil {
			out, refused = dialect.Translate(r, tc.to, dialect.Target{Model: tc.model})
		}
		if refused != nil {
			if tc.path != "" || !strings.Contains(refused.Message, tc.out) || refused.API != tc.from.Errors {
				t.Errorf("%s: %v", tc.name, refused)
			}
			continue
		}
		if string(out.Body) != tc.out || out.Path != tc.path {
			t.Errorf("%s: %s %s", tc.name, out.Path, out.Body)
		}
		if got := strings.Join(out.Loss.Fields(tc.from, dialect.Dropped), " "); got != tc.lost {
			t.Errorf("%s: lost %q", tc.name, got)
		}
	}
}

func TestResponses(t *testing.T) {
	for _, tc := range []struct {
		name     string
		from, to *dialect.API
		embed    dialect.Embed
		in       string
		status   int
		out      string
	}{
		{"Google to OpenAI", embeddings.Gemini, embeddings.OpenAI, dialect.Embed{Inputs: make([]dialect.JSON, 2)}, `{"embeddings":[{"values":[0.5,1]},{"values":[1e-3,2]}]}`, 200,
			`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]},{"object":"embedding","index":1,"embedding":[1e-3,2]}],"model":"asked"}`},
		{"encoded", embeddings.Gemini, embeddings.OpenAI, dialect.Embed{Inputs: make([]dialect.JSON, 1), Base64: true}, `{"embeddings":[{"values":[0.5,1]}]}`, 200,
			`{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAAAPwAAgD8="}],"model":"asked"}`},
		{"Titan to OpenAI", embeddings.Titan, embeddings.OpenAI, dialect.Embed{Inputs: make([]dialect.JSON, 1)}, `{"embedding":[1,2],"inputTextTokenCount":5}`, 200,
			`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1,2]}],"model":"asked","usage":{"prompt_tokens":5,"total_tokens":5}}`},
		{"Cohere to Google", embeddings.Cohere, embeddings.Gemini, dialect.Embed{Inputs: make([]dialect.JSON, 1)}, `{"embeddings":{"float":[[1,2]]},"response_type":"embeddings_by_type"}`, 200, `{"embedding":{"values":[1,2]}}`},
		{"Cohere's older form to Google", embeddings.Cohere, embeddings.Gemini, dialect.Embed{Inputs: make([]dialect.JSON, 1), Batch: true}, `{"embeddings":[[1,2]]}`, 200, `{"embeddings":[{"values":[1,2]}]}`},
		{"OpenAI to Google, in another order", embeddings.OpenAI, embeddings.Gemini, dialect.Embed{Inputs: make([]dialect.JSON, 2), Batch: true}, `{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":5}}`, 200, `{"embeddings":[{"values":[1]},{"values":[2]}]}`},
		{"too few", embeddings.Gemini, embeddings.OpenAI, dialect.Embed{Inputs: make([]dialect.JSON, 2)}, `{"embeddings":[{"values":[1]}]}`, 502, `{"error":{`},
		{"no numbers", embeddings.OpenAI, embeddings.Gemini, dialect.Embed{Inputs: make([]dialect.JSON, 1)}, `{"data":[{"embedding":"AAAA"}]}`, 502, `{"error":{"code":502`},
		{"an error", embeddings.OpenAI, embeddings.Gemini, dialect.Embed{Inputs: make([]dialect.JSON, 1)}, `{"error":{"message":"m","code":"rate_limit_exceeded"}}`, 429, `{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}`},
	} {
		r := dialect.NewResponse(tc.from, tc.to, dialect.ResponseOptions{Request: &dialect.Request{API: tc.to, Embed: &tc.embed}, Model: "asked"})
		head := llmprovider.Head{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}}
		r.Head(&head)
		var out strings.Builder
		pass := func(p []byte) error { out.Write(p); return nil }
		for i := range len(tc.in) {
			if err := r.Write([]byte(tc.in[i:i+1]), pass); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Finish(pass); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.HasPrefix(got, tc.out) || tc.status == http.StatusOK && got != tc.out || head.Status != tc.status || !json.Valid([]byte(got)) {
			t.Errorf("%s: %d %s", tc.name, head.Status, got)
		}
	}
}

// provided is a response of each API with vectors of two numbers.
func provided(api *dialect.API, vectors []string) string {
	each := func(before, after string) string {
		var out []string
		for _, v := range vectors {
			out = append(out, before+v+after)
		}
		return strings.Join(out, ",")
	}
	switch api {
	case embeddings.OpenAI:
		return `{"data":[` + each(`{"embedding":`, `}`) + `],"usage":{"prompt_tokens":6}}`
	case embeddings.Gemini:
		return `{"embeddings":[` + each(`{"values":`, `}`) + `],"usageMetadata":{"promptTokenCount":6}}`
	case embeddings.Predict:
		return `{"predictions":[` + each(`{"embeddings":{"values":`, `,"statistics":{"truncated":false,"token_count":`+map[int]string{1: "6", 2: "3.0", 3: "2"}[len(vectors)]+`}}}`) + `],"metadata":{"billableCharacterCount":9}}`
	case embeddings.EmbedContent:
		return `{"embedding":{"values":` + vectors[0] + `},"usageMetadata":{"promptTokenCount":6}}`
	case embeddings.Titan:
		return `{"embedding":` + vectors[0] + `,"inputTextTokenCount":6}`
	}
	return `{"embeddings":{"float":[` + each("", "") + `]},"response_type":"embeddings_by_type"}` // with the count in a header
}

// TestEveryLane asks every API for vectors, for every client: what comes is what the
// provider gave, with its tokens.
func TestEveryLane(t *testing.T) {
	all := []string{"[0.5,1]", "[-1e-3,2]", "[0,0]"}
	for _, to := range embeddings.All {
		for n := 1; n <= len(all); n++ {
			if n > 1 && (to == embeddings.Titan || to == embeddings.EmbedContent) {
				continue
			}
			vectors := all[:n]
			for _, client := range embeddings.All[:2] {
				text := `{"input":["t"` + strings.Repeat(`,"t"`, n-1) + `],"encoding_format":"float"}`
				want := `"embedding":` + vectors[n-1]
				if client == embeddings.Gemini {
					one := `{"content":{"parts":[{"text":"t"}]}}`
					text, want = `{"requests":[`+one+strings.Repeat(","+one, n-1)+`]}`, `{"values":`+vectors[n-1]+`}`
				}
				r, refused := dialect.Read(client, []byte(text), dialect.Call{})
				if refused != nil {
					t.Fatal(refused)
				}
				if _, refused := dialect.Translate(r, to, dialect.Target{Model: "m"}); refused != nil {
					t.Errorf("%s to %s: %v", client.Name, to.Name, refused)
				}
				response := dialect.NewResponse(to, client, dialect.ResponseOptions{Request: r})
				header := http.Header{"Content-Type": {"application/json"}}
				if to == embeddings.Cohere || to == embeddings.Titan {
					header.Set("X-Amzn-Bedrock-Input-Token-Count", "6")
				}
				head := llmprovider.Head{Status: http.StatusOK, Header: header}
				response.Head(&head)
				var out strings.Builder
				pass := func(p []byte) error { out.Write(p); return nil }
				if err := response.Write([]byte(provided(to, vectors)), pass); err != nil {
					t.Fatal(err)
				}
				if err := response.Finish(pass); err != nil {
					t.Fatal(err)
				}
				if u := response.Usage(); !u.Known || u.PromptTokens != 6 || head.Status != http.StatusOK || !strings.Contains(out.String(), want) || strings.Count(out.String(), vectors[0]) != 1 {
					t.Errorf("%s to %s, %d: %d %s %+v", client.Name, to.Name, n, head.Status, out.String(), u)
				}
				if client == embeddings.OpenAI && !strings.Contains(out.String(), `"usage":{"prompt_tokens":6,"total_tokens":6}`) {
					t.Errorf("%s: %s", to.Name, out.String())
				}
			}
		}
	}
}

// Whatever comes, nothing panics and what goes out is JSON.
func FuzzEmbeddings(f *testing.F) {
	for _, seed := range []string{
		`{"model":"x","input":["a"],"dimensions":8}`, `{"requests":[{"content":{"parts":[{"text":"a"}]}}]}`, `{"content":{"parts":[{"text":"a"}]}}`,
		`{"embeddings":[{"values":[1]}]}`, `{"embeddings":[[1]]}`, `{"embedding":[1]}`, `{"data":[{"index":3,"embedding":[1]}]}`,
	} {
		f.Add([]byte(seed))
	}
	all := embeddings.All
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, client := range all[:2] {
			if json.Valid(body) {
				if r, refused := dialect.Read(client, body, dialect.Call{}); refused == nil {
					for _, to := range all {
						if out, refused := dialect.Translate(r, to, dialect.Target{Model: "m"}); refused == nil && !json.Valid(out.Body) {
							t.Fatalf("%s to %s: %q gives %q", client.Name, to.Name, body, out.Body)
						}
					}
				}
			}
			for _, from := range all {
				r := dialect.NewResponse(from, client, dialect.ResponseOptions{Request: &dialect.Request{API: client, Embed: new(dialect.Embed)}})
				r.Head(&llmprovider.Head{Status: http.StatusOK, Header: make(http.Header)})
				var out []byte
				pass := func(p []byte) error { out = append(out, p...); return nil }
				if err := r.Write(body, pass); err != nil {
					t.Fatal(err)
				}
				if err := r.Finish(pass); err != nil || !json.Valid(out) {
					t.Fatalf("%s to %s: %q gives %q, %v", from.Name, client.Name, body, out, err)
				}
			}
		}
	})
}
