package picker

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls" // trust pools
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	status "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestProvision(t *testing.T) {
	for text, says := range map[string]string{
		`{"address":"10.0.0.1:9002"}`:                                         "",
		`{"address":"[::1]:9002","failure_mode":"FailOpen","plaintext":true}`: "",
		`{"address":"epp.ns.svc:9002","server_name":"a","timeout":"5m"}`:      "",
		`{}`:                                      "no host with a port",
		`{"address":"10.0.0.1"}`:                  "no host with a port",
		`{"address":"http://10.0.0.1:9002/"}`:     "no host with a port",
		`{"address":":9002"}`:                     "no host with a port",
		`{"address":"a:1","failure_mode":"Open"}`: "write FailOpen or FailClose",
		`{"address":"a:1","timeout":-1}`:          "is negative",
		`{"address":"a:1","plaintext":true,"server_name":"b"}`:                         "keep one of the two",
		`{"address":"a:1","ca":{"provider":"file","pem_files":["/no/such/file.pem"]}}`: "certificate must be signed by",
	} {
		p := new(Picker)
		if err := json.Unmarshal([]byte(text), p); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		err := p.Provision(ctx)
		cancel()
		switch {
		case says == "" && err != nil, says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: got %v, want %q", text, err, says)
		case err == nil:
			if p.conn == nil || p.FailOpen() != (p.FailureMode == FailOpen) || p.Timeout <= 0 {
				t.Errorf("%s: %+v", text, p)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func set(pairs ...string) *extproc.HeaderMutation {
	m := new(extproc.HeaderMutation)
	for i := 0; i+1 < len(pairs); i += 2 {
		m.SetHeaders = append(m.SetHeaders, &core.HeaderValueOption{Header: &core.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])}})
	}
	return m
}

// TestMutate holds that a picker changes neither what the gateway sets itself nor credentials.
func TestMutate(t *testing.T) {
	header := http.Header{"Authorization": {"Bearer own"}, "Content-Type": {"application/json"}, "X-One": {"1"}, "X-Two": {"1", "2"}, "X-Gone": {"1"}}
	m := set("x-one", "2", "x-two", "1", "x-two", "2", "x-new", "3", ":path", "/evil", "host", "evil", "content-length", "1", "transfer-encoding", "chunked", "connection", "close",
		"authorization", "Bearer evil", "cookie", "a=b", "x-api-key", "evil", "x bad", "1", "x-bad", "a\r\nb: c", "x-gateway-destination-endpoint", "10.0.0.1:1", "content-type", "text/evil")
	m.RemoveHeaders = []string{"x-gone", "authorization", ":method", "content-type"}
	mutate(header, m)
	want := http.Header{"Authorization": {"Bearer own"}, "Content-Type": {"application/json"}, "X-One": {"2"}, "X-Two": {"1", "2"}, "X-New": {"3"}}
	if !reflect.DeepEqual(header, want) {
		t.Errorf("got %v", header)
	}
	// A picker that sets a header of a response and sends all of the response's back sends it twice.
	if mutate(header, set("x-new", "3", "x-two", "1", "x-two", "3", "x-two", "3", "x-new", "3")); !slices.Equal(header["X-New"], []string{"3"}) || !slices.Equal(header["X-Two"], []string{"1", "3"}) {
		t.Errorf("got %v", header)
	}
	m = set("x-one", "4")
	m.SetHeaders[0].AppendAction = core.HeaderValueOption_ADD_IF_ABSENT
	if mutate(header, m); header.Get("X-One") != "2" {
		t.Errorf("got %v", header)
	}
}

func TestEndpointsOf(t *testing.T) {
	noted := func(value string) *structpb.Struct {
		return &structpb.Struct{Fields: map[string]*structpb.Value{lbNamespace: structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
			destinationHeader: structpb.NewStringValue(value),
		}})}}
	}
	for _, test := range []struct {
		header, metadata, want string
		err                    error
	}{
		{"10.0.0.1:80", "", "10.0.0.1:80", nil},
		{"", "10.0.0.1:80", "10.0.0.1:80", nil},
		{"10.0.0.1:80, 10.0.0.2:81", "10.0.0.1:80, 10.0.0.2:81", "10.0.0.1:80 10.0.0.2:81", nil},
		{"[fd00::1]:80,[0:0::1]:81,::ffff:10.0.0.1:80", "", "[fd00::1]:80 [::1]:81", nil},
		{"[::ffff:10.0.0.1]:80", "", "10.0.0.1:80", nil},
		{"models.example.com:80,10.0.0.1:80,10.0.0.2", "", "10.0.0.1:80", nil},
		{"", "", "", errNoEndpoint},
		{" ", "", "", errNoEndpoint},
		{",", "", "", errNoAddresses},
		{"models.example.com:80", "", "", errNoAddresses},
		{"10.0.0.1:80", "10.0.0.2:80", "", errContradiction},
	} {
		var header *extproc.HeaderMutation
		if test.header != "" {
			header = set(destinationHeader, test.header)
		}
		var metadata *structpb.Struct
		if test.metadata != "" {
			metadata = noted(test.metadata)
		}
		got, err := endpointsOf(header, metadata)
		if strings.Join(got, " ") != test.want || err != test.err { //nolint:errorlint // it is that one
			t.Errorf("%q, %q: %q, %v", test.header, test.metadata, got, err)
		}
	}
}

func TestRefusalOf(t *testing.T) {
	for code, want := range map[int]int{429: 429, 503: 503, 400: 400, 599: 599, 200: 503, 302: 503, 0: 503, 999: 503} {
		got := refusalOf(&extproc.ImmediateResponse{Status: &status.HttpStatus{Code: status.StatusCode(code)}, Body: make([]byte, maxRefusal+1), Headers: set("retry-after", "3", "connection", "close")})
		if got.Status != want || len(got.Body) != maxRefusal || !reflect.DeepEqual(got.Header, http.Header{"Retry-After": {"3"}}) {
			t.Errorf("%d: %d %v", code, got.Status, got.Header)
		}
	}
	if got := refusalOf(&extproc.ImmediateResponse{}); got.Status != 503 {
		t.Errorf("%+v", got)
	}
}
