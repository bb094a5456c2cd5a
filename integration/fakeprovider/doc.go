// Package fakeprovider is a scriptable LLM provider for tests. It records
// what it received to the byte, answers exactly what a test scripted, in all
// the ways a real provider can misbehave, and keeps the books: how many tokens
// it reported for which model, and which calls its client gave up on.
//
// It needs nothing but the standard library and knows nothing of the gateway,
// so what it says can be held against what the gateway says.
//
//	s := fakeprovider.New(t, fakeprovider.Names("api.example.com"))
//	s.Script(func(i int, r *fakeprovider.Recorded) fakeprovider.Reply {
//		if i == 0 {
//			return fakeprovider.JSON(429, `{"error":{"message":"slow down"}}`).
//				WithHeader("Retry-After", "1")
//		}
//		return fakeprovider.SSE("data: {}\n\n", "data: [DONE]\n\n").ResetAfter(1)
//	})
//	// … send requests to s.URL(), trusting s.CAFile() …
//	got := s.Requests()
package fakeprovider
