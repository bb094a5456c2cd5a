package limit

import (
	"testing"
	"time"
)

// TestLocalLimits holds that a limit that each process counts for itself is not shared, and
// not stored, beside others that are.
func TestLocalLimits(t *testing.T) {
	amounts := []Amount{{Unit: UnitRequests, Amount: "5", Window: "day"}}
	e := newEngine(time.Now)
	s := e.Compile(&Config{Limits: []*Definition{
		{Name: "local", Amounts: amounts, Scope: &Scope{Everything: true, Local: true}}, {Name: "shared", Amounts: amounts, Scope: &Scope{Everything: true}},
	}}, NewStoreModel(time.Now))
	defer s.Close()
	if m := s.limits[0].meters[0]; m.sharing != nil || m.stored {
		t.Errorf("the local limit is shared: %v, stored: %v", m.sharing != nil, m.stored)
	}
	if m := s.limits[1].meters[0]; m.sharing == nil || !m.stored {
		t.Errorf("the other limit is shared: %v, stored: %v", m.sharing != nil, m.stored)
	}
}

// TestScopeTakes holds which requests scopes take by the way that they came.
func TestScopeTakes(t *testing.T) {
	gateway, sidecar := &Request{Gateway: "a/b"}, &Request{}
	for _, test := range []struct {
		scope            Scope
		gateway, sidecar bool
	}{
		{Scope{AnyGateway: true}, true, false}, {Scope{Sidecars: true}, false, true}, {Scope{Gateways: []string{"a/b"}}, true, false},
		{Scope{Gateways: []string{""}}, false, true}, {Scope{Everything: true}, true, true}, {Scope{}, false, false},
	} {
		if test.scope.takes(gateway) != test.gateway || test.scope.takes(sidecar) != test.sidecar {
			t.Errorf("%+v takes %v and %v", test.scope, test.scope.takes(gateway), test.scope.takes(sidecar))
		}
	}
}

// TestTierOfOneProvider holds that a client's usual limits hold where a request goes on to a
// provider that its tier is not about.
func TestTierOfOneProvider(t *testing.T) {
	for _, by := range []*Definition{{Providers: []string{"p1"}}, {Scope: &Scope{Providers: []string{"p1"}}}, {Models: []string{"m1"}}} {
		gold := *by
		gold.Name, gold.Key, gold.Concurrent, gold.Tier = "gold", []Key{KeyClient}, 5, true
		e := newEngine(time.Now)
		s := e.Compile(&Config{Limits: []*Definition{{Name: "usual", Key: []Key{KeyClient}, Concurrent: 1}, &gold}}, nil)
		var all []*Reservation
		for i, want := range []bool{true, false} {
			r, refused := s.Reserve(t.Context(), &Request{Subject: nobody{}, Tier: "gold", Provider: "p1", Model: "m1"})
			if refused != nil {
				t.Fatal(refused)
			}
			all = append(all, r)
			if refused := r.Retarget(t.Context(), "p2", "m2", nil); (refused == nil) != want {
				t.Errorf("%+v: request %d at the other provider: %+v", by, i+1, refused)
			}
		}
		for _, r := range all {
			r.End()
		}
	}
}

// TestTierOutOfScope holds that a tier replaces limits of clients only where it holds.
func TestTierOutOfScope(t *testing.T) {
	e := newEngine(time.Now)
	s := e.Compile(&Config{Limits: []*Definition{
		{Name: "each", Key: []Key{KeyClient}, Concurrent: 1}, {Name: "ns.gold", Key: []Key{KeyClient}, Concurrent: 1, Tier: true, Scope: &Scope{Namespace: "ns"}},
	}}, nil)
	defer s.Close()
	for namespace, want := range map[string]string{"ns": "ns.gold", "other": "each"} {
		r, _ := s.Reserve(t.Context(), &Request{Subject: nobody{}, Tier: "ns.gold", Route: Object{Namespace: namespace}})
		if len(r.holds) != 1 || r.holds[0].l.Name != want {
			t.Errorf("in %s there are %d holds, want one of %s", namespace, len(r.holds), want)
		}
		r.End()
	}
}

// nobody is a subject without any values.
type nobody struct{}

func (nobody) Value(Key) string { return "" }
func (nobody) Matches(int) bool { return false }
