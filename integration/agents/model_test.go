package agents_test

import (
	"fmt"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakemodel"
	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// model scripts a model that calls the tool once for each of the arguments, and then
// gives its verdict. Requests without the tool, which agents make for titles and the
// like, get a word.
func (b *bench) model(tool string, arguments []string) {
	var calls []fakemodel.Call
	for i, a := range arguments {
		calls = append(calls, fakemodel.Call{ID: fmt.Sprintf("call_Vb5nT2xKqL8wRz0pJ%d", i), Name: tool, Arguments: a})
	}
	b.provider.Script(func(_ int, r *fakeprovider.Recorded) fakeprovider.Reply {
		if strings.HasSuffix(r.Path, "/input_tokens") || strings.HasSuffix(r.Path, ":countTokens") || strings.HasSuffix(r.Path, "/count_tokens") {
			return b.api.Count(812)
		}
		q, err := b.api.Read(r)
		if err != nil {
			b.t.Error(err)
			return b.api.Fail(400, err.Error())
		}
		if all := fmt.Sprint(r.Target, r.Header, string(r.Body)); strings.Contains(all, agentKey) || !strings.Contains(all, providerKey) {
			b.t.Errorf("keys: %s %v", r.Target, r.Header)
		}
		switch {
		case q.Tools[tool] == nil:
			return b.api.Reply(q.Stream, fakemodel.Turn{Text: "Ferry"})
		case len(q.Calls) > 0:
			return b.api.Reply(q.Stream, fakemodel.Turn{Text: verdict})
		}
		return b.api.Reply(q.Stream, fakemodel.Turn{Reasoning: "The notes say when.", Text: "I read the notes first.", Calls: calls})
	})
}
