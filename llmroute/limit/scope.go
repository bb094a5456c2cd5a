package limit

// Object names an object of a source, such as a route.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Scope is which requests the limit of an object may be about: those that one of its
// parts takes.
type Scope struct {
	// Everything takes all requests.
	Everything bool `json:"everything,omitempty"`
	// Namespace is that of the routes whose requests are taken.
	Namespace string `json:"namespace,omitempty"`
	// Routes are those whose requests are taken.
	Routes []Object `json:"routes,omitempty"`
	// Gateways are those whose requests are taken, as namespace/name.
	Gateways []string `json:"gateways,omitempty"`
	// AnyGateway takes what comes in by a Gateway, and Sidecars what does not.
	AnyGateway bool `json:"any_gateway,omitempty"`
	Sidecars   bool `json:"sidecars,omitempty"`
	// Local reports that each process counts for itself, whatever the store.
	Local bool `json:"local,omitempty"`
	// Providers are the names of those to which requests that are taken go.
	Providers []string `json:"providers,omitempty"`
}

// takes reports whether the scope has the request.
func (s *Scope) takes(r *Request) bool {
	switch {
	case s.Everything, s.Namespace != "" && s.Namespace == r.Route.Namespace:
		return true
	case s.AnyGateway && r.Gateway != "", s.Sidecars && r.Gateway == "":
		return true
	case len(s.Gateways) > 0 && contains(s.Gateways, r.Gateway), len(s.Providers) > 0 && contains(s.Providers, r.Provider):
		return true
	}
	for i := range s.Routes {
		if s.Routes[i] == r.Route {
			return true
		}
	}
	return false
}

// perTarget reports whether it depends on the provider whether a request is taken.
func (s *Scope) perTarget() bool { return s != nil && len(s.Providers) > 0 }
