package limits

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/period"
)

func (b *limitBuilder) amounts() {
	spec := &b.object.Spec
	if len(spec.Amounts) == 0 && spec.Concurrent == nil {
		b.fault("spec.amounts: there is nothing to count; write at least one amount, or spec.concurrent")
	}
	b.bound("spec.amounts", len(spec.Amounts), object.MaxAmounts)
	seen, twice := make(map[[3]string]bool), false
	for i := range spec.Amounts {
		a := &spec.Amounts[i]
		b.amount(fmt.Sprintf("spec.amounts[%d]", i), a)
		id := [3]string{a.Unit, a.Window, a.Timezone}
		twice = twice || seen[id]
		seen[id] = true
	}
	if twice {
		b.fault("spec.amounts: the same unit and window are listed twice; keep one of them")
	}
}

func (b *limitBuilder) amount(path string, a *v1alpha1.LimitAmount) {
	unit := limit.Unit(a.Unit)
	if !slices.Contains(limit.Units, unit) {
		b.fault("%s.unit: there is no such unit; write requests, tokens, input_tokens, output_tokens or cost", path)
		unit = limit.UnitCost // which may have decimal places
	}
	if a.Amount == "" {
		b.fault("%s.amount: an amount is required; write a number above 0", path)
	} else {
		b.number(path+".amount", unit, a.Amount)
	}
	calendar, ok := period.Check(a.Window)
	switch {
	case !ok:
		b.fault("%s.window: this is not a window; write a duration from 1s to 8784h, such as 1m, or hour, day, week, month or year", path)
	case !calendar && a.Timezone != "":
		b.fault("%s.timezone: a duration has no timezone; leave it out, or write hour, day, week, month or year as window", path)
	case !period.CheckTimezone(a.Timezone):
		b.fault("%s.timezone: there is no such time zone; write a name of the IANA database, such as Europe/Berlin", path)
	}
	switch {
	case a.Burst == "":
	case calendar:
		b.fault("%s.burst: a calendar window has no burst; leave it out, or write a duration such as 24h as window", path)
	default:
		b.number(path+".burst", unit, a.Burst)
	}
	b.out.Amounts = append(b.out.Amounts, limit.Amount{Unit: unit, Amount: json.Number(a.Amount), Window: a.Window, Timezone: a.Timezone, Burst: json.Number(a.Burst)})
}

// number reports a number that the unit cannot have.
func (b *limitBuilder) number(path string, unit limit.Unit, n v1alpha1.Number) {
	switch {
	case unit.CheckAmount(string(n)):
	case limit.UnitCost.CheckAmount(string(n)):
		b.fault("%s: only costs have decimal places; write a whole number", path)
	case unit == limit.UnitCost && limit.UnitTokens.CheckAmount(string(n)):
		b.fault("%s: this is too much; write at most 1000000000", path)
	default:
		b.fault("%s: this is not an amount; write a number above 0, in quotes if it has decimal places", path)
	}
}

func (b *limitBuilder) concurrent() {
	for _, field := range []struct {
		path string
		n    *int64
		to   *int64
	}{{"spec.concurrent", b.object.Spec.Concurrent, &b.out.Concurrent}, {"spec.maxOutput", b.object.Spec.MaxOutput, &b.out.MaxOutput}} {
		switch {
		case field.n == nil:
		case *field.n < 1 || *field.n > object.MaxWeight:
			b.fault("%s: this is out of range; write a number from 1 to %d", field.path, object.MaxWeight)
		default:
			*field.to = *field.n
		}
	}
}
