package chat

import (
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// conversation is what is known of a conversation while its messages are read.
type conversation struct {
	r     *dialect.Request
	calls map[string]dialect.ToolUse // by id
	last  map[string]string          // the id of the last call of a function, by its name
}

// message is one message as it is in the request.
type message struct {
	role, name, callID                                          string
	nameJSON, content, refusal, toolCalls, functionCall         dialect.JSON
	reasoning, reasoningDetails, thinkingBlocks, cache, audioID dialect.JSON
	images                                                      dialect.JSON // of a response
}

func readMessages(r *dialect.Request, messages dialect.JSON) *llmprovider.Error {
	if len(messages) == 0 || messages[0] != '[' {
		return dialect.Invalid("messages", "an array of messages")
	}
	c := conversation{r: r}
	for m := range jsonscan.Elements(messages) {
		if err := c.readMessage(m); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) readMessage(raw dialect.JSON) *llmprovider.Error {
	var m message
	for name, v := range jsonscan.Members(raw) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(jsonscan.Plain(name)) {
		case "role":
			m.role = jsonscan.Text(v)
		case "content":
			m.content = v
		case "name":
			m.name, m.nameJSON = jsonscan.Text(v), v
		case "refusal":
			m.refusal = v
		case "tool_calls":
			m.toolCalls = v
		case "function_call":
			m.functionCall = v
		case "tool_call_id":
			m.callID = jsonscan.Text(v)
		case "reasoning_content", "reasoning":
			m.reasoning = v
		case "reasoning_details":
			m.reasoningDetails = v
		case "thinking_blocks":
			m.thinkingBlocks = v
		case "cache_control":
			m.cache = v
		case "audio":
			m.audioID = v
		case "annotations":
			c.r.Loss.Drop(dialect.CCitations)
		default:
			c.r.Loss.Drop(dialect.Other)
		}
	}
	switch m.role {
	case "system":
		return c.addTurn(dialect.System, &m)
	case "developer":
		return c.addTurn(dialect.Developer, &m)
	case "user":
		return c.addTurn(dialect.User, &m)
	case "assistant":
		return c.addAssistant(&m)
	case "tool", "function":
		return c.addResult(&m)
	}
	return dialect.Invalid("messages[].role", "system, developer, user, assistant or tool")
}

func (c *conversation) addTurn(role dialect.Role, m *message) *llmprovider.Error {
	parts, err := c.readContent(m.content)
	if err != nil {
		return err
	}
	markLast(parts, m.cache)
	c.r.Turns = append(c.r.Turns, dialect.Turn{Role: role, Parts: parts, Name: m.nameJSON})
	return nil
}

// markLast puts a message's cache marker on its last part.
func markLast(parts []dialect.Part, cache dialect.JSON) {
	if cache != nil && len(parts) > 0 {
		parts[len(parts)-1].Cache = dialect.ReadCache(cache)
	}
}

func (c *conversation) addAssistant(m *message) *llmprovider.Error {
	if m.audioID != nil {
		return c.r.Refuse(dialect.CModalities, onlyHere)
	}
	parts := readReasoning(m)
	content, err := c.readContent(m.content)
	if err != nil {
		return err
	}
	for _, p := range content { // an empty text beside a call says nothing, and some APIs refuse it
		if p.Kind != dialect.Text || len(p.Text) > 2 || p.Cache != nil {
			parts = append(parts, p)
		}
	}
	if m.refusal != nil {
		parts = append(parts, dialect.Part{Kind: dialect.Refusal, Text: m.refusal})
	}
	n := 0
	for call := range jsonscan.Elements(m.toolCalls) {
		p, err := readCall(call, dialect.PlacedID(len(c.r.Turns), n))
		if err != nil {
			return err
		}
		parts = append(parts, p)
		c.remember(p.Call)
		n++
	}
	if m.functionCall != nil {
		call := &dialect.ToolUse{ID: dialect.PlacedID(len(c.r.Turns), n), Name: jsonscan.Text(jsonscan.Get(m.functionCall, "name"))}
		call.Arguments = readArguments(m.functionCall)
		parts = append(parts, dialect.Part{Kind: dialect.ToolCall, Call: call})
		c.remember(call)
	}
	markLast(parts, m.cache)
	c.r.Turns = append(c.r.Turns, dialect.Turn{Role: dialect.Assistant, Parts: parts, Name: m.nameJSON})
	return nil
}

func (c *conversation) remember(call *dialect.ToolUse) {
	if c.calls == nil {
		c.calls, c.last = make(map[string]dialect.ToolUse), make(map[string]string)
	}
	c.calls[call.ID] = *call
	c.last[call.Name] = call.ID
}

// readReasoning reads the members that carry reasoning, of which vendors have
// several. The most telling one is used.
func readReasoning(m *message) []dialect.Part {
	var parts []dialect.Part
	for block := range jsonscan.Elements(m.thinkingBlocks) {
		t := new(dialect.Thought)
		switch string(jsonscan.Plain(jsonscan.Get(block, "type"))) {
		case "thinking":
			t.Text, t.Signature = dialect.StringOf(block, "thinking"), dialect.ReadCarrier(dialect.StringOf(block, "signature"), vendorAnthropic)
		case "redacted_thinking":
			t.Data = dialect.ReadCarrier(dialect.StringOf(block, "data"), vendorAnthropic)
		default:
			continue
		}
		parts = append(parts, dialect.Part{Kind: dialect.Reasoning, Thought: t})
	}
	if len(parts) > 0 {
		return parts
	}
	for detail := range jsonscan.Elements(m.reasoningDetails) {
		vendor := vendorOf(jsonscan.Text(jsonscan.Get(detail, "format")))
		t := new(dialect.Thought)
		switch string(jsonscan.Plain(jsonscan.Get(detail, "type"))) {
		case "reasoning.text":
			t.Text, t.Signature = dialect.StringOf(detail, "text"), dialect.ReadCarrier(dialect.StringOf(detail, "signature"), vendor)
		case "reasoning.summary":
			t.Text, t.Summary = dialect.StringOf(detail, "summary"), true
		case "reasoning.encrypted":
			t.Data = dialect.ReadCarrier(dialect.StringOf(detail, "data"), vendor)
		default:
			continue
		}
		parts = append(parts, dialect.Part{Kind: dialect.Reasoning, Thought: t})
	}
	if len(parts) == 0 && jsonscan.IsString(m.reasoning) && len(m.reasoning) > 2 {
		parts = append(parts, dialect.Part{Kind: dialect.Reasoning, Thought: &dialect.Thought{Text: m.reasoning}})
	}
	return parts
}

// The vendors whose state this API carries in members of its own; see dialect.Carrier.
const (
	vendorAnthropic = "anthropic"
	vendorGoogle    = "google"
)

// vendorOf is whose state OpenRouter says that a detail of reasoning is
// (https://openrouter.ai/docs/use-cases/reasoning-tokens).
func vendorOf(format string) string {
	switch {
	case strings.HasPrefix(format, "anthropic"):
		return vendorAnthropic
	case strings.HasPrefix(format, "openai"), strings.HasPrefix(format, "azure-openai"):
		return "openai"
	case strings.HasPrefix(format, "google"):
		return vendorGoogle
	}
	return "other"
}

func readCall(raw dialect.JSON, id string) (dialect.Part, *llmprovider.Error) {
	call := &dialect.ToolUse{ID: id}
	p := dialect.Part{Kind: dialect.ToolCall, Call: call}
	for name, v := range jsonscan.Members(raw) {
		switch {
		case jsonscan.IsNull(v):
		case jsonscan.NameIs(name, "id"):
			if given := jsonscan.Text(v); given != "" {
				call.ID = given
			}
		case jsonscan.NameIs(name, "function"):
			call.Name = jsonscan.Text(jsonscan.Get(v, "name"))
			call.Arguments = readArguments(v)
		case jsonscan.NameIs(name, "custom"):
			call.Custom = true
			call.Name = jsonscan.Text(jsonscan.Get(v, "name"))
			call.Arguments.Text = dialect.StringOf(v, "input")
		case jsonscan.NameIs(name, "extra_content"): // Google's endpoint for this API
			p.Signature = dialect.ReadCarrier(dialect.StringOf(jsonscan.Get(v, "google"), "thought_signature"), "google")
		}
	}
	if call.Name == "" {
		return p, dialect.Invalid("messages[].tool_calls[].function.name", "the name of a tool")
	}
	return p, nil
}

func readArguments(function dialect.JSON) (a dialect.Arguments) {
	switch arguments := jsonscan.Get(function, "arguments"); {
	case jsonscan.IsString(arguments):
		a.Text = arguments
	case len(arguments) > 0 && arguments[0] == '{': // as some clients send it
		a.Object = arguments
	}
	return a
}

// addResult adds a tool's result. Those of one assistant turn are one user turn.
func (c *conversation) addResult(m *message) *llmprovider.Error {
	if m.role == "function" {
		m.callID = c.last[m.name]
	}
	call, known := c.calls[m.callID]
	if !known {
		return dialect.Invalid("messages[].tool_call_id", "the id of a tool call earlier in the conversation")
	}
	content, err := c.readContent(m.content)
	if err != nil {
		return err
	}
	part := dialect.Part{Kind: dialect.ToolResult, Result: &dialect.Result{ID: m.callID, Name: call.Name, Parts: content, Custom: call.Custom}}
	if m.cache != nil {
		part.Cache = dialect.ReadCache(m.cache)
	}
	c.r.AddResult(part)
	return nil
}
