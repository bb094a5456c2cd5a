package sidecar

import (
	"fmt"
	"strings"
)

// step is one command, which may depend on whether another one succeeds.
type step struct {
	guard   []string // none: the command runs in any case
	ifTrue  bool     // whether the guard has to succeed for the command to run
	command []string
	stdin   string
}

// String is the step as one can type it.
func (s step) String() string {
	text := strings.Join(s.command, " ")
	if s.stdin != "" {
		text += " <<'END'\n" + s.stdin + "END"
	}
	if len(s.guard) == 0 {
		return text
	}
	not := "! "
	if s.ifTrue {
		not = ""
	}
	return "if " + not + strings.Join(s.guard, " ") + " >/dev/null 2>&1; then " + text + "; fi"
}

// tool is a program that sets rules. Its steps can be repeated: a set of rules
// replaces the one before it as a whole.
type tool interface {
	name() string
	set(c *capture, ipv6 bool) []step
	unset(ipv6 bool) []step
}

// tools are those that are looked for, in that order. Where a system has nft, its
// iptables is often a different back end from the one in use, but both work.
var tools = []tool{nft{}, iptables("iptables"), iptables("iptables-legacy"), iptables("iptables-nft")}

// nft keeps the rules in a table of their own.
type nft struct{}

func (nft) name() string { return "nft" }

// nftTable is the family and the name of the table.
func nftTable(ipv6 bool) string {
	if ipv6 {
		return "ip6 llm_capture"
	}
	return "ip llm_capture"
}

func (nft) set(c *capture, ipv6 bool) []step {
	var b strings.Builder
	table := nftTable(ipv6)
	// Declared, so that there is one to delete; all in one transaction.
	fmt.Fprintf(&b, "table %s {}\ndelete table %s\ntable %s {\n\tchain output {\n", table, table, table)
	// Before the chains of others, which have -100 at best.
	fmt.Fprintf(&b, "\t\ttype nat hook output priority -110; policy accept;\n\t\tmeta skuid %d return\n\t\toif \"lo\" return\n", c.uid)
	for _, prefix := range c.excluded(ipv6) {
		fmt.Fprintf(&b, "\t\t%s daddr %s return\n", strings.Fields(table)[0], prefix)
	}
	for _, ports := range c.ports {
		fmt.Fprintf(&b, "\t\ttcp dport %s counter redirect to :%d\n", ports.join("-"), c.to)
	}
	b.WriteString("\t}\n}\n")
	return []step{{command: []string{"nft", "-f", "-"}, stdin: b.String()}}
}

func (nft) unset(ipv6 bool) []step {
	table := nftTable(ipv6)
	return []step{{command: []string{"nft", "-f", "-"}, stdin: fmt.Sprintf("table %s {}\ndelete table %s\n", table, table)}}
}

// iptables keeps the rules in a chain of their own, with a jump to it.
type iptables string

const iptablesChain = "LLM_CAPTURE"

func (t iptables) name() string { return string(t) }

// command is a call of the program; it waits for others that use it.
func (t iptables) command(ipv6 bool, args ...string) []string {
	name := string(t)
	if ipv6 {
		name = "ip6" + strings.TrimPrefix(name, "ip")
	}
	return append([]string{name, "-w", "-t", "nat"}, args...)
}

// restore fills the chain with rules, in place of what it has.
func (t iptables) restore(ipv6 bool, rules string) step {
	name, backend, _ := strings.Cut(t.command(ipv6)[0], "-")
	name += "-"
	if backend != "" {
		name += backend + "-"
	}
	return step{command: []string{name + "restore", "-w", "--noflush"}, stdin: "*nat\n:" + iptablesChain + " - [0:0]\n" + rules + "COMMIT\n"}
}

func (t iptables) set(c *capture, ipv6 bool) []step {
	var b strings.Builder
	rule := func(format string, args ...any) {
		fmt.Fprintf(&b, "-A "+iptablesChain+" "+format+"\n", args...)
	}
	rule("-m owner --uid-owner %d -j RETURN", c.uid)
	rule("-o lo -j RETURN")
	for _, prefix := range c.excluded(ipv6) {
		rule("-d %s -j RETURN", prefix)
	}
	for _, ports := range c.ports {
		rule("-p tcp --dport %s -j REDIRECT --to-ports %d", ports.join(":"), c.to)
	}
	return []step{
		t.restore(ipv6, b.String()),
		{guard: t.command(ipv6, "-C", "OUTPUT", "-p", "tcp", "-j", iptablesChain), command: t.command(ipv6, "-I", "OUTPUT", "-p", "tcp", "-j", iptablesChain)},
	}
}

func (t iptables) unset(ipv6 bool) []step {
	return []step{
		{guard: t.command(ipv6, "-C", "OUTPUT", "-p", "tcp", "-j", iptablesChain), ifTrue: true, command: t.command(ipv6, "-D", "OUTPUT", "-p", "tcp", "-j", iptablesChain)},
		{guard: t.command(ipv6, "-S", iptablesChain), ifTrue: true, command: t.command(ipv6, "-F", iptablesChain)},
		{guard: t.command(ipv6, "-S", iptablesChain), ifTrue: true, command: t.command(ipv6, "-X", iptablesChain)},
	}
}
