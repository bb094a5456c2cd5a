// Package fakepicker is an endpoint picker of the Gateway API Inference Extension for tests:
// a server of Envoy's external processing protocol that does whatever real ones do, and what
// broken ones do.
package fakepicker

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	status "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// ServiceName is the name under which the picker says how it is.
const ServiceName = "envoy.service.ext_proc.v3.ExternalProcessor"

const (
	destination = "x-gateway-destination-endpoint"
	pieceSize   = 62_000
)

// Behaviour is what a picker does with a request. The zero value chooses nothing.
type Behaviour struct {
	// Endpoints is the choice, in the header and in the metadata.
	Endpoints string
	// Metadata is the choice in the metadata, if it is another one; "-" for none there.
	Metadata string
	// HeaderOff leaves the choice out of the header.
	HeaderOff bool

	// Early has it choose before it has seen the body.
	Early bool
	// Delay is waited for before the choice.
	Delay time.Duration
	// Hang has it never choose.
	Hang bool
	// FailAfter has the stream fail once that many bytes of the body were seen; 1 or more.
	FailAfter int
	// End has it end the stream without a choice.
	End bool
	// EndAfter has it end the stream once it has chosen and given the body back.
	EndAfter bool

	// Echo has it send the body back, in pieces. Otherwise it leaves the body alone.
	Echo bool
	// Partial has its stream fail after the first piece that it sends back.
	Partial bool
	// Silent has it say nothing at all of the body.
	Silent bool
	// From and To are replaced in the body that it sends back.
	From, To string
	// Set are headers that it adds to the request, and SetResponse to the response.
	Set, SetResponse map[string]string
	// EchoHeaders has it send all headers back.
	EchoHeaders bool

	// Status is an own response instead of a choice, with Body and Header.
	Status int
	Body   string
	Header map[string]string

	// Evict has it end the request that long after the choice, with 429.
	Evict time.Duration

	// See has it ask for the response's body, in that mode.
	See mode.ProcessingMode_BodySendMode
	// EndInResponse has it end the stream at that many bytes of the response; 1 or more.
	EndInResponse int
	// Upper has it send the response's body back in capitals.
	Upper bool
}

// Seen is what a picker was told of one request.
type Seen struct {
	Header        map[string]string
	Body          []byte
	Chunks        []int // sizes of the body's messages
	First, Last   []string
	Config        *extproc.ProtocolConfiguration
	EndsInHeaders bool
	Served        string
	Status        string
	Response      []byte
	Ended         bool // the gateway has ended the stream
}

// Server is a running picker.
type Server struct {
	Address string
	Health  *health.Server

	grpc *grpc.Server
	mu   sync.Mutex
	is   Behaviour
	seen []*Seen

	extproc.UnimplementedExternalProcessorServer
}

// New starts a picker without TLS, at a free port or at the address.
func New(t testing.TB, address string, options ...grpc.ServerOption) *Server {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: listener.Addr().String(), Health: health.NewServer(), grpc: grpc.NewServer(options...)}
	extproc.RegisterExternalProcessorServer(s.grpc, s)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.Health)
	s.Health.SetServingStatus(ServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	go s.grpc.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the picker and all its streams.
func (s *Server) Stop() { s.grpc.Stop() }

// Is has the picker behave like that from the next request on.
func (s *Server) Is(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.is = b
}

// Count is the number of requests that were seen so far.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// Last waits until what was seen last is as it should be, and returns it.
func (s *Server) Last(t testing.TB, done func(*Seen) bool) Seen {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		if n := len(s.seen); n > 0 && done(s.seen[n-1]) {
			defer s.mu.Unlock()
			return *s.seen[n-1]
		}
		s.mu.Unlock()
		if time.Now().After(end) {
			t.Fatal("the picker was not told what it should have been")
		}
	}
}

// Process implements the protocol.
func (s *Server) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	s.mu.Lock()
	is, seen := s.is, &Seen{Header: make(map[string]string)}
	s.seen = append(s.seen, seen)
	s.mu.Unlock()
	note := func(f func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f()
	}
	p := &picking{Behaviour: is, server: s, stream: stream, seen: seen}
	for {
		m, err := stream.Recv()
		if err != nil {
			note(func() { seen.Ended = true })
			return nil //nolint:nilerr // the gateway has ended the stream
		}
		var done bool
		note(func() { done, err = p.take(m) })
		if err != nil {
			return err
		}
		if done {
			return nil
		}
	}
}

// picking is one request.
type picking struct {
	Behaviour
	server *Server
	stream extproc.ExternalProcessor_ProcessServer
	seen   *Seen
	chosen bool
	mu     sync.Mutex // of sending
}

func (p *picking) send(m *extproc.ProcessingResponse) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stream.Send(m)
}

func hint(m *extproc.ProcessingRequest) (out []string) {
	list := m.GetMetadataContext().GetFilterMetadata()["envoy.lb.subset_hint"].GetFields()["x-gateway-destination-endpoint-subset"].GetListValue()
	for _, v := range list.GetValues() {
		out = append(out, v.GetStringValue())
	}
	return out
}

func (p *picking) take(m *extproc.ProcessingRequest) (done bool, err error) {
	switch r := m.Request.(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		p.seen.Config, p.seen.First, p.seen.EndsInHeaders = m.ProtocolConfig, hint(m), r.RequestHeaders.EndOfStream
		for _, h := range r.RequestHeaders.GetHeaders().GetHeaders() {
			p.seen.Header[h.Key] = string(h.RawValue)
		}
		if p.End {
			return true, nil
		}
		if p.Early || r.RequestHeaders.EndOfStream {
			if done, err := p.choose(); done || err != nil {
				return done, err
			}
		}
		return p.EndAfter && r.RequestHeaders.EndOfStream, nil
	case *extproc.ProcessingRequest_RequestBody:
		p.seen.Body = append(p.seen.Body, r.RequestBody.Body...)
		p.seen.Chunks = append(p.seen.Chunks, len(r.RequestBody.Body))
		p.seen.Last = hint(m)
		if p.FailAfter > 0 && len(p.seen.Body) >= p.FailAfter {
			return true, grpcstatus.Error(codes.Internal, "broken")
		}
		if !p.Echo && !p.Silent && !r.RequestBody.EndOfStream {
			return false, p.send(bodyResponse(&extproc.CommonResponse{}))
		}
		if !r.RequestBody.EndOfStream {
			return false, nil
		}
		body := p.seen.Body
		if p.From != "" { // before the choice, after which the body is not waited for long
			body = bytes.ReplaceAll(body, []byte(p.From), []byte(p.To))
		}
		if !p.chosen {
			if done, err := p.choose(); done || err != nil {
				return done, err
			}
		}
		return p.EndAfter, p.giveBack(body)
	case *extproc.ProcessingRequest_ResponseHeaders:
		p.seen.Served = m.GetMetadataContext().GetFilterMetadata()["envoy.lb"].GetFields()["x-gateway-destination-endpoint-served"].GetStringValue()
		mutation := &extproc.HeaderMutation{SetHeaders: options(p.SetResponse)}
		for _, h := range r.ResponseHeaders.GetHeaders().GetHeaders() {
			if h.Key == ":status" {
				p.seen.Status = string(h.RawValue)
			}
			if p.EchoHeaders {
				mutation.SetHeaders = append(mutation.SetHeaders, &core.HeaderValueOption{Header: h})
			}
		}
		return false, p.send(&extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseHeaders{
			ResponseHeaders: &extproc.HeadersResponse{Response: &extproc.CommonResponse{HeaderMutation: mutation}},
		}})
	case *extproc.ProcessingRequest_ResponseBody:
		p.seen.Response = append(p.seen.Response, r.ResponseBody.Body...)
		if p.EndInResponse > 0 && len(p.seen.Response) >= p.EndInResponse {
			return true, nil
		}
		body := r.ResponseBody.Body
		if p.Upper {
			body = bytes.ToUpper(body)
		}
		c := &extproc.CommonResponse{BodyMutation: streamed(body, r.ResponseBody.EndOfStream)}
		if p.See == mode.ProcessingMode_STREAMED {
			c.BodyMutation = nil
			if p.Upper {
				c.BodyMutation = &extproc.BodyMutation{Mutation: &extproc.BodyMutation_Body{Body: body}}
			}
		}
		return false, p.send(&extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseBody{ResponseBody: &extproc.BodyResponse{Response: c}}})
	}
	return false, nil
}

// choose says which endpoint it is to be, or what is to be said instead.
func (p *picking) choose() (done bool, err error) {
	p.chosen = true
	p.server.mu.Unlock() // held by Process
	time.Sleep(p.Delay)
	if p.Hang {
		<-p.stream.Context().Done()
	}
	p.server.mu.Lock()
	switch {
	case p.Hang:
		return true, nil
	case p.Status > 0:
		return false, p.send(refusal(p.Status, p.Body, p.Header))
	}
	mutation := &extproc.HeaderMutation{SetHeaders: options(p.Set)}
	if p.EchoHeaders {
		for name, value := range p.seen.Header {
			mutation.SetHeaders = append(mutation.SetHeaders, option(name, value))
		}
		mutation.SetHeaders = append(mutation.SetHeaders, option("content-length", "7"), option("authorization", "Bearer picker"))
	}
	if !p.HeaderOff && p.Endpoints != "" {
		mutation.SetHeaders = append(mutation.SetHeaders, option(destination, p.Endpoints))
	}
	m := &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestHeaders{
		RequestHeaders: &extproc.HeadersResponse{Response: &extproc.CommonResponse{HeaderMutation: mutation, ClearRouteCache: true}},
	}}
	if noted := p.Metadata; noted != "-" {
		if noted == "" {
			noted = p.Endpoints
		}
		m.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{
			"envoy.lb": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{destination: structpb.NewStringValue(noted)}}),
		}}
	}
	if p.See != 0 {
		m.ModeOverride = &mode.ProcessingMode{ResponseBodyMode: p.See}
	}
	if p.Evict > 0 {
		time.AfterFunc(p.Evict, func() {
			_ = p.send(refusal(429, "evicted", map[string]string{"x-llm-d-request-dropped-reason": "evicted"}))
		})
	}
	return false, p.send(m)
}

// giveBack says what is to become of the body, or sends it back like this.
func (p *picking) giveBack(body []byte) error {
	switch {
	case p.Silent || p.Status > 0:
		return nil
	case !p.Echo:
		return p.send(bodyResponse(&extproc.CommonResponse{}))
	}
	for {
		n := min(len(body), pieceSize)
		if err := p.send(bodyResponse(&extproc.CommonResponse{BodyMutation: streamed(body[:n], n == len(body))})); err != nil || n == len(body) {
			return err
		}
		if body = body[n:]; p.Partial {
			return grpcstatus.Error(codes.Internal, "broken")
		}
	}
}

func streamed(body []byte, end bool) *extproc.BodyMutation {
	return &extproc.BodyMutation{Mutation: &extproc.BodyMutation_StreamedResponse{StreamedResponse: &extproc.StreamedBodyResponse{Body: body, EndOfStream: end}}}
}

func bodyResponse(c *extproc.CommonResponse) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{RequestBody: &extproc.BodyResponse{Response: c}}}
}

func refusal(code int, body string, header map[string]string) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extproc.ImmediateResponse{
		Status: &status.HttpStatus{Code: status.StatusCode(code)}, Body: []byte(body), Headers: &extproc.HeaderMutation{SetHeaders: options(header)},
	}}}
}

func option(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)}}
}

func options(set map[string]string) (out []*core.HeaderValueOption) {
	for name, value := range set {
		out = append(out, option(name, value))
	}
	return out
}
