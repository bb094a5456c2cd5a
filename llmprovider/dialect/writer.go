package dialect

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// RequestWriter is what the writers of requests have in common: the object that is
// being written. What is stable from turn to turn is to come first and the
// conversation last, so that a provider's cache of prefixes holds.
type RequestWriter struct {
	// R is the request. Its Loss is added to.
	R *Request
	// Target is what the provider's request is to have beside it.
	Target Target
	// Out is what was written so far.
	Out []byte
}

// NewRequestWriter returns the writer of a request, whose object has begun.
func NewRequestWriter(r *Request, target Target) RequestWriter {
	size := len(r.Source) + len(r.Source)/8
	if target.Than != nil { // what is given up never gets there
		size = 0
	}
	out := make([]byte, 1, size+1024)
	out[0] = '{'
	return RequestWriter{R: r, Target: target, Out: out}
}

// Begin appends the name of a member, and the comma before it unless the object has
// just begun.
func (w *RequestWriter) Begin(name string) {
	if w.Out[len(w.Out)-1] != '{' {
		w.Out = append(w.Out, ',')
	}
	w.Out = append(w.Out, '"')
	w.Out = append(w.Out, name...)
	w.Out = append(w.Out, `":`...)
}

// Member appends a member whose value the source has, if it has one.
func (w *RequestWriter) Member(name string, value JSON) {
	if value != nil {
		w.Begin(name)
		w.Out = append(w.Out, value...)
	}
}

// Flag appends a member that is true or false, if the source says which.
func (w *RequestWriter) Flag(name string, value *bool) {
	if value != nil {
		w.Begin(name)
		w.Bool(*value)
	}
}

// Bool appends true or false.
func (w *RequestWriter) Bool(b bool) {
	if b {
		w.Out = append(w.Out, "true"...)
	} else {
		w.Out = append(w.Out, "false"...)
	}
}

// Write appends text and values that are JSON already.
func (w *RequestWriter) Write(text string, value JSON, rest string) {
	w.Out = append(w.Out, text...)
	w.Out = append(w.Out, value...)
	w.Out = append(w.Out, rest...)
}

// String appends text that is JSON already, and a string.
func (w *RequestWriter) String(text, value string) {
	w.Out = append(w.Out, text...)
	w.Out = jsonscan.AppendString(w.Out, value)
}

// Comma appends the comma before every element but the first.
func (w *RequestWriter) Comma(i int) {
	if i > 0 {
		w.Out = append(w.Out, ',')
	}
}

// Ephemeral appends a cache marker in the form of Anthropic's API, which others took
// over. Its lifetimes are five minutes and an hour.
func (w *RequestWriter) Ephemeral(c *Cache) {
	switch c.TTL {
	case 0, 300:
		w.Out = append(w.Out, `,"cache_control":{"type":"ephemeral"}`...)
		return
	case 3600:
	default:
		w.R.Loss.Approximate(CCache)
	}
	w.Out = append(w.Out, `,"cache_control":{"type":"ephemeral","ttl":"1h"}`...)
}

// Values appends a member that is an array of values that the source has, if there
// are any.
func (w *RequestWriter) Values(name string, values []JSON) {
	if len(values) == 0 {
		return
	}
	w.Begin(name)
	w.Out = append(w.Out, '[')
	for i, v := range values {
		w.Comma(i)
		w.Out = append(w.Out, v...)
	}
	w.Out = append(w.Out, ']')
}

// Drop notes that what the source has is not sent, if it has it.
func (w *RequestWriter) Drop(c Concept, value JSON) {
	if value != nil {
		w.R.Loss.Drop(c)
	}
}

// DropCache notes a cache marker that is not sent, if there is one.
func (w *RequestWriter) DropCache(c *Cache) {
	if c != nil {
		w.R.Loss.Drop(CCache)
	}
}

// DropStore notes that the response is not stored, if the client wants it to be.
func (w *RequestWriter) DropStore() {
	if s := w.R.Settings.Store; s != nil && *s {
		w.R.Loss.Drop(CStore)
	}
}

// DropParallel notes that the model may call several tools at once, if the client
// wants one at a time.
func (w *RequestWriter) DropParallel() {
	if p := w.R.Parallel; p != nil && !*p {
		w.R.Loss.Drop(CParallel)
	}
}

// NoTuning notes the settings that only APIs of OpenAI's kind have and that tune.
func (w *RequestWriter) NoTuning() {
	s := &w.R.Settings
	w.Drop(CLogitBias, s.LogitBias)
	w.Drop(CVerbosity, s.Verbosity)
	w.Drop(CCacheKey, s.CacheKey)
	w.DropStore()
}

// OneChoice returns the refusal of a request for several choices, for APIs that have
// one, or nil.
func (w *RequestWriter) OneChoice() *llmprovider.Error {
	if n := w.R.Settings.Candidates; n != nil && string(n) != "1" {
		return w.R.Refuse(CCandidates, "it has one choice in a response")
	}
	return nil
}

// NoLogProbs returns the refusal of a request for log probabilities, for APIs that
// have none, or nil.
func (w *RequestWriter) NoLogProbs() *llmprovider.Error {
	if IsTrue(w.R.Settings.LogProbs) {
		return w.R.Refuse(CLogProbs, "it has no log probabilities")
	}
	return nil
}

// Sampling appends the temperature and top_p under the API's names, unless the model
// rejects them.
func (w *RequestWriter) Sampling(temperature, topP string) {
	s := &w.R.Settings
	if w.Target.Profile.NoSampling {
		w.Drop(CTemperature, s.Temperature)
		w.Drop(CTopP, s.TopP)
		return
	}
	w.Member(temperature, s.Temperature)
	w.Member(topP, s.TopP)
}

// Tool returns the tool of that name that the request declares, or the error for a
// choice of a tool that it does not.
func (w *RequestWriter) Tool(name string) (*Tool, *llmprovider.Error) {
	for i := range w.R.Tools {
		if w.R.Tools[i].Name == name {
			return &w.R.Tools[i], nil
		}
	}
	return nil, Invalid(w.R.API.field(CChoice), "the name of one of the tools")
}

// CustomSchema is the schema of the function that a free-text tool becomes where
// there are no such tools.
const CustomSchema = `{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`

// Grammar appends the members of a grammar to the object that has begun.
func (w *RequestWriter) Grammar(g *Grammar) {
	w.Member("syntax", g.Syntax)
	w.Member("definition", g.Definition)
}

// Function returns the refusal of a tool that cannot be made a function, or nil. It
// notes what a free-text tool loses.
func (w *RequestWriter) Function(t *Tool) *llmprovider.Error {
	switch {
	case t.Kind == Hosted:
		return w.NoHosted()
	case t.Grammar != nil:
		return w.R.Refuse(CGrammar, "its tools take JSON and no other grammar")
	case t.Kind == Custom:
		w.R.Loss.Approximate(CCustomTool)
	}
	return nil
}

// NoHosted returns the refusal of a tool that a vendor runs itself.
func (w *RequestWriter) NoHosted() *llmprovider.Error {
	return w.R.Refuse(CHostedTool, "it does not run tools of another vendor")
}

// NoFile returns the refusal of a file that another provider stores.
func (w *RequestWriter) NoFile(c Concept) *llmprovider.Error {
	return w.R.Refuse(c, "it cannot reach a file that another provider stores")
}

// Input appends a call's arguments as an object.
func (w *RequestWriter) Input(call *ToolUse) {
	if call.Custom {
		w.Write(`{"input":`, call.FreeText(), `}`)
		return
	}
	var exact bool
	if w.Out, exact = call.Arguments.AppendObject(w.Out); !exact {
		w.R.Loss.Approximate(CArguments)
	}
}

// DataURL appends a medium as the URL of its content, or as a data URL.
func (w *RequestWriter) DataURL(m *Media, c Concept) *llmprovider.Error {
	switch {
	case m.URL != nil:
		w.Out = append(w.Out, m.URL...)
	case m.Data != nil:
		w.Out = append(w.Out, `"data:`...)
		w.Out = jsonscan.AppendEscaped(w.Out, []byte(m.Type))
		w.Out = append(w.Out, ";base64,"...)
		w.Out = append(w.Out, m.Data...)
		w.Out = append(w.Out, '"')
	default:
		return w.NoFile(c)
	}
	return nil
}

// GivenUp reports whether the translation need not go on; see Target.Than. What is lost
// only grows.
func (w *RequestWriter) GivenUp() bool { return w.Target.givenUp(&w.R.Loss) }

func (t *Target) givenUp(l *Loss) bool { return t.Than != nil && !l.Less(t.Than) }

// Finish ends the object and returns it.
func (w *RequestWriter) Finish() []byte { return append(w.Out, '}') }

// IsSystem reports whether a turn is a system or developer message.
func (t *Turn) IsSystem() bool { return t.Role == System || t.Role == Developer }

// Leading returns the system messages that the conversation begins with, and the
// rest. Later ones stay where they are: moving them would change the cached prefix at
// every turn.
func (r *Request) Leading() (system, rest []Turn) {
	n := 0
	for n < len(r.Turns) && r.Turns[n].IsSystem() {
		n++
	}
	return r.Turns[:n], r.Turns[n:]
}

// Merged writes the conversation for APIs in which turns of one role that follow each
// other are one. head is what a message has between its role and its parts, model
// what the assistant's role is called, and write appends a turn's parts and returns
// how many.
func (w *RequestWriter) Merged(turns []Turn, model, head string, write func([]Part) (int, *llmprovider.Error)) *llmprovider.Error {
	const tail = `]}`
	w.Out = append(w.Out, '[')
	last := ""
	for i := range turns {
		t := &turns[i]
		role := "user"
		if t.Role == Assistant {
			role = model
		}
		if t.IsSystem() {
			w.R.Loss.Approximate(CSystem)
		}
		w.Drop(CTurnName, t.Name)
		mark := len(w.Out)
		if role == last {
			w.Out = w.Out[:mark-len(tail)]
		} else {
			w.Comma(len(last))
			w.Out = append(w.Out, `{"role":"`+role+head...)
		}
		n, err := write(t.Parts)
		if err != nil {
			return err
		}
		if n == 0 && role != last {
			w.Out = w.Out[:mark]
			continue
		}
		last = role
		w.Out = append(w.Out, tail...)
	}
	w.Out = append(w.Out, ']')
	return nil
}

// User appends the end user's identifier, or a digest of one that is longer than the
// API takes, in bytes.
func (w *RequestWriter) User(name string, most int) {
	user := w.R.Settings.User
	if len(user) > most+2 {
		sum := sha256.Sum256(user)
		user = JSON(`"` + hex.EncodeToString(sum[:]) + `"`)
		w.R.Loss.Approximate(CUser)
	}
	w.Member(name, user)
}
