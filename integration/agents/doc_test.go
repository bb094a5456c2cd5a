// Package agents_test runs coding agents, as their users have them from npm, in their
// non-interactive mode through the built gateway, each against a scripted provider that
// speaks another API than the agent: the agent calls a tool, sends its result back, and
// prints what the model made of it.
//
// The agents are programs of some 900 MB together. They are installed on first use, for
// each version of npm/package-lock.json once, into
// ${XDG_CACHE_HOME:-~/.cache}/llm-gateway/agents-HASH, without scripts of theirs: 45
// seconds on a fast network. Without node the tests are skipped; where CI is set they
// fail. Nothing of the agents' telemetry, updates and the like is left on, and what they
// try to reach beside the gateway ends at a proxy of the test, which fails it.
package agents_test
