package limit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/redisserver"
	"github.com/caddy-llm/gateway/internal/redisclient"
	"github.com/caddy-llm/gateway/llmroute/limit/redisstore"
)

// TestRedisSentinels kills the primary and the first of its Sentinels: the others make the replica the primary, and
// what was granted stays granted. Servers and Sentinels have passwords of their own.
func TestRedisSentinels(t *testing.T) {
	const servers, sentinelsOwn = "of-servers", "of-sentinels"
	auth := []string{"--requirepass", servers, "--masterauth", servers}
	primary := redisserver.New(t, auth...)
	replica := redisserver.New(t, append(auth, "--replicaof", strings.ReplaceAll(primary.Address, ":", " "))...)
	sentinels := redisserver.NewSentinels(t, 3, "main", primary, "sentinel auth-pass main "+servers, "requirepass "+sentinelsOwn, "sentinel sentinel-pass "+sentinelsOwn)
	t.Setenv("SENTINEL_PASSWORD", sentinelsOwn)
	var addresses []string
	for _, s := range sentinels {
		addresses = append(addresses, s.Address)
	}
	awaits := func(what string, s *redisserver.Server, password, command, want string) {
		t.Helper()
		said := ""
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if said = query(t, s.URL(), "AUTH "+password+"\r\n"+command); strings.Contains(said, want) {
				return
			}
		}
		t.Fatalf("%s: %q", what, said)
	}
	awaits("the Sentinels know each other and the replica", sentinels[2], sentinelsOwn, "SENTINEL MASTER main", "num-slaves\r\n$1\r\n1\r\n$19\r\nnum-other-sentinels\r\n$1\r\n2\r\n")

	s := open(t, &redisstore.Store{Server: redisclient.Server{URL: "redis://main/0", Sentinels: addresses, Password: servers, SentinelPassword: "{env.SENTINEL_PASSWORD}"}})
	granted := int64(0)
	for i := range uint64(5) {
		var err error
		if granted, err = take(s, i+1, granted); err != nil || granted != int64(i+1) {
			t.Fatalf("%d, %v", granted, err)
		}
	}
	awaits("the replica has it", replica, servers, "HGET llm:k total", "\r\n5\r\n")
	sentinels[0].Kill()
	primary.Kill()
	var err error
	seq, n := uint64(6), int64(0)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if n, err = take(s, seq, granted); err == nil {
			break
		}
		if seq++; time.Now().After(end) {
			t.Fatalf("the new primary is not used: %v", err)
		}
	}
	if n != 6 {
		t.Errorf("%d are granted after the change, want 6", n)
	}
	awaits("the new primary has it", replica, servers, "HGET llm:k total", "\r\n6\r\n")
}

// TestRedisSentinelErrors holds what is said of Sentinels that do not answer, or know no such primary, or want another
// password.
func TestRedisSentinelErrors(t *testing.T) {
	primary := redisserver.New(t)
	sentinel := redisserver.NewSentinels(t, 1, "main", primary, "requirepass hunter2", "user watcher on >hunter4 ~* &* +@all")[0].Address
	for name, test := range map[string]struct {
		url, address, username, password, want string
	}{
		"works":          {"redis://main/0", sentinel, "", "hunter2", ""},
		"default port":   {"redis://main/0", "127.0.0.1", "", "hunter2", "127.0.0.1:26379"},
		"not there":      {"redis://main/0", "127.0.0.1:1", "", "hunter2", "asking sentinels for the primary main, and connecting to it: dial tcp 127.0.0.1:1"},
		"another name":   {"redis://other/0", sentinel, "", "hunter2", "No such master with that name"},
		"wrong password": {"redis://main/0", sentinel, "", "hunter3", "WRONGPASS"},
		"user":           {"redis://main/0", sentinel, "watcher", "hunter4", ""},
		"none":           {"redis://main/0", sentinel, "", "", "NOAUTH"},
	} {
		s := open(t, &redisstore.Store{Server: redisclient.Server{URL: test.url, Sentinels: []string{test.address}, SentinelUsername: test.username, SentinelPassword: test.password}})
		_, err := take(s, 1, 0)
		if fmt.Sprint(err) == "<nil>" && test.want == "" {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
