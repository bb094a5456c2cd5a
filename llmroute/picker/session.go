package picker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/caddy-llm/gateway/llmprovider"
)

// The names of the Endpoint Picker Protocol 1.0.0.
const (
	destinationHeader = "x-gateway-destination-endpoint"
	lbNamespace       = "envoy.lb"
	servedKey         = "x-gateway-destination-endpoint-served"
	subsetNamespace   = "envoy.lb.subset_hint"
	subsetKey         = "x-gateway-destination-endpoint-subset"
)

const (
	// chunkSize is the most of a body in one message: some pickers take 64 KiB at most.
	chunkSize = 62_000
	// bodyWait is how long the body's messages are waited for after the choice. A picker
	// that leaves the body alone need not send any.
	bodyWait = time.Second
	// maxGrowth is how much longer than the request's body the picker's may be.
	maxGrowth = 4 << 20
	// maxRefusal is the most that is kept of a picker's own response.
	maxRefusal = 64 << 10
	// closeTime is how long a picker may take to end its stream.
	closeTime = time.Second
)

var (
	errNoDecision    = errors.New("the endpoint picker did not decide in time")
	errNoEndpoint    = errors.New("the endpoint picker named no endpoint")
	errContradiction = errors.New("the endpoint picker named different endpoints in its header and its metadata")
	errEndedEarly    = errors.New("the endpoint picker ended its stream before it had decided")
	errLongerBody    = errors.New("the endpoint picker's body is much longer than the request's")
	errNoAddresses   = errors.New("the endpoint picker named what is no IP address with a port")
)

// session is one request of which a picker knows.
type session struct {
	stream   extproc.ExternalProcessor_ProcessClient
	heard    func() // notes that the picker has said something
	cancel   context.CancelFunc
	evict    func(*llmprovider.PickerRefusal)
	hasBody  bool
	longest  int           // that the picker's body may be
	decided  chan struct{} // closed when there is a choice and the body is complete, or an error
	chosen   chan struct{} // closed when there is a choice
	ended    chan struct{} // closed when the picker's stream has ended
	sent     chan struct{} // closed when the request was sent
	response chan *extproc.HeadersResponse

	sending sync.Mutex

	mu        sync.Mutex // guards what follows, up to decided
	isChosen  bool
	isDecided bool
	err       error
	refusal   *llmprovider.PickerRefusal
	endpoints []string
	mutations []*extproc.HeaderMutation
	body      []byte // the picker's
	streamed  bool   // there is some of it
	skip      bool   // the picker wants no response
	see       bool   // it wants the response's body
	tap       *responseBody
}

// Pick implements llmprovider.EndpointPicker.
func (p *Picker) Pick(ctx context.Context, ask *llmprovider.PickerRequest) (llmprovider.PickerSession, error) {
	began := time.Now()
	ctx, stop := context.WithTimeoutCause(ctx, time.Duration(p.Timeout), errNoDecision)
	defer stop()
	conn, err := p.conn.get(ctx)
	if err != nil {
		return nil, err
	}
	streamContext, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it goes on after the choice
	defer context.AfterFunc(ctx, cancel)()
	stream, err := extproc.NewExternalProcessorClient(conn).Process(streamContext)
	if err != nil {
		cancel()
		return nil, causeOf(ctx, err)
	}
	s := &session{
		stream: stream, heard: p.conn.heardNow, cancel: cancel, evict: ask.Evict, hasBody: ask.Request.Body != nil && ask.Request.Body != http.NoBody,
		longest: int(max(ask.Request.ContentLength, 0)) + maxGrowth,
		decided: make(chan struct{}), chosen: make(chan struct{}), ended: make(chan struct{}), sent: make(chan struct{}), response: make(chan *extproc.HeadersResponse, 1),
	}
	go s.receive()
	go s.request(ask)
	select {
	case <-s.decided:
	case <-ctx.Done():
		s.fail(context.Cause(ctx))
	case <-s.chosen:
		s.awaitBody(ctx)
	}
	<-s.decided
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.refusal != nil:
		s.cancel()
		return nil, s.refusal
	case s.err != nil:
		s.cancel()
		err := causeOf(ctx, s.err)
		if errors.Is(err, errNoDecision) && p.conn.silentSince(began) {
			p.conn.renew(conn)
		}
		return nil, err
	}
	return s, nil
}

// causeOf is why ctx has ended, if it has, or else the error.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// awaitBody waits for the body of the request as the picker wants it, once the choice is
// known.
func (s *session) awaitBody(ctx context.Context) {
	wait := time.NewTimer(bodyWait)
	defer wait.Stop()
	for {
		select {
		case <-s.decided:
		case <-ctx.Done():
			if !s.leavesBody() {
				s.fail(context.Cause(ctx))
			}
		case <-wait.C:
			if !s.leavesBody() {
				continue
			}
		}
		return
	}
}

// leavesBody ends the waiting for the body if the picker has said nothing of it.
func (s *session) leavesBody() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streamed {
		return false
	}
	s.decide()
	return true
}

// request sends the headers and the body, without waiting for what the picker says: it may
// say nothing before it has seen all of it.
func (s *session) request(ask *llmprovider.PickerRequest) {
	defer close(s.sent)
	hint := subsetHint(ask.Subset)
	err := s.send(&extproc.ProcessingRequest{
		Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{
			Headers: &core.HeaderMap{Headers: requestHeaders(ask.Request)}, EndOfStream: !s.hasBody,
		}},
		MetadataContext: hint,
		ProtocolConfig: &extproc.ProtocolConfiguration{
			RequestBodyMode: mode.ProcessingMode_FULL_DUPLEX_STREAMED, ResponseBodyMode: mode.ProcessingMode_FULL_DUPLEX_STREAMED,
		},
	})
	if err != nil || !s.hasBody {
		return // what went wrong is told by the stream
	}
	body, err := ask.Request.GetBody()
	if err != nil {
		s.fail(err)
		return
	}
	defer body.Close()
	left := ask.Request.ContentLength
	for {
		chunk := make([]byte, min(max(left, 0), chunkSize))
		n, err := io.ReadFull(body, chunk)
		if err != nil && left > 0 {
			s.fail(fmt.Errorf("reading the request's body for the endpoint picker: %w", err))
			return
		}
		left -= int64(n)
		message := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: chunk[:n], EndOfStream: left <= 0}}}
		if left <= 0 {
			message.MetadataContext = hint // some pickers read that of the last message, some that of the first
		}
		if s.send(message) != nil || left <= 0 {
			return
		}
	}
}

// send sends one message.
func (s *session) send(m *extproc.ProcessingRequest) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.stream.Send(m)
}

// subsetHint is the metadata that names the endpoints which may be picked; nil for all.
func subsetHint(subset []string) *core.Metadata {
	if len(subset) == 0 {
		return nil
	}
	list := &structpb.ListValue{Values: make([]*structpb.Value, len(subset))}
	for i, address := range subset {
		list.Values[i] = structpb.NewStringValue(address)
	}
	return &core.Metadata{FilterMetadata: map[string]*structpb.Struct{
		subsetNamespace: {Fields: map[string]*structpb.Value{subsetKey: structpb.NewListValue(list)}},
	}}
}

// receive reads what the picker says to the end of its stream.
func (s *session) receive() {
	defer s.cancel()
	defer close(s.ended)
	for {
		m, err := s.stream.Recv()
		if err != nil {
			s.streamEnded(err)
			return
		}
		s.heard()
		if !s.take(m) {
			return
		}
	}
}

// streamEnded notes the end of the picker's stream. A picker may end it once it has
// chosen: then the request goes on without it.
func (s *session) streamEnded(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tap := s.tap; tap != nil {
		tap.bypass()
	}
	switch {
	case s.isDecided:
	case s.isChosen && !s.streamed:
		s.decide()
	case errors.Is(err, io.EOF):
		s.failLocked(errEndedEarly)
	default:
		s.failLocked(err)
	}
}

// take handles one message. It returns false if there is to be no other.
func (s *session) take(m *extproc.ProcessingResponse) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r := m.Response.(type) {
	case *extproc.ProcessingResponse_ImmediateResponse:
		refusal := refusalOf(r.ImmediateResponse)
		if !s.isDecided {
			s.refusal = refusal
			s.decide()
		} else if s.evict != nil {
			s.evict(refusal)
			s.evict = nil
		}
		return false
	case *extproc.ProcessingResponse_RequestHeaders:
		if !s.isChosen {
			s.choose(r.RequestHeaders.GetResponse(), m)
		}
	case *extproc.ProcessingResponse_RequestBody:
		if !s.isDecided {
			s.takeBody(r.RequestBody.GetResponse())
		}
	case *extproc.ProcessingResponse_ResponseHeaders:
		select {
		case s.response <- r.ResponseHeaders:
		default: // the first one counts
		}
	case *extproc.ProcessingResponse_ResponseBody:
		if s.tap != nil {
			s.tap.take(r.ResponseBody.GetResponse())
		}
	}
	return true
}

// choose reads the response to the request's headers.
func (s *session) choose(c *extproc.CommonResponse, m *extproc.ProcessingResponse) {
	list, err := endpointsOf(c.GetHeaderMutation(), m.GetDynamicMetadata())
	if err != nil {
		s.failLocked(err)
		return
	}
	s.endpoints, s.isChosen = list, true
	s.mutations = append(s.mutations, c.GetHeaderMutation())
	if override := m.GetModeOverride(); override != nil {
		s.skip = override.ResponseHeaderMode == mode.ProcessingMode_SKIP
		s.see = override.ResponseBodyMode == mode.ProcessingMode_STREAMED || override.ResponseBodyMode == mode.ProcessingMode_FULL_DUPLEX_STREAMED
	}
	switch {
	case c.GetStatus() == extproc.CommonResponse_CONTINUE_AND_REPLACE:
		s.body, s.streamed = c.GetBodyMutation().GetBody(), true
		s.decide()
	case !s.hasBody:
		s.decide()
	default:
		close(s.chosen)
	}
}

// takeBody reads a response to the request's body: a piece of the body that is to be sent
// instead, or nothing if it stays as it is. What comes before the choice is about pieces that
// were seen so far.
func (s *session) takeBody(c *extproc.CommonResponse) {
	if c.GetHeaderMutation() != nil {
		s.mutations = append(s.mutations, c.GetHeaderMutation())
	}
	switch b := c.GetBodyMutation().GetMutation().(type) {
	case *extproc.BodyMutation_StreamedResponse:
		s.streamed = true
		s.body = append(s.body, b.StreamedResponse.GetBody()...)
		switch {
		case len(s.body) > s.longest:
			s.failLocked(errLongerBody)
		case b.StreamedResponse.GetEndOfStream() && s.isChosen:
			s.decide()
		}
	case *extproc.BodyMutation_Body:
		s.body, s.streamed = b.Body, true
		if s.isChosen {
			s.decide()
		}
	default:
		if s.isChosen && !s.streamed {
			s.decide()
		}
	}
}

// decide ends the waiting for the picker. s.mu must be held.
func (s *session) decide() {
	if !s.isDecided {
		s.isDecided = true
		close(s.decided)
	}
}

func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *session) failLocked(err error) {
	if !s.isDecided {
		s.err = err
		s.decide()
	}
}

// endpointsOf reads the choice, which is in a header, in the metadata, or in both.
func endpointsOf(headers *extproc.HeaderMutation, metadata *structpb.Struct) ([]string, error) {
	said := ""
	for _, h := range headers.GetSetHeaders() {
		if strings.EqualFold(h.GetHeader().GetKey(), destinationHeader) {
			said = valueOf(h.GetHeader())
		}
	}
	if noted := metadata.GetFields()[lbNamespace].GetStructValue().GetFields()[destinationHeader].GetStringValue(); noted != "" {
		if said != "" && said != noted {
			return nil, errContradiction
		}
		said = noted
	}
	if strings.TrimSpace(said) == "" {
		return nil, errNoEndpoint
	}
	var out []string
	for part := range strings.SplitSeq(said, ",") {
		host, port, err := net.SplitHostPort(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			out = append(out, net.JoinHostPort(ip.Unmap().String(), port))
		}
	}
	if len(out) == 0 {
		return nil, errNoAddresses
	}
	return out, nil
}

// refusalOf is a picker's own response.
func refusalOf(r *extproc.ImmediateResponse) *llmprovider.PickerRefusal {
	status := int(r.GetStatus().GetCode())
	if status < 400 || status > 599 { // it has nothing that a client could have asked for
		status = http.StatusServiceUnavailable
	}
	out := &llmprovider.PickerRefusal{Status: status, Header: make(http.Header), Body: r.GetBody()}
	if len(out.Body) > maxRefusal {
		out.Body = out.Body[:maxRefusal]
	}
	mutate(out.Header, r.GetHeaders())
	return out
}

// Endpoints implements llmprovider.PickerSession.
func (s *session) Endpoints() []string { return s.endpoints }

// Prepare implements llmprovider.PickerSession.
func (s *session) Prepare(header http.Header) []byte {
	for _, m := range s.mutations {
		mutate(header, m)
	}
	if s.streamed && s.body == nil {
		return []byte{}
	}
	return s.body
}

// Close implements llmprovider.PickerSession.
func (s *session) Close() {
	s.mu.Lock()
	s.evict = nil
	s.mu.Unlock()
	go func() {
		timer := time.AfterFunc(closeTime, s.cancel)
		defer timer.Stop()
		<-s.sent
		s.sending.Lock()
		_ = s.stream.CloseSend()
		s.sending.Unlock()
		<-s.ended
	}()
}
