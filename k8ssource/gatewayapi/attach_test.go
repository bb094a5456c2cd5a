package gatewayapi

import (
	"encoding/json"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestIntersect(t *testing.T) {
	for _, c := range []struct {
		listener string
		route    []string
		want     []string
	}{
		{"", nil, []string{"*"}}, {"a.com", nil, []string{"a.com"}}, {"", []string{"a.com"}, []string{"a.com"}},
		{"*.a.com", []string{"x.a.com", "a.com", "x.y.a.com"}, []string{"x.a.com", "x.y.a.com"}},
		{"x.a.com", []string{"*.a.com"}, []string{"x.a.com"}}, {"a.com", []string{"b.com"}, nil},
		{"A.com", []string{"a.COM."}, []string{"a.com"}}, {"", []string{"[", "A.com", "a.com"}, []string{"a.com"}}, {"[", nil, nil}, {"*", []string{"*"}, []string{"*"}},
		{"*.a.com", []string{"*.x.a.com"}, []string{"*.x.a.com"}}, {"*.x.a.com", []string{"*.a.com"}, []string{"*.x.a.com"}},
	} {
		if got := Intersect(c.listener, c.route); !slices.Equal(got, c.want) {
			t.Errorf("Intersect(%q, %q) = %q, want %q", c.listener, c.route, got, c.want)
		}
	}
}

func gateway(t *testing.T, listener string) *Gateway {
	t.Helper()
	g := &Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: "g"}}
	if err := json.Unmarshal([]byte(`{"gatewayClassName": "ours", "listeners": [`+listener+`]}`), &g.Spec); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAttach(t *testing.T) {
	class := &GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}}
	class.Spec.ControllerName = "us"
	for name, c := range map[string]struct{ listener, namespace, ref, hosts, want string }{
		"same namespace":           {`{"name": "l", "protocol": "HTTP"}`, "infra", `{"name": "g"}`, `[]`, ReasonAccepted},
		"another namespace":        {`{"name": "l", "protocol": "HTTP"}`, "app", `{"name": "g", "namespace": "infra"}`, `[]`, ReasonNotAllowedByListeners},
		"all namespaces":           {`{"name": "l", "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}`, "app", `{"name": "g", "namespace": "infra"}`, `[]`, ReasonAccepted},
		"selected":                 {`{"name": "l", "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}}}`, "app", `{"name": "g", "namespace": "infra"}`, `[]`, ReasonAccepted},
		"not selected":             {`{"name": "l", "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "c"}}}}}`, "app", `{"name": "g", "namespace": "infra"}`, `[]`, ReasonNotAllowedByListeners},
		"unknown namespace":        {`{"name": "l", "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {}}}}`, "other", `{"name": "g", "namespace": "infra"}`, `[]`, ReasonNotAllowedByListeners},
		"no namespaces":            {`{"name": "l", "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "None"}}}`, "infra", `{"name": "g"}`, `[]`, ReasonNotAllowedByListeners},
		"no such section":          {`{"name": "l", "protocol": "HTTP"}`, "infra", `{"name": "g", "sectionName": "x"}`, `[]`, ReasonNoMatchingParent},
		"no such port":             {`{"name": "l", "protocol": "HTTP", "port": 80}`, "infra", `{"name": "g", "port": 81}`, `[]`, ReasonNoMatchingParent},
		"another host":             {`{"name": "l", "protocol": "HTTP", "hostname": "a"}`, "infra", `{"name": "g"}`, `["b"]`, ReasonNoMatchingListenerHost},
		"one of two hosts":         {`{"name": "l", "protocol": "HTTP", "hostname": "a"}`, "infra", `{"name": "g"}`, `["b", "a"]`, ReasonAccepted},
		"other kinds of routes":    {`{"name": "l", "protocol": "HTTP", "allowedRoutes": {"kinds": [{"kind": "GRPCRoute"}]}}`, "infra", `{"name": "g"}`, `[]`, ReasonNotAllowedByListeners},
		"an unsupported protocol":  {`{"name": "l", "protocol": "TCP"}`, "infra", `{"name": "g"}`, `[]`, ReasonNotAllowedByListeners},
		"one listener that admits": {`{"name": "l", "protocol": "TCP"}, {"name": "m", "protocol": "HTTP"}`, "infra", `{"name": "g"}`, `[]`, ReasonAccepted},
		"not a Gateway":            {`{"name": "l", "protocol": "HTTP"}`, "infra", `{"name": "g", "kind": "Service", "group": ""}`, `[]`, ""},
		"another Gateway":          {`{"name": "l", "protocol": "HTTP"}`, "infra", `{"name": "h"}`, `[]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			route := &HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "r"}}
			if err := json.Unmarshal([]byte(`{"parentRefs": [`+c.ref+`], "hostnames": `+c.hosts+`}`), &route.Spec); err != nil {
				t.Fatal(err)
			}
			got := Attach(&Objects{
				Classes: []*GatewayClass{class}, Gateways: []*Gateway{gateway(t, c.listener)}, Routes: []*HTTPRoute{route},
				Namespaces: map[string]map[string]string{"app": {"a": "b"}, "infra": {}},
			}, "us")
			reason := ""
			if len(got.Routes) > 0 {
				reason = got.Routes[0].Parents[0].Reason
			}
			if reason != c.want {
				t.Errorf("the route is %q, want %q", reason, c.want)
			}
			attached := 0
			for _, l := range got.Gateways[0].Listeners {
				attached += l.Routes
			}
			if want := map[bool]int{true: 1}[c.want == ReasonAccepted]; attached != want {
				t.Errorf("%d routes are attached, want %d", attached, want)
			}
		})
	}
}

func TestPermitted(t *testing.T) {
	grant := &ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "secrets", Name: "g"}}
	if err := json.Unmarshal([]byte(`{"from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra"}], "to": [{"kind": "Secret", "name": "one"}]}`), &grant.Spec); err != nil {
		t.Fatal(err)
	}
	o := &Objects{Grants: []*ReferenceGrant{grant}}
	for _, c := range []struct {
		kind, from, to, name string
		want                 bool
	}{
		{KindGateway, "secrets", "secrets", "two", true}, {KindGateway, "infra", "secrets", "one", true}, {KindGateway, "infra", "secrets", "two", false},
		{KindHTTPRoute, "infra", "secrets", "one", false}, {KindGateway, "other", "secrets", "one", false}, {KindGateway, "infra", "elsewhere", "one", false},
	} {
		if got := o.Permitted(Group, c.kind, c.from, "", "Secret", c.to, c.name); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
