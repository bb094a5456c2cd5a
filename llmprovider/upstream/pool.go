package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Pool is a provider's servers, if it has several for the same models: each request
// goes to the one that will probably respond first. The provider's other options apply
// to all of them; `host` is then the name of the pool.
type Pool struct {
	// The servers' addresses, each a host and a port: `10.0.0.1:8000`.
	Endpoints []string `json:"endpoints,omitempty"`

	// Where the addresses are looked up instead: one of the sources of
	// [dynamic upstreams](/docs/json/apps/http/servers/routes/handle/reverse_proxy/dynamic_upstreams/).
	// It is asked in the background, and the last addresses stay in use while it fails.
	// Its `dial_network` is not supported.
	FromRaw json.RawMessage `json:"from,omitempty" caddy:"namespace=http.reverse_proxy.upstreams inline_key=source"`

	// What keeps requests together at one server. With `prefix` a conversation goes
	// where it was last, unless the queue there is clearly longer than elsewhere. With
	// `header` and `client` all requests with the same value of a header, or of the
	// same client, go to one server as long as it can be reached, however long its
	// queue is; requests without the header are treated as with `prefix`. With `off`
	// nothing does. Default: `prefix`.
	Affinity string `json:"affinity,omitempty"`

	// The header's name, with the affinity `header`.
	AffinityHeader string `json:"affinity_header,omitempty"`

	// Where the servers' metrics are: a path, or a port and a path such as
	// `:8002/metrics`; `off` for nowhere. They are read every second while the pool is
	// used. Those of vLLM, SGLang, TensorRT-LLM and Triton are understood. Default:
	// `/metrics`.
	Metrics string `json:"metrics,omitempty"`

	// What chooses the server for each request instead of the gateway.
	PickerRaw json.RawMessage `json:"picker,omitempty" caddy:"namespace=llm.endpoint_pickers inline_key=protocol"`

	// Fed has the addresses come from the source that made the provider.
	Fed bool `json:"-"`
}

// Servers is what Provision makes of a Pool.
type Servers struct {
	// Addresses are the servers' addresses, if they do not change.
	Addresses []string
	// Lookup finds the addresses of now; nil if they do not change.
	Lookup func(context.Context) ([]string, error)
	// Origin says what Lookup asks, with its settings.
	Origin string
	// Fed is that of the Pool.
	Fed bool
	// Scrape fetches the metrics of a server; nil for none.
	Scrape func(ctx context.Context, address string) (*http.Response, error)
	// Picker chooses the server; nil for the gateway itself.
	Picker llmprovider.EndpointPicker
	// Affinity and AffinityHeader are those of the Pool.
	Affinity, AffinityHeader string
}

// The affinities of a Pool.
const (
	AffinityPrefix = "prefix"
	AffinityHeader = "header"
	AffinityClient = "client"
	AffinityOff    = "off"
)

// Pooled is implemented by providers that may have several servers: all that embed
// Connection.
type Pooled interface {
	// Servers returns nil if there is only one.
	Servers() *Servers

	// SetsHeaders reports whether the configuration has headers for requests to it.
	SetsHeaders() bool
}

// Servers implements Pooled.
func (c *Connection) Servers() *Servers { return c.to.servers }

// SetsHeaders implements Pooled.
func (c *Connection) SetsHeaders() bool { return len(c.to.headers)+len(c.to.secrets) > 0 }

const defaultMetricsPath = "/metrics"

// provisionPool checks the pool and loads its source. It makes no connections.
func (c *Connection) provisionPool(ctx caddy.Context, useTLS bool) (*Servers, error) {
	if c.Pool == nil {
		return nil, nil
	}
	pool := *c.Pool // loading modules empties their fields
	if c.Port != 0 {
		return nil, errors.New("a pool's endpoints have their own ports; leave the provider's port out")
	}
	s := &Servers{Fed: pool.Fed}
	sources := 0
	for _, has := range []bool{len(pool.Endpoints) > 0, pool.FromRaw != nil, pool.Fed} {
		if has {
			sources++
		}
	}
	if sources != 1 {
		return nil, errors.New("a pool has either endpoints or a source of endpoints; configure one of the two")
	}
	defaultPort := "80"
	if useTLS {
		defaultPort = "443"
	}
	for _, endpoint := range pool.Endpoints {
		address, err := CheckEndpoint(endpoint, defaultPort)
		if err != nil {
			return nil, err
		}
		s.Addresses = append(s.Addresses, address)
	}
	var err error
	if s.Affinity, s.AffinityHeader, err = pool.affinity(); err != nil {
		return nil, err
	}
	if s.Scrape, err = c.scraper(pool.Metrics); err != nil { //nolint:bodyclose // fetches nothing yet
		return nil, err
	}
	if pool.FromRaw == nil {
		return s, pool.loadPicker(ctx, s)
	}
	module, err := ctx.LoadModule(&pool, "FromRaw")
	if err != nil {
		return nil, fmt.Errorf("loading the source of endpoints: %w", err)
	}
	source, ok := module.(reverseproxy.UpstreamSource)
	if !ok {
		return nil, fmt.Errorf("%T is not a source of endpoints", module)
	}
	if srv, ok := source.(*reverseproxy.SRVUpstreams); ok && srv.DialNetwork != "" {
		return nil, errors.New("dial_network is not supported for a pool's endpoints; leave it out")
	}
	s.Origin = defaultPort + " " + string(c.Pool.FromRaw)
	s.Lookup = func(ctx context.Context) ([]string, error) { return lookUp(ctx, source, defaultPort) }
	return s, pool.loadPicker(ctx, s)
}

// loadPicker loads what chooses the server. It is the last thing that may fail.
func (p *Pool) loadPicker(ctx caddy.Context, s *Servers) error {
	if p.PickerRaw == nil {
		return nil
	}
	module, err := ctx.LoadModule(p, "PickerRaw")
	if err != nil {
		return fmt.Errorf("loading the endpoint picker: %w", err)
	}
	picker, ok := module.(llmprovider.EndpointPicker)
	if !ok {
		return fmt.Errorf("%T is not an endpoint picker", module)
	}
	s.Picker = picker
	return nil
}

func (p *Pool) affinity() (affinity, header string, err error) {
	affinity = p.Affinity
	switch affinity {
	case "":
		affinity = AffinityPrefix
	case AffinityPrefix, AffinityClient, AffinityOff:
	case AffinityHeader:
		if !httpguts.ValidHeaderFieldName(p.AffinityHeader) {
			return "", "", errors.New("affinity header needs the name of a header; write one such as X-Session")
		}
		return affinity, http.CanonicalHeaderKey(p.AffinityHeader), nil
	default:
		return "", "", errors.New("unknown affinity; write prefix, header, client or off")
	}
	if p.AffinityHeader != "" {
		return "", "", errors.New("affinity_header is set, but affinity is not header; set both, or remove affinity_header")
	}
	return affinity, "", nil
}

// CheckEndpoint returns the address of a pool's endpoint with its port, which may be
// left out. The error does not repeat it: it may hold a password.
func CheckEndpoint(endpoint, defaultPort string) (string, error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(endpoint, "["), "]"), defaultPort
	}
	host = strings.TrimSuffix(host, ".") // as DNS writes names
	if err := CheckHost(host); err != nil {
		return "", fmt.Errorf("an endpoint of the pool: %w; write a host and a port, such as 10.0.0.1:8000", err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", errors.New("the port of an endpoint is out of range; write 1 to 65535")
	}
	return net.JoinHostPort(strings.ToLower(host), port), nil
}

// lookUp asks a source of dynamic upstreams, which wants to know for which request.
func lookUp(ctx context.Context, source reverseproxy.UpstreamSource, defaultPort string) ([]string, error) {
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://pool/", nil)
	if err != nil {
		return nil, err
	}
	upstreams, err := source.GetUpstreams(r)
	if err != nil {
		return nil, err
	}
	addresses := make([]string, 0, len(upstreams))
	for _, u := range upstreams {
		address, err := CheckEndpoint(u.Dial, defaultPort)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

// scraper returns what fetches metrics, nil for off. No key is sent: that of a server's
// API does not hold for its metrics.
func (c *Connection) scraper(metrics string) (func(context.Context, string) (*http.Response, error), error) {
	switch metrics {
	case "":
		metrics = defaultMetricsPath
	case "off":
		return nil, nil
	}
	port, path, err := ParseMetrics(metrics)
	if err != nil {
		return nil, err
	}
	loop := llmprovider.MarkLoop(nil)
	return func(ctx context.Context, address string) (*http.Response, error) {
		if port != "" {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			address = net.JoinHostPort(host, port)
		}
		ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
		r, refused := c.Get(ctx, llmprovider.At(address, c.URL(path)), nil, loop)
		if refused != nil {
			return nil, refused
		}
		r.Header["Accept"] = metricsText
		return c.RoundTrip(r)
	}, nil
}

// metricsText asks for Prometheus' text format, of which the servers have others.
var metricsText = []string{"text/plain;version=0.0.4"}

// ParseMetrics reads where a pool's metrics are: a path, or a port and a path. The port
// is empty if it is that of the endpoint.
func ParseMetrics(s string) (port string, path *url.URL, err error) {
	if rest, ok := strings.CutPrefix(s, ":"); ok {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return "", nil, errors.New("metrics has a port without a path; write both, such as :8002/metrics")
		}
		port, s = rest[:i], rest[i:]
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", nil, errors.New("the port of metrics is out of range; write 1 to 65535")
		}
	}
	if path, err = ParsePath(s); err != nil {
		return "", nil, fmt.Errorf("metrics: %w; write a path, a port and a path (such as :8002/metrics), or off", err)
	}
	return port, path, nil
}
