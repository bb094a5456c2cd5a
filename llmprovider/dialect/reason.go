package dialect

import "strings"

// Reason is why a choice ended. A table for each API maps it; a reason that no table
// knows is Unknown and reported.
type Reason uint8

// The reasons.
const (
	Unknown      Reason = iota
	Stopped             // the model was done
	StopSequence        // it came to a stop sequence
	Length              // the output cap
	ContextFull         // the model's context
	ToolCalls           // it waits for the results of tool calls
	Filtered            // content that the provider withholds
	Refused             // the model refused
	Paused              // it is to be asked to go on
)

var reasonNames = [...]string{
	Unknown: "unknown", Stopped: "stop", StopSequence: "stop", Length: "length", ContextFull: "length", ToolCalls: "tool_calls", Filtered: "content_filter",
	Refused: "content_filter", Paused: "pause",
}

// String is the reason as OpenAI's chat completions name it.
func (r Reason) String() string { return reasonNames[r] }

// cutsOff reports whether the model was kept from saying all that it had to say.
func (r Reason) cutsOff() bool {
	switch r {
	case Length, ContextFull, Filtered, Refused:
		return true
	}
	return false
}

// BareID returns a response's id without the prefix that its API gives it, for the
// prefix of another one.
func BareID(id string) string {
	for _, prefix := range [...]string{"chatcmpl-", "msg_", "resp_"} {
		if rest, ok := strings.CutPrefix(id, prefix); ok && rest != "" {
			return rest
		}
	}
	return id
}
