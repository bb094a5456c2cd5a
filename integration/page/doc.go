// Package page holds tests of the status page in a real browser, Chromium. It
// is a module of its own, so that what drives the browser does not become one of
// the gateway's dependencies.
package page
