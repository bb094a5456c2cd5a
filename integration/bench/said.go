package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// said is what a response means, whatever its API.
type said struct {
	text             string
	prompt, produced int // tokens
}

// readSaid returns what a response, or a stream of events, says.
func readSaid(body []byte) (s said, err error) {
	if !bytes.HasPrefix(body, []byte("{")) {
		for event := range bytes.SplitSeq(body, []byte("\n\n")) {
			_, data, ok := bytes.Cut(event, []byte("data: "))
			if !ok || string(data) == "[DONE]" {
				continue
			}
			if err := s.add(data); err != nil {
				return s, fmt.Errorf("the event %.300q: %w", event, err)
			}
		}
		return s, nil
	}
	return s, s.add(body)
}

// add takes a document or the data of an event. The members of the three APIs that
// matter here have names of their own.
func (s *said) add(document []byte) error {
	type usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Input      int `json:"input_tokens"`
		Output     int `json:"output_tokens"`
	}
	type content []struct {
		Text string `json:"text"`
	}
	type output []struct {
		Content content `json:"content"`
	}
	var d struct {
		Choices []struct {
			Message, Delta struct {
				Content string `json:"content"`
			}
		} `json:"choices"`
		Content  content         `json:"content"`
		Output   output          `json:"output"`
		Delta    json.RawMessage `json:"delta"`
		Usage    *usage          `json:"usage"`
		Response struct {
			Usage *usage `json:"usage"`
		} `json:"response"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return err
	}
	var text strings.Builder
	for _, choice := range d.Choices {
		text.WriteString(choice.Message.Content + choice.Delta.Content)
	}
	for _, part := range d.Content {
		text.WriteString(part.Text)
	}
	for _, item := range d.Output {
		for _, part := range item.Content {
			text.WriteString(part.Text)
		}
	}
	if len(d.Delta) > 0 { // a text in the Responses API, an object in the Messages API
		var plain string
		var delta struct {
			Text string `json:"text"`
		}
		if json.Unmarshal(d.Delta, &plain) != nil {
			if err := json.Unmarshal(d.Delta, &delta); err != nil {
				return err
			}
		}
		text.WriteString(plain + delta.Text)
	}
	s.text += text.String()
	for _, u := range []*usage{d.Usage, d.Response.Usage} {
		if u != nil {
			s.prompt, s.produced = u.Prompt+u.Input, u.Completion+u.Output
		}
	}
	return nil
}
