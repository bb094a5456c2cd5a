package docs_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

var update = flag.Bool("update", false, "write the tables of lanes.md anew")

// lanes are the APIs of clients, each with the APIs of providers that it is translated
// to: those that some kind of provider speaks.
var lanes = []struct {
	client    *dialect.API
	providers []*dialect.API
}{
	{chat.API, []*dialect.API{responses.API, messages.API, gemini.API}},
	{responses.API, []*dialect.API{chat.API, messages.API, gemini.API}},
	{messages.API, []*dialect.API{chat.API, responses.API, gemini.API}},
	{gemini.API, []*dialect.API{chat.API, responses.API, messages.API}},
	{embeddings.OpenAI, []*dialect.API{embeddings.Gemini, embeddings.Predict, embeddings.EmbedContent, embeddings.Titan, embeddings.Cohere}},
	{embeddings.Gemini, []*dialect.API{embeddings.OpenAI, embeddings.Predict, embeddings.EmbedContent, embeddings.Titan, embeddings.Cohere}},
}

// models are those that requests are for; others are for m.
var models = map[string]string{embeddings.Titan.Name: "amazon.titan-embed-text-v2:0", embeddings.Cohere.Name: "cohere.embed-v4:0"}

// TestLanes holds that the tables of the page say what the translators do with each
// field. With -update it writes them.
func TestLanes(t *testing.T) {
	const file, begin, end = "lanes.md", "<!-- lanes: go test ./caddyfile/docs -run TestLanes -update -->\n", "<!-- end of lanes -->"
	var tables strings.Builder
	for _, lane := range lanes {
		laneTable(t, &tables, lane.client, lane.providers)
	}
	page := read(t, file)
	head, rest, ok := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the tables", file)
	}
	want := head + begin + tables.String() + "\n" + end + tail
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if page != want {
		t.Errorf("the tables of %s are not what the translators do; run go test ./caddyfile/docs -run TestLanes -update", file)
	}
}

// laneTable writes the table of a client's API: a row for each field, a column for each
// provider's API.
func laneTable(t *testing.T, out *strings.Builder, client *dialect.API, providers []*dialect.API) {
	t.Helper()
	fmt.Fprintf(out, "\n### Clients of `%s`\n\n| field |", client.Name)
	for _, p := range providers {
		fmt.Fprintf(out, " `%s` |", p.Name)
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(providers)) + "\n")
	seen := make(map[string]bool)
	for _, probe := range probes[client.Name] {
		if seen[probe.field] {
			t.Errorf("%s has %s twice", client.Name, probe.field)
		}
		seen[probe.field] = true
		fmt.Fprintf(out, "| %s |", probe.field)
		for _, p := range providers {
			fmt.Fprintf(out, " %s |", fate(t, client, p, probe.in))
		}
		out.WriteString("\n")
	}
}

// bases are the least requests of each API.
var bases = map[string]string{
	"chat": `"messages":[{"role":"user","content":"hi"}]`, "responses": `"input":"hi"`, "messages": `"max_tokens":99,"messages":[{"role":"user","content":"hi"}]`,
	"gemini": `"contents":[{"parts":[{"text":"hi"}]}]`, "embeddings": `"input":"hi"`, "gemini embeddings": `"content":{"parts":[{"text":"hi"}]}`,
}

// fate is what becomes of a field.
func fate(t *testing.T, client, provider *dialect.API, in string) string {
	t.Helper()
	conversation := map[string]string{"chat": `"messages":`, "responses": `"input":`, "messages": `"messages":`, "gemini": `"contents":`, "embeddings": `"input":`, "gemini embeddings": `"content":`}[client.Name]
	body := `{"model":"m",` + in
	if !strings.Contains(in, conversation) {
		body += "," + bases[client.Name]
	} else if client == messages.API && !strings.Contains(in, "max_tokens") {
		body += `,"max_tokens":99`
	}
	r, refused := dialect.Read(client, []byte(body+"}"), dialect.Call{})
	if refused == nil {
		var sent *dialect.Translation
		if sent, refused = dialect.Translate(r, provider, dialect.Target{Model: cmp.Or(models[provider.Name], "m")}); refused == nil {
			dropped, approximated := sent.Loss.Fields(client, dialect.Dropped), sent.Loss.Fields(client, dialect.Approximated)
			switch {
			case len(dropped) > 0:
				return "dropped"
			case len(approximated) > 0:
				return "approximated"
			}
			return "yes"
		}
	}
	if refused.Code != "untranslatable_field" {
		t.Errorf("%s to %s: %s: %v", client.Name, provider.Name, in, refused)
	}
	return "refused"
}
