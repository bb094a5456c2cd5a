package agents_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakemodel"
)

const prompt = "When do I have to be at the pier? Read the notes first."

// Claude Code speaks Anthropic's Messages API.
func TestClaudeCode(t *testing.T) {
	modules := installed(t)
	for _, api := range []fakemodel.API{fakemodel.Chat, fakemodel.Responses, fakemodel.Gemini} {
		t.Run(string(api), func(t *testing.T) { testClaudeCode(t, modules, api) })
	}
}

func testClaudeCode(t *testing.T, modules string, api fakemodel.API) {
	b := newBench(t, api)
	arguments := b.paths("file_path")
	b.model("Read", arguments)
	out := b.run([]string{
		"ANTHROPIC_BASE_URL=" + b.url, "ANTHROPIC_API_KEY=" + agentKey, "CLAUDE_CONFIG_DIR=" + filepath.Join(b.home, ".claude"),
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1", "DISABLE_AUTOUPDATER=1", "USE_BUILTIN_RIPGREP=0",
	}, binary(t, modules, "@anthropic-ai/claude-code-", "claude"), "--print", prompt, "--output-format", "json", "--model", "claude-sonnet-5", "--allowedTools", "Read")

	var result struct {
		Type    string
		IsError bool `json:"is_error"`
		Result  string
		Usage   struct {
			Input  int64 `json:"input_tokens"`
			Cached int64 `json:"cache_read_input_tokens"`
			Output int64 `json:"output_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.IsError || result.Result != verdict {
		t.Errorf("%v %+v", err, result)
	}
	if u := result.Usage; u.Input != 2*(fakemodel.PromptTokens-fakemodel.CachedTokens) || u.Cached != 2*fakemodel.CachedTokens || u.Output != 2*fakemodel.CompletionTokens {
		t.Errorf("usage %+v", u)
	}
	b.check(arguments)
}

// Gemini CLI speaks Google's Gemini API.
func TestGeminiCLI(t *testing.T) {
	modules := installed(t)
	for _, api := range []fakemodel.API{fakemodel.Chat, fakemodel.Messages} {
		t.Run(string(api), func(t *testing.T) { testGeminiCLI(t, modules, api) })
	}
}

func testGeminiCLI(t *testing.T, modules string, api fakemodel.API) {
	b := newBench(t, api)
	arguments := b.paths("file_path")
	b.model("read_file", arguments)
	b.write(filepath.Join(b.home, ".gemini", "settings.json"), `{
	"security": {"auth": {"selectedType": "gemini-api-key"}},
	"privacy": {"usageStatisticsEnabled": false},
	"telemetry": {"enabled": false},
	"general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false, "disableAutoUpdate": true, "disableUpdateNag": true}
}`)
	out := b.run([]string{"GOOGLE_GEMINI_BASE_URL=" + b.url, "GEMINI_API_KEY=" + agentKey, "GEMINI_TELEMETRY_ENABLED=false"},
		"node", filepath.Join(modules, "@google/gemini-cli/bundle/gemini.js"), "--prompt", prompt, "--output-format", "json", "--model", "gemini-2.5-pro", "--approval-mode", "yolo", "--skip-trust")

	var result struct {
		Response string
		Error    any
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Error != nil || strings.TrimSpace(result.Response) != verdict {
		t.Errorf("%v %+v", err, result)
	}
	b.check(arguments)
}

// Codex speaks OpenAI's Responses API.
func TestCodex(t *testing.T) {
	modules := installed(t)
	for _, api := range []fakemodel.API{fakemodel.Chat, fakemodel.Messages} {
		t.Run(string(api), func(t *testing.T) { testCodex(t, modules, api) })
	}
}

func testCodex(t *testing.T, modules string, api fakemodel.API) {
	b := newBench(t, api)
	var arguments []string
	for _, note := range notes {
		arguments = append(arguments, `{ "cmd":"cat `+strings.ReplaceAll(filepath.Join(b.dir, note.name), "/", `\/`)+`"}`)
	}
	b.model("exec_command", arguments)
	b.write(filepath.Join(b.home, ".codex", "config.toml"), `
model = "gpt-5.2"
model_provider = "gateway"
check_for_update_on_startup = false
web_search = "disabled" # OpenAI runs it; a provider of chat completions does not

[model_providers.gateway]
name = "gateway"
base_url = "`+b.url+`/v1"
wire_api = "responses"
env_key = "GATEWAY_KEY"

[analytics]
enabled = false

[features]
apps = false # they and plugins are looked up at chatgpt.com and github.com
plugins = false
`)
	program := codex(t, modules)
	out := b.run([]string{"CODEX_HOME=" + filepath.Join(b.home, ".codex"), "GATEWAY_KEY=" + agentKey}, program,
		"exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", "--json", prompt)
	if !strings.Contains(out, verdict) || !strings.Contains(out, `"turn.completed"`) {
		t.Errorf("%s", out)
	}
	b.check(arguments)
}

// paths are the arguments of calls that read the notes, not written as an encoder would.
// The agents write them anew.
func (b *bench) paths(name string) []string {
	var arguments []string
	for _, note := range notes {
		arguments = append(arguments, `{ "`+name+`":"`+strings.ReplaceAll(filepath.Join(b.dir, note.name), "/", `\/`)+`"}`)
	}
	return arguments
}

// check holds that the model's calls came back with the notes as their results, and the
// state of its reasoning with them. Whether the request begins as the one before it is the
// agent's doing as well, so that is only logged; the tests of the SDKs hold it.
func (b *bench) check(arguments []string) {
	b.t.Helper()
	var before []byte
	for _, r := range b.provider.Requests() {
		q, err := b.api.Read(r)
		if err != nil || len(q.Tools) == 0 {
			continue
		}
		if before == nil {
			before = r.Body
			continue
		}
		if prefix := bytes.TrimSuffix(before, []byte("]}")); !bytes.HasPrefix(r.Body, prefix) {
			b.t.Logf("the second request begins otherwise than the first\n%s\n%s", before, r.Body)
		}
		b.checkCalls(q, arguments)
		return
	}
	b.t.Errorf("the provider never got the results: %s", b.bodies())
}

func (b *bench) checkCalls(q *fakemodel.Request, arguments []string) {
	b.t.Helper()
	if len(q.Calls) != len(arguments) {
		b.t.Fatalf("calls came back as %+v", q.Calls)
	}
	for i, call := range q.Calls {
		if got, want := decoded(call.Arguments), decoded(arguments[i]); !reflect.DeepEqual(got, want) {
			b.t.Errorf("arguments came back as %s, want %s", call.Arguments, arguments[i])
		}
		result := q.Results[call.ID]
		var inJSON struct{ Output string }
		if json.Unmarshal([]byte(result), &inJSON) == nil {
			result = inJSON.Output
		}
		if !strings.Contains(result, notes[i].text) {
			b.t.Errorf("the result of call %d is %q", i, result)
		}
	}
	// Gemini CLI keeps no thoughts, and so no state of models that do not have it in calls.
	if own := strings.Contains(b.t.Name(), "GeminiCLI") && len(q.States) == 0; b.api != fakemodel.Chat && !own && (len(q.States) != 1 || q.States[0] != fakemodel.State) {
		b.t.Errorf("the state of the reasoning came back as %q", q.States)
	}
}

func decoded(document string) (value any) {
	_ = json.Unmarshal([]byte(document), &value) // nil is no one's arguments
	return value
}

// binary finds an agent's program in its package for this platform.
func binary(t *testing.T, modules, prefix, name string) string {
	t.Helper()
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	path := filepath.Join(modules, prefix+runtime.GOOS+"-"+arch, name)
	if _, err := os.Stat(path); err != nil {
		noProgram(t, err)
	}
	return path
}

// noProgram skips a test whose agent has no program for this platform. In CI it has.
func noProgram(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("no program of this agent for %s/%s: %v", runtime.GOOS, runtime.GOARCH, err)
	}
	t.Skipf("no program of this agent for %s/%s: %v", runtime.GOOS, runtime.GOARCH, err)
}

// codex finds Codex' program for this platform.
func codex(t *testing.T, modules string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(modules, "@openai/codex-"+runtime.GOOS+"-*", "vendor/*/bin/codex"))
	if err != nil || len(found) == 0 {
		noProgram(t, err)
	}
	return found[0]
}
