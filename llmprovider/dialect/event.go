package dialect

import "github.com/caddy-llm/gateway/llmprovider"

// EventKind is what an event of a response says.
type EventKind uint8

// The events, in the order in which they come: Start once; for each part Open,
// Delta any number of times, and Close, of one part at a time within a choice;
// Finish once a choice; Usage any number of times; End once, last. Failure may come
// instead of anything, once, and is last.
const (
	Start EventKind = iota + 1
	Open
	Delta
	Close
	Finish
	UsageEvent
	End
	Failure
	Ping       // the provider is still at work, and says so
	MediaEvent // an image, a sound or another medium, which no other API has a place for
	Vector     // an embedding: Text is its array, Choice its index among the inputs
)

// Event is a piece of a response. Its slices are valid only while it is handled.
type Event struct {
	Kind EventKind

	// Choice is the index of the choice, from 0.
	Choice int

	// Part is what the part is that Open begins.
	Part Kind

	// ID and Name are those of a ToolCall, at its Open; of Start, ID is the
	// response's own id, empty if the provider has none.
	ID, Name string
	// Custom reports, at the Open of a ToolCall, whether its text is free text and
	// not the text of a JSON object.
	Custom bool

	// Text is, at a Delta, what is added to the part's text (a ToolCall's: to its
	// arguments), as it is between the quotes of a JSON string.
	Text []byte

	// LogProbs are, at a Delta of Text, the log probabilities of its tokens, as
	// OpenAI's chat completions have them: objects with commas between them.
	LogProbs JSON

	// Signature is opaque state of the part: of a ToolCall at its Open, of any other
	// at a Delta. Data, at the Open of a Reasoning part, is reasoning that cannot be
	// read; such a part has no text.
	Signature, Data Carrier
	// Summary reports, at the Open of a Reasoning part, whether its text is a
	// summary.
	Summary bool

	// Reason is why a choice ended, at Finish; StopText is the stop sequence that
	// did, a JSON string or nil; Detail is what the provider says of a refusal.
	Reason   Reason
	StopText JSON
	Detail   JSON

	// Model is the model that the provider says it used, at Start.
	Model string

	// Usage is what was counted so far, at UsageEvent; later counts replace
	// earlier ones.
	Usage *llmprovider.Usage

	// Count is the number of the prompt's tokens, at the End of a response that has
	// nothing else.
	Count int64

	// Err is what went wrong, at Failure.
	Err *llmprovider.Error
}

// openSize is what a part counts for beside what it says, in bytes: endless empty ones
// take memory as well.
const openSize = 512

// size is what an event adds to a response that is kept, in bytes.
func (e *Event) size() int {
	n := len(e.Text) + len(e.LogProbs) + len(e.Signature.Value) + len(e.Data.Value)
	switch e.Kind {
	case Open:
		n += openSize + len(e.ID) + len(e.Name)
	case Finish:
		n += len(e.StopText) + len(e.Detail)
	}
	return n
}
