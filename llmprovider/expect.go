package llmprovider

import "net/http"

// CloseIfExpectContinue lets a client that waits to be asked for its body have the response
// without sending it. net/http would see to that, but does not know its own body
// inside of Caddy's, and would read it before it lets the response out.
func CloseIfExpectContinue(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && r.Header.Get("Expect") != "" {
		w.Header().Set("Connection", "close")
	}
}
