package dialect

import (
	"time"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// Request is what a client asks of a model, whatever its API. It is not changed
// once it is read, so that every attempt is written from it.
type Request struct {
	// API is the client's.
	API *API
	// Source is the request as the client sent it.
	Source JSON

	// Model is the model as the client names it.
	Model string
	// Stream reports whether the client asks for a stream.
	Stream bool
	// StreamUsage reports whether the client asks for usage in the stream, where its
	// API makes that a choice.
	StreamUsage bool
	// Legacy reports whether the client sends functions, which tools replaced, and
	// knows no tools in the response.
	Legacy bool
	// Count reports whether only the prompt's tokens are asked for.
	Count bool

	// Turns are the conversation, system and developer messages in their places.
	Turns []Turn
	Tools []Tool

	// Choice is which tools the model may or must call.
	Choice Choice
	// Parallel reports whether the model may call several tools at once; nil if
	// the client does not say.
	Parallel *bool

	Settings Settings

	// Embed is a request for embeddings, which has no turns; nil for all others.
	Embed *Embed

	// Loss is what the reader could not place. A writer adds to a copy of it.
	Loss Loss

	// wanted is what a writer needs the content of, in its copy, uses how often the
	// client gives a medium as a URL that must not be sent, and placed how many bytes of
	// fetched content it wrote.
	wanted []Wanted
	uses   int
	placed int64
}

// Embed is what a request for embeddings has beside its model.
type Embed struct {
	// Inputs are the texts, JSON strings.
	Inputs []JSON
	// Dimensions is how long the vectors are to be; nil for the model's own length.
	Dimensions JSON
	// Task is what the vectors are for, in Google's words; a JSON string or nil.
	Task JSON
	// Base64 reports whether the client wants the vectors encoded.
	Base64 bool
	// Batch reports whether the client sends a batch, where its API has a form for one
	// input and another for several.
	Batch bool
}

// Role is who says a turn.
type Role uint8

// The roles. Tool results are parts of a turn of User.
const (
	System Role = iota + 1
	Developer
	User
	Assistant
)

// Turn is one message. Consecutive tool results are one turn, whatever the
// client's API makes of them.
type Turn struct {
	Role  Role
	Parts []Part
	// Name is the participant's name, a string or nil.
	Name JSON
}

// Kind is what a part of a turn or of a response is.
type Kind uint8

// The kinds of parts.
const (
	Text Kind = iota + 1
	Refusal
	Reasoning
	ToolCall
	ToolResult
	Image
	Audio
	Video
	Document
)

// Part is a piece of a turn.
type Part struct {
	Kind Kind
	// Text is the text of Text and Refusal, a JSON string.
	Text JSON
	// What the other kinds have; nil for those that do not.
	Thought *Thought
	Call    *ToolUse
	Result  *Result
	Media   *Media
	// Cache is a cache breakpoint after this part, or nil.
	Cache *Cache
	// Signature is opaque state that the provider attached to this part (Gemini's
	// thoughtSignature), or empty. On Reasoning it stands in Thought.
	Signature Carrier
}

// Thought is reasoning that a model did before. It goes back to the vendor that
// made it and to no other.
type Thought struct {
	// Text is the reasoning's text, a JSON string; nil if there is none.
	Text JSON
	// Summary reports whether Text is a summary that the provider made.
	Summary bool
	// Signature vouches for Text, or is empty.
	Signature Carrier
	// Data is reasoning that cannot be read (redacted, encrypted), or empty.
	Data Carrier
	// ID is the item's id in the Responses API, a JSON string or nil.
	ID JSON
}

// ToolUse is a call of a tool by the model.
type ToolUse struct {
	// ID joins the call with its result; unique in the conversation.
	ID   string
	Name string
	// Arguments are the arguments.
	Arguments Arguments
	// Custom reports whether the tool takes free text: Arguments.Text is it.
	Custom bool
}

// Arguments are those of a tool call: an object, or a string that should hold one,
// as the source had it. Both are never set.
type Arguments struct {
	Object JSON
	Text   JSON // a JSON string
}

// Result is the result of a tool call.
type Result struct {
	ID string
	// Name is the tool's name; readers find it by the call's id where their API
	// does not say it. Empty if the conversation has no such call.
	Name string
	// Parts are the result's content: Text, Image, Document, Audio, Video.
	Parts []Part
	// Object is the result as an object, where the client's API has one (Gemini's
	// response, Converse's json); nil otherwise. Then Parts holds media only.
	Object JSON
	// IsError reports that the tool failed.
	IsError bool
	// Custom reports whether the call was one of a free-text tool.
	Custom bool
}

// Content returns the result's content as parts, for APIs without objects in results: an
// object is a text with its JSON, before the media.
func (r *Result) Content() []Part {
	if r.Object == nil {
		return r.Parts
	}
	text := append(jsonscan.AppendEscaped([]byte{'"'}, r.Object), '"')
	return append([]Part{{Kind: Text, Text: text}}, r.Parts...)
}

// Media is an image, a sound, a video or a document.
type Media struct {
	// Type is the media type, such as image/png; empty if the source does not say.
	Type string
	// Data is the content in base64, without quotes and escapes; nil if it is not
	// in the request.
	Data []byte
	// Text is the content of a document that is text, a JSON string.
	Text JSON
	// URL is where the content is, a JSON string.
	URL JSON
	// FileID names a file that the provider stores, a JSON string.
	FileID JSON
	// What describes the content; JSON strings or nil.
	Name, Title, Context JSON
	// Detail is how closely an image is to be looked at; a JSON string or nil.
	Detail JSON
}

// ToolKind is what a tool is.
type ToolKind uint8

// The kinds of tools.
const (
	Function ToolKind = iota + 1
	Custom            // takes free text
	Hosted            // one that the provider runs itself
)

// Tool is a tool that the model may call.
type Tool struct {
	Kind ToolKind
	// Name is what the model knows it by: with Namespace before it, if it has one.
	Name string
	// Namespace is that of the Responses API which the tool is in, and Local its name
	// there; both are empty for others.
	Namespace, Local string
	// Type is the source's own name of a hosted tool's type, from its table.
	Type string
	// Description is a JSON string or nil.
	Description JSON
	// Schema is the JSON Schema of the arguments, or nil.
	Schema JSON
	// Grammar is what a free-text tool demands of the text, or nil.
	Grammar *Grammar
	Strict  *bool
	Cache   *Cache
}

// Grammar is what the text for a free-text tool must be: JSON strings, or nil where the
// source does not say.
type Grammar struct{ Syntax, Definition JSON }

// ReadGrammar reads an object with the syntax and the definition of a grammar.
func ReadGrammar(object JSON) *Grammar {
	return &Grammar{Syntax: StringOf(object, "syntax"), Definition: StringOf(object, "definition")}
}

// ChoiceMode is which tools the model may or must call.
type ChoiceMode uint8

// The modes of tool choice. The zero value is that the client does not say.
const (
	ChoiceAuto ChoiceMode = iota + 1
	ChoiceAny             // must call one
	ChoiceNone
	ChoiceNamed  // must call Names[0]
	ChoiceSubset // may, or with Must has to, call one of Names
)

// Choice is the tool choice of a request.
type Choice struct {
	Mode  ChoiceMode
	Names []string
	Must  bool // of ChoiceSubset
}

// Forced reports whether the model must call a tool.
func (c *Choice) Forced() bool {
	return c.Mode == ChoiceAny || c.Mode == ChoiceNamed || c.Mode == ChoiceSubset && c.Must
}

// Cache is a cache breakpoint: the prefix up to here is to be cached.
type Cache struct {
	// TTL is how long at least, in seconds; 0 for the API's default.
	TTL int
}

// Lifetime returns the seconds of a cache lifetime such as 5m or 1h, and 0 for
// anything else.
func Lifetime(text string) int {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0
	}
	return int(d.Seconds())
}
