// Package sdk holds tests of the built gateway through OpenAI's official Go
// SDK. It is a module of its own, so that the SDK does not become one of the
// gateway's dependencies.
package sdk
