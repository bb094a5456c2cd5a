package llmroute

import "time"

// keepHistory records while the app is in use.
func (a *App) keepHistory() {
	tick := time.NewTicker(time.Second) // often, so that counts fall into the right part
	defer tick.Stop()
	for now := time.Now(); ; {
		a.metrics.Record(now, a.currency(), openCount())
		select {
		case <-a.done:
			return
		case now = <-tick.C:
		}
	}
}

// currency is that of the prices, empty without any.
func (a *App) currency() string {
	if a.prices == nil {
		return ""
	}
	return a.prices.Get().Currency
}
