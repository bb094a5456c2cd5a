package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
)

func TestGatewayAddresses(t *testing.T) {
	got, err := gatewayAddresses([]string{"203.0.113.7", "2001:DB8::1", "llm.example.com"})
	if want := "[{IPAddress 203.0.113.7} {IPAddress 2001:db8::1} {Hostname llm.example.com}]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v %v, want %s", got, err, want)
	}
	for _, text := range []string{"", "a:80", "a_b", "http://a", "-a", "a.", "fe80::1%eth0", "[::1]", "A", strings.Repeat("a", 254)} {
		if _, err := gatewayAddresses([]string{text}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if _, err := gatewayAddresses(make([]string, 17)); err == nil || !strings.Contains(err.Error(), "at most 16") {
		t.Errorf("17 addresses: %v", err)
	}
}

// TestStatusAddresses holds that addresses which others wrote stay where none are given.
func TestStatusAddresses(t *testing.T) {
	status := &gatewayapi.Status{Kind: gatewayapi.KindGateway, Object: new(gatewayapi.Gateway)}
	if next, _ := nextAPIStatus(nil, status, time.Now()); next["addresses"] != nil {
		t.Errorf("without addresses the status is %v", next)
	}
	status.Addresses = []gatewayapi.Address{{Type: "IPAddress", Value: "203.0.113.7"}}
	if next, _ := nextAPIStatus(nil, status, time.Now()); fmt.Sprint(next["addresses"]) != "[{IPAddress 203.0.113.7}]" {
		t.Errorf("the status is %v", next)
	}
}
