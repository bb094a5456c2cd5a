package guard

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// TestManyMatchesOfAResponse has many matches come in all ways in which a response may bring
// them. Work that grows with the square of their number takes minutes.
func TestManyMatchesOfAResponse(t *testing.T) {
	const n = 100_000
	masks := strings.Repeat("[EMAIL_1] a@b.cc ", n)
	for name, response := range map[string]struct {
		contentType string
		pieces      []string
	}{
		"document":           {"application/json", []string{`{"choices":[{"message":{"content":"` + masks + `"}}]}`}},
		"one event":          {eventStream, []string{chatChunk(`"` + masks + `"`), "data: [DONE]\n\n"}},
		"arguments, one":     {eventStream, []string{argumentsChunk(`{\"a\":\"` + masks + `\"}`), "data: [DONE]\n\n"}},
		"many events":        {eventStream, append(repeated(chatChunk(`"[EMAIL_1] a@b.cc "`), n/4), "data: [DONE]\n\n")},
		"arguments, in many": {eventStream, append(repeated(argumentsChunk(`{\"a\":\"[EMAIL_1] a@b.cc`+strings.Repeat(" ", 120)), n/2), "data: [DONE]\n\n")},
	} {
		for _, how := range []OnResponse{{Stream: StreamWhole}, {Stream: StreamWindow, Window: MaxWindow}} {
			t.Run(name+", "+how.Stream, func(t *testing.T) {
				began := time.Now()
				got, refused, _ := respond(t, &Definition{Mask: []Pattern{{Builtin: "email"}}, Restore: true, OnRequest: true, OnResponse: &how},
					`{"messages":[{"role":"user","content":"me@example.org"}]}`, response.contentType, response.pieces...)
				if refused != nil {
					t.Fatal(refused)
				}
				if strings.Contains(got, "a@b.cc") || strings.Contains(got, "EMAIL_1") || !strings.Contains(got, "me@example.org") {
					t.Error("the response is not masked, or what was masked is not put back")
				}
				if took := time.Since(began); took > 12*time.Second {
					t.Errorf("it took %v", took)
				} else {
					t.Log(took)
				}
			})
		}
	}
}

// TestManyMatchesOfARequest has many different values come in a request, and be put back.
// Work that grows with the square of their number takes minutes.
func TestManyMatchesOfARequest(t *testing.T) {
	const n = 300_000
	var values, masks strings.Builder
	for i := range n {
		values.WriteString("a" + strconv.Itoa(i) + "@b.cc ")
		masks.WriteString("[EMAIL_" + strconv.Itoa(i+1) + "] ")
	}
	request := func(content string) string { return `{"messages":[{"role":"user","content":"` + content + `"}]}` }
	d := &Definition{Mask: []Pattern{{Builtin: "email"}}, Restore: true}
	if after, refused, _ := guarded(t, d, chatPath, request(values.String())); refused != nil || after != request(masks.String()) {
		t.Errorf("the request is not masked: %v", refused)
	}
	// All masks that would be next are the client's own.
	after, refused, _ := guarded(t, d, chatPath, request("me@example.org "+masks.String()))
	if want := request("[EMAIL_" + strconv.Itoa(n+1) + "] " + masks.String()); refused != nil || after != want {
		t.Errorf("a mask of the client's is taken: %v", refused)
	}
}

// TestMasksOfTheClient holds that a value gets no mask that the client has written, however it
// is written.
func TestMasksOfTheClient(t *testing.T) {
	d := &Definition{Mask: []Pattern{{Regex: "zebra|lion", As: "a_b"}}, Restore: true}
	for written, want := range map[string]string{
		`[A_B_1]`: "3", `[[A_B_1]]`: "3", `[x [A_B_1]`: "3", `\u005bA_B_1]`: "3", `[A_B_\u0031\u005D`: "3", `{\"a\":\"\\u005BA_B_1]\"}`: "3", `\\[A_B_1]`: "3",
		`[A_B_01]`: "1", `[a_b_1]`: "1", `[B_1]`: "1", `[A_B_1`: "1", `A_B_1]`: "1", `[A_B_]`: "1", `[A_B_1234567890]`: "1", `[X_A_B_1]`: "1", `[A_B_10]`: "1",
	} {
		other := "2"
		if want == "3" {
			other = "4"
		}
		request := func(one, two string) string {
			return `{"messages":[{"role":"user","content":"` + one + ` and ` + two + `, ` + one + `, not ` + written + ` [A_B_2"},{"role":"user","content":"[A_B_` + want + `x]` + written + `"}]}`
		}
		if want == "3" {
			written += ` [A_B_2]`
		}
		if got, refused, _ := guarded(t, d, chatPath, request("zebra", "lion")); refused != nil || got != request("[A_B_"+want+"]", "[A_B_"+other+"]") {
			t.Errorf("%s: %v\n%s", written, refused, got)
		}
	}
}

// TestNumbersInPlaceOfMessages holds that what is no message costs no more memory than what is
// looked at of it, and is looked at.
func TestNumbersInPlaceOfMessages(t *testing.T) {
	const n = 1000
	list := []byte("[" + strings.Repeat("0,null,true,", n) + "4111111111111111]")
	for _, seen := range []role{roleUser, roleSystem} {
		r := reader{text: new(text), body: list, seen: seen}
		r.list(list, roleUser)
		if cap(r.tasks) > 0 {
			t.Errorf("%d of them are kept for later", len(r.tasks))
		}
		if want := map[role]int{roleUser: n + 1}[seen]; len(r.groups) != want {
			t.Errorf("%d texts, want %d", len(r.groups), want)
		}
	}
	request := `{"messages":[1,4111111111111111,{"role":"user","content":"4111111111111111"}]}`
	if after, refused, _ := guarded(t, &Definition{Mask: []Pattern{{Builtin: "card"}}}, chatPath, request); refused != nil || after != `{"messages":[1,"[CARD]",{"role":"user","content":"[CARD]"}]}` {
		t.Errorf("masked to %s: %v", after, refused)
	}
}

func repeated(piece string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = piece
	}
	return out
}

func argumentsChunk(piece string) string {
	return `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"` + piece + `"}}]}}]}` + "\n\n"
}

// TestEndlessEvent holds that a guard which only logs does not keep an event for ever that
// is longer than it looks at.
func TestEndlessEvent(t *testing.T) {
	f, err := New(map[string]*Definition{"g": {Deny: []Pattern{{Regex: "zebra"}}, Log: true, OnResponse: &OnResponse{Stream: StreamWhole}}}, zap.NewNop(),
		func(string, string, Action, string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	step, _ := f.Begin(context.Background(), &filter.Call{Inbound: inbound(t, chatPath, noRequest), Guards: []string{"g"}})
	reader := step.Reader(tap.Plain())
	reader.Head(&llmprovider.Head{Status: 200, Header: http.Header{}, Stream: true})
	passed, sent := 0, 0
	pass := func(p []byte) error { passed += len(p); return nil }
	for _, piece := range append([]string{`data: {"a":"`}, append(repeated(strings.Repeat("x", 1<<20), 3*maxHeld>>20), `"}`+"\n\n", chatChunk(`"more"`), "data: [DONE]\n\n")...) {
		if err := reader.Write([]byte(piece), pass); err != nil {
			t.Fatal(err)
		}
		if sent += len(piece); sent-passed > maxHeld+len(piece) {
			t.Fatalf("%d bytes are held", sent-passed)
		}
	}
	if err := reader.Finish(pass); err != nil || passed != sent {
		t.Errorf("%d of %d bytes: %v", passed, sent, err)
	}
}
