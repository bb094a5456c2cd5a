package mock

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the mock from Caddyfile tokens. Every option may
// be left out:
//
//	llm_mock [<matcher>] {
//		model             <name>
//		reply             <text>
//		reply_size        <bytes>
//		latency           <duration>
//		concurrency       <number>
//		chunks            <number>
//		chunk_interval    <duration>
//		status            <code> [<ratio>]
//		retry_after       <seconds>
//		abort_after       <events>
//		prompt_tokens     <number>
//		completion_tokens <number>
//		api_key           <key>
//	}
func (m *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if args := d.RemainingArgs(); len(args) > 0 {
		return d.Errf("llm_mock takes no argument but a matcher (*, /path or @name), got %q; options go into a block", args[0])
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("llm_mock option %s is given twice; keep one", option)
		}
		seen[option] = true
		if err := m.unmarshalOption(d, option); err != nil {
			return err
		}
		if d.NextBlock(d.Nesting()) {
			return d.Errf("llm_mock option %s takes no block", option)
		}
	}
	// What the values mean together is checked here as well as when the module
	// is provisioned, because only here is there a file and a line to name.
	if err := m.check(); err != nil {
		return d.Errf("llm_mock: %w", err)
	}
	return nil
}

// unmarshalOption reads the arguments of one option.
func (m *Handler) unmarshalOption(d *caddyfile.Dispenser, option string) (err error) {
	switch option {
	case "model":
		m.Model, err = argument(d, "one model name")
	case "reply":
		m.Reply, err = argument(d, "one text, in quotes if it has spaces")
	case "reply_size":
		m.ReplySize, err = numberArg(d, "a number of bytes", 1)
	case "latency":
		m.Latency, err = durationArg(d)
	case "concurrency":
		m.Concurrency, err = numberArg(d, "a number of requests", 1)
	case "chunks":
		m.Chunks, err = numberArg(d, "a number of chunks", 1)
	case "chunk_interval":
		m.ChunkInterval, err = durationArg(d)
	case "status":
		err = m.unmarshalStatus(d)
	case "retry_after":
		m.RetryAfter, err = numberArg(d, "a number of seconds", 1)
	case "abort_after":
		m.AbortAfter, err = optionalNumberArg(d, "a number of events")
	case "prompt_tokens":
		m.PromptTokens, err = optionalNumberArg(d, "a number of tokens")
	case "completion_tokens":
		m.CompletionTokens, err = optionalNumberArg(d, "a number of tokens")
	case "api_key":
		m.APIKey, err = argument(d, "one key, such as {env.MOCK_KEY}")
	default:
		return d.Errf("unknown llm_mock option %q; expected one of model, reply, reply_size, latency, concurrency, chunks, chunk_interval, "+
			"status, retry_after, abort_after, prompt_tokens, completion_tokens, api_key", option)
	}
	return err
}

// unmarshalStatus reads: status <code> [<ratio>]
func (m *Handler) unmarshalStatus(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("status takes an error status from 400 to 599 and, if not all requests shall get it, a ratio; got %d arguments", len(args))
	}
	code, err := strconv.Atoi(args[0])
	if err != nil || code < 400 || code > 599 {
		return d.Errf("status is %q; expected an error status from 400 to 599", args[0])
	}
	m.Status = code
	if len(args) == 2 {
		ratio, err := strconv.ParseFloat(args[1], 64)
		if err != nil || !(ratio > 0 && ratio <= 1) {
			return d.Errf("the ratio of status is %q; expected a number above 0 and at most 1, such as 0.25", args[1])
		}
		m.StatusRatio = ratio
	}
	return nil
}

// argument returns the only argument of the current option.
func argument(d *caddyfile.Dispenser, expected string) (string, error) {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return "", d.Errf("%s takes %s, got %d arguments", option, expected, len(args))
	}
	if args[0] == "" {
		return "", d.Errf("%s is empty; expected %s", option, expected)
	}
	return args[0], nil
}

// numberArg returns the only argument of the current option, a whole number.
func numberArg(d *caddyfile.Dispenser, expected string, least int) (int, error) {
	option := d.Val()
	arg, err := argument(d, expected)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n < least {
		return 0, d.Errf("%s is %q; expected %s, %d or more", option, arg, expected, least)
	}
	return n, nil
}

// optionalNumberArg is numberArg for options to which 0 is a value.
func optionalNumberArg(d *caddyfile.Dispenser, expected string) (*int, error) {
	n, err := numberArg(d, expected, 0)
	return &n, err
}

// durationArg returns the only argument of the current option, a duration.
func durationArg(d *caddyfile.Dispenser) (caddy.Duration, error) {
	option := d.Val()
	arg, err := argument(d, "a duration such as 250ms")
	if err != nil {
		return 0, err
	}
	duration, err := caddy.ParseDuration(arg)
	if err != nil || duration < 0 {
		return 0, d.Errf("%s is %q; expected a duration such as 250ms", option, arg)
	}
	return caddy.Duration(duration), nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
