package limit

import (
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/period"
)

// Terms are what an amount asks of a store.
type Terms struct {
	// Units is the amount in units of grant.Call.
	Units int64
	// Length is that of the window, 0 if it varies: that of a week, a month or a year, and a day
	// where clocks are set.
	Length time.Duration
	// Burst reports whether the bucket holds another amount than comes in.
	Burst bool
}

// Terms returns what the amount asks of a store. The amount must have passed Check.
func (a *Amount) Terms() Terms {
	w, amount, burst, err := a.parse()
	if err != nil {
		return Terms{}
	}
	t := Terms{Units: ceil(amount, a.Unit.quantum()), Length: w.Every, Burst: burst != amount}
	if utc := w.Calendar() && w.Zone.String() == time.UTC.String(); utc && w.Period == period.Hour {
		t.Length = time.Hour
	} else if utc && w.Period == period.Day {
		t.Length = 24 * time.Hour
	}
	return t
}
