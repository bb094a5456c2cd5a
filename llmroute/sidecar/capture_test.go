package sidecar

import (
	"bytes"
	"strings"
	"testing"
)

// runCapture runs `caddy llm capture` with these arguments.
func runCapture(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := newCaptureCommand()
	var out bytes.Buffer
	cmd.SilenceErrors = true
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestCaptureSettings(t *testing.T) {
	for _, tc := range []struct{ args, err string }{
		{"--ports 0", `--ports: "0" is not a port; write a number from 1 to 65535 such as 80, or two as in 8000-8010`},
		{"--ports 65536", `"65536" is not a port`},
		{"--ports http", `"http" is not a port`},
		{"--ports 90-80", `"90-80" is not a port`},
		{"--ports 80-", `"80-" is not a port`},
		{"--ports 80,", `"" is not a port`},
		{"--ports=", "--ports is empty"},
		{"--ports 80,15001", `--ports: "15001" includes 15001, which the gateway itself listens on`},
		{"--ports 15000-15010", `"15000-15010" includes 15001`},
		{"--ports 8080 --to 8080", `"8080" includes 8080`},
		{"--to 0", "--to is 0; write the port that the gateway listens on, such as 15001"},
		{"--to 70000", `invalid argument "70000"`},
		{"--uid 0", "--uid is 0"},
		{"--uid gateway", `invalid argument "gateway"`},
		{"--exclude 10.0.0.0/33", `--exclude: "10.0.0.0/33" is not a range of addresses; write one such as 10.0.0.0/8`},
		{"--exclude example.com", `"example.com" is not a range`},
		{"--exclude fe80::1%eth0", `is not a range`},
		{"--exclude ::ffff:10.0.0.0/104", `is not a range`},
		{"80", `unknown command "80"`},
	} {
		if _, err := runCapture(t, append(strings.Fields(tc.args), "--dry-run")...); err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %v\nwant %s", tc.args, err, tc.err)
		}
	}
}

// TestRules holds the rules to the languages of their tools; the integration
// tests run them.
func TestRules(t *testing.T) {
	c, err := newCapture([]string{"80", "8000-8010"}, []string{"10.1.2.3/8", "192.0.2.1", "fd00::1", "2001:db8::/32"}, 1000, 9000)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		tool tool
		ipv6 bool
		want string
	}{
		{nft{}, false, `nft -f - <<'END'
table ip llm_capture {}
delete table ip llm_capture
table ip llm_capture {
	chain output {
		type nat hook output priority -110; policy accept;
		meta skuid 1000 return
		oif "lo" return
		ip daddr 10.0.0.0/8 return
		ip daddr 192.0.2.1/32 return
		tcp dport 80 counter redirect to :9000
		tcp dport 8000-8010 counter redirect to :9000
	}
}
END
`},
		{iptables("iptables-legacy"), true, `ip6tables-legacy-restore -w --noflush <<'END'
*nat
:LLM_CAPTURE - [0:0]
-A LLM_CAPTURE -m owner --uid-owner 1000 -j RETURN
-A LLM_CAPTURE -o lo -j RETURN
-A LLM_CAPTURE -d fd00::1/128 -j RETURN
-A LLM_CAPTURE -d 2001:db8::/32 -j RETURN
-A LLM_CAPTURE -p tcp --dport 80 -j REDIRECT --to-ports 9000
-A LLM_CAPTURE -p tcp --dport 8000:8010 -j REDIRECT --to-ports 9000
COMMIT
END
if ! ip6tables-legacy -w -t nat -C OUTPUT -p tcp -j LLM_CAPTURE >/dev/null 2>&1; then ip6tables-legacy -w -t nat -I OUTPUT -p tcp -j LLM_CAPTURE; fi
`},
	} {
		got := ""
		for _, s := range tc.tool.set(c, tc.ipv6) {
			got += s.String() + "\n"
		}
		if got != tc.want {
			t.Errorf("%s: got\n%swant\n%s", tc.tool.name(), got, tc.want)
		}
	}
}

// The lines are those of proc_pid_net(5): address, number, prefix length, scope,
// flags, name.
func TestHasIPv6Address(t *testing.T) {
	const (
		loopback = "00000000000000000000000000000001 01 80 10 80       lo\n"
		link     = "fe80000000000000c80affbb0e2bec8e 02 40 20 80     eth0\n"
		unique   = "fd770000000000000000000000000002 02 40 00 80     eth0\n"
	)
	for list, want := range map[string]bool{"": false, loopback: false, loopback + link: false, loopback + unique + link: true} {
		if got := hasIPv6Address(list); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}
