package llmroute

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/receive"
)

// judges reports whether responses are looked at before they are passed on: where a
// rule may have tried another backend.
func (x *exchange) judges() bool {
	return x.rule.Attempts > 1 && len(x.targets) > 1 || x.visit != nil && x.visit.Spare(time.Now())
}

// judge looks whether a response of status 2xx carries something for the client, and
// reports whether it is to be passed on. Otherwise answer is what the provider said,
// if it said anything, and failure what is to be told if nothing better comes.
func (x *exchange) judge(a *attempt) (good bool, answer *keptAnswer, failure *llmprovider.Error) {
	res, dog := a.res, a.dog
	look := tap.Judge(res, a.out.Endpoint)
	if look == nil {
		return true, nil, nil
	}
	dog.Restart(a.provider.Timeouts().Idle, receive.ErrIdle)
	began := time.Now()
	var found tap.Verdict
	var ended error
	var begin []byte
	if a.stream || llmprovider.IsEvents(res.Header) {
		var body *receive.PeekedBody
		found, body, ended = receive.Peek(res.Body, look)
		res.Body, begin = body, body.Peeked()
	} else {
		var body *receive.BegunBody
		found, body, ended = receive.PeekWhole(res.Body, dog, look)
		res.Body, begin = body, body.Peeked()
	}
	x.waited += time.Since(began)
	status := http.StatusBadGateway
	switch {
	case ended != nil && !errors.Is(ended, io.EOF): // it broke off before the client had any of it
		if x.clientGone() {
			return true, nil, nil
		}
		_ = res.Body.Close()
		failure = attemptError(x.provider, a.ctx, ended)
		if failure.Status == http.StatusGatewayTimeout {
			x.timedOut++
		}
		status = 0
	case found == "":
		return true, nil, nil
	case found == tap.IsError:
		if status = receive.ErrorStatus(tap.FirstData(begin)); !x.rule.Retries(status, x.ownKey()) {
			return true, nil, nil // most often the client's own mistake
		}
		said := bytes.Clone(tap.FirstData(begin)) // of a stream that may stay open
		dog.Restart(keptTime, receive.ErrFirstByte)
		rest, err := io.ReadAll(io.LimitReader(res.Body, maxKept+1))
		_ = res.Body.Close()
		if first := tap.FirstData(rest); err == nil && len(rest) <= maxKept {
			said = first
		}
		if json.Valid(said) { // as if it had come with its status
			res.StatusCode, res.Body = status, io.NopCloser(bytes.NewReader(said))
			res.Header.Set("Content-Type", "application/json")
			answer = x.keep(a, meter.StatusText(status))
		}
		failure = errNoAnswer(x.provider, found)
	case !x.rule.Retries(status, x.ownKey()):
		return true, nil, nil
	default:
		dog.Restart(keptTime, receive.ErrFirstByte)
		failure = errNoAnswer(x.provider, found)
		_ = x.keep(a, failure.Code) // for its usage
	}
	if endedByGateway(a.ctx) {
		return false, answer, failure
	}
	var pause time.Duration
	if found != tap.NoChoices { // what a client's prompt may bring about
		pause = x.cool(a.ctx, status, nil, true)
	}
	if x.visit != nil { // as after no response at all
		x.goOn(a.ctx, time.Now(), true)
	}
	a.span.Failed(failure.Code, pause)
	x.logAttempt(res.StatusCode, failure, pause)
	return false, answer, failure
}

func errNoAnswer(p *provider, found tap.Verdict) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "provider_no_answer",
		Message: "the provider " + p.host + " answered with " + string(found) + "; try again, or ask the gateway's operator to check its path",
	}
}
