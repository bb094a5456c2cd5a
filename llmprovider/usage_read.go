package llmprovider

// ReadUsage reads the usage object of a chat completion or of a Responses API
// response into u. Null or another value leaves u as it is.
func (u *Usage) ReadUsage(raw []byte) { u.readUsage(raw) }
