package decide

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// Moderation is a provider's moderation endpoint that a guard asks about texts, in the form
// of OpenAI's: https://platform.openai.com/docs/api-reference/moderations.
type Moderation struct {
	// The name of the provider. Required.
	Provider string `json:"provider"`

	// The model that decides. Required.
	Model string `json:"model"`

	// How long the provider may take for one request or response. Default: 2s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What happens to a request or a response about which the provider does not decide in
	// time: with `closed` it is refused with status 503, with `open` it passes. Default:
	// `closed`.
	OnFailure string `json:"on_failure,omitempty"`
}

// Check reports what is wrong with the moderation, if anything.
func (m *Moderation) Check() error {
	if m.Provider == "" || m.Model == "" {
		return errors.New("moderation needs a provider and a model; write: moderation PROVIDER model MODEL")
	}
	return checkService("moderation", m.Timeout, m.OnFailure)
}

// moderator is a Moderation in use.
type moderator struct {
	*Moderation
	asker
	send Ask
}

// NewModerator returns the service that has a moderation, which Check has seen, decide.
func NewModerator(m *Moderation, ask Ask) Service {
	return &moderator{m, newAsker(m.Timeout), ask}
}

// moderationCategories are those that OpenAI documents. What other servers call theirs is
// no label of a metric.
var moderationCategories = []string{
	"harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm", "self-harm/instructions",
	"self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
}

// Ask implements Service.
func (m *moderator) Ask(ctx context.Context, q *Question) (*Verdict, error) {
	input := make([]string, 0, len(q.Messages))
	for _, message := range q.Messages {
		if message.Content != "" {
			input = append(input, message.Content)
		}
	}
	said, err := m.askProvider(ctx, m.send, m.Provider, "/v1/moderations", map[string]any{"model": m.Model, "input": input})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Results []struct {
			Flagged    *bool           `json:"flagged"`
			Categories map[string]bool `json:"categories"`
		} `json:"results"`
	}
	if json.Unmarshal(said, &answer) != nil || len(answer.Results) != len(input) {
		return nil, errNonsense
	}
	v := &Verdict{}
	for _, r := range answer.Results {
		if r.Flagged == nil {
			return nil, errNonsense
		}
		if !*r.Flagged || v.Denied {
			continue
		}
		v.Denied = true
		if i := slices.IndexFunc(moderationCategories, func(name string) bool { return r.Categories[name] }); i >= 0 {
			v.Category = moderationCategories[i]
		}
	}
	return v, nil
}

// Interface guards
var _ Service = (*moderator)(nil)
