// Package plan compiles a contract and the operator's policy into what the
// two doors of each operation check.
//
// [Compile] runs at load time: it may be slow, and reports every fault with
// its place, also everything that the contract or the policy says and run
// time will not apply. The [Plan] it returns is immutable and swapped whole; a
// request finds its operation in it by [Plan.Find] and from then on looks
// nothing up by name.
package plan

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/limit"
	"github.com/sallyport/sallyport/policy"
)

// A Plan is everything that requests are judged by. It never changes.
type Plan struct {
	Hash string // of contracts and policy, hexadecimal, short enough to read out
	APIs []*API
	// Operations are those of all APIs, each API's Unmatched among them;
	// Operation.Index is the place in this list.
	Operations []*Operation
	// Unenforced counts what contracts and policy say and run time does not
	// apply, by API.
	Unenforced map[string]int

	// Forms are all path forms that any operation allows.
	Forms exchange.PathOptions
	// Nowhere stands for exchanges that belong to no API.
	Nowhere *Operation

	hosts  map[string][]*API // by host in lower case, without port
	others []*API            // those that take any host
}

// An API is one contract, where callers reach it, and its upstream.
type API struct {
	Name     string
	Index    int
	Upstream Upstream
	Hosts    []string // lower case, without port; none: any
	Bases    []string // base paths, longest first; "" is the root
	Verifier Verifier // nil where nothing can be proven
	// Unmatched stands for exchanges that match no operation: its modes are
	// those of the API.
	Unmatched *Operation
	// Unavailable is set where the API could not be compiled: it answers
	// config.unavailable to everything.
	Unavailable bool

	root node
}

// A Verifier proves access tokens. Verify may wait for keys, for as long as ctx
// lets it; the reason is OK where the principal is proven.
type Verifier interface {
	Verify(ctx context.Context, token []byte, now time.Time) (*authn.Principal, exchange.Reason)
}

// An Upstream is where an API's exchanges go.
type Upstream struct {
	Key string // names the connections to it; equal for equal settings
	// Path replaces the base path that the request came under. It is "" where
	// the upstream's URL has none; then the request's path is kept whole.
	Path string
	// Hosts are the upstream's own names, with port where it is not the
	// scheme's: what it calls itself in a Location must not reach callers.
	Hosts []string
}

// An Operation is what both doors check of one operation.
type Operation struct {
	API      *API
	Index    int
	ID       string
	Method   string
	Template string
	Tags     []string

	Modes   [policy.CountControls]policy.Mode
	Entries [policy.CountControls]string // file:line of what set each control
	Mode    policy.Mode                  // of the operation as a whole: the strictest of its controls

	PathForms exchange.PathOptions
	Security  []Alternative // any one of them; none: nothing is asked
	Scheme    string        // what WWW-Authenticate offers: "Bearer"
	Unguarded bool          // the contract says it in a way that cannot be guarded: it is refused
	Closed    bool          // authz.unprotected: nothing protects it and policy says public: false
	Require   []Membership  // any one of them; none: nothing is asked
	Limits    []Limit

	Path    []*Param // in the order of the template
	Query   []*Param
	Headers []*Param
	Cookies []*Param
	// AnyQuery is set where a parameter takes the whole query.
	AnyQuery   bool
	Undeclared policy.Undeclared
	ReadOnly   policy.Undeclared

	Body        *Body // nil where none is declared
	MaxRequest  int
	MaxResponse int
	Unread      policy.Unread
	Captures    []string // JSON Pointers whose values of the request body are wanted
	Owners      []Owner
	Detail      bool

	Responses   []*Response
	Strict      bool
	Strip       policy.Undeclared
	WriteOnly   policy.Undeclared
	Redactions  []Redaction
	Detectors   []jsonschema.Detector
	Open        *jsonschema.Schema // for answers without a schema: parse, detect, capture
	KeepCache   bool
	CORS        *CORS
	ReadsAnswer bool // some control must see the body of answers

	public bool     // the policy opened it on purpose
	bases  []string // where it is reached; nil: under every base path of the API
}

// Under reports whether the contract has the operation under a base path.
func (o *Operation) Under(base string) bool {
	return o.bases == nil || slices.Contains(o.bases, base)
}

// An Alternative is one way to satisfy an operation's security: all of the
// schemes in it.
type Alternative struct {
	Anonymous   bool // asks for nothing
	Bearer      bool // an access token that one of the API's providers proves
	Unsupported bool // asks for what no provider can prove
	Scopes      []string
}

// A Membership asks for a scope or a role.
type Membership struct {
	Role  bool
	Value string
}

// Holds reports whether a principal, which may be nil, has the scope or role.
func (m Membership) Holds(p *authn.Principal) bool {
	if p == nil {
		return false
	}
	if m.Role {
		return p.HasRole(m.Value)
	}
	return p.HasScope(m.Value)
}

// A Limit is a compiled rate limit.
type Limit struct {
	Name    string
	Keys    []Key
	Address bool // counts by address and operation alone, so it runs before any expensive work
	Body    bool // needs a value of the request body
	Limit   *limit.Limit
	Mode    policy.Mode
	Entry   string

	own bool // Mode was set for this limit itself
	pos contract.Pos
}

// A Key is a part of what a limit counts by.
type Key struct {
	Kind    policy.KeyKind
	Name    string         // of KeyHeader in lower case
	In      policy.PlaceIn // of KeyParameter
	Capture int            // of KeyRequest: index into Operation.Captures
	Param   int            // of KeyParameter: index into Path or Query
	InPath  bool
}

// An Owner is a compiled owner rule.
type Owner struct {
	In      policy.PlaceIn
	Name    string
	Param   int // of InPath and InQuery: index into Path or Query
	Capture int // of InRequest: index into Captures; of InResponse: into the schema's captures
	List    bool
	Whom    policy.WhomKind
	Claim   string
	Drop    bool
	Entry   string

	pos contract.Pos
}

// A Redaction is how values of a data class are shown.
type Redaction struct {
	Class  int // index of the class in the schemas
	How    jsonschema.Redaction
	Unless []Membership // a caller with any of them sees the value
	Entry  string

	class string
	all   bool // shown as it is
	pos   contract.Pos
}

// Shown reports whether values of the class are let alone: a later entry of
// the policy took the redaction back.
func (r *Redaction) Shown() bool { return r.all }

// Param is a compiled parameter.
type Param struct {
	Name        string
	Lower       string // of headers: the name in lower case
	Required    bool
	AllowEmpty  bool
	Style       Style
	Explode     bool
	Shape       Shape
	Types       jsonschema.Types // what a scalar, or an element, may be
	Props       map[string]jsonschema.Types
	Single      jsonschema.Types   // of a List: what a single value may be as a scalar; 0 nothing
	ContentType string             // of a form's property
	Bytes       bool               // a form's property that is declared as bytes
	Schema      *jsonschema.Schema // nil: nothing is asked of the value
	Entry       string
}

// A Style is how OpenAPI serialises a parameter.
type Style uint8

// The styles of OpenAPI 3.
const (
	Simple Style = iota
	Form
	Label
	Matrix
	SpaceDelimited
	PipeDelimited
	DeepObject
	TabDelimited // collectionFormat tsv of Swagger 2.0
)

// A Shape is what a parameter is read as.
type Shape uint8

// The shapes of a parameter.
const (
	Scalar Shape = iota
	List
	Map
	JSON // content: application/json
	Text // content of another media type, or nothing known: not read
)

// A Body is a compiled request body.
type Body struct {
	Required bool
	Media    []*Media
	Entry    string
}

// A Media is a compiled media type.
type Media struct {
	Type   string // "application/json", "image/*", "*/*"
	Kind   MediaKind
	Schema *jsonschema.Schema // nil: nothing is said of the body
	Fields map[string]*Param  // of forms: how each property is written
	Entry  string
}

// A MediaKind is how a body is read.
type MediaKind uint8

// The kinds of media type.
const (
	MediaOpaque MediaKind = iota // nothing is said of it: it passes as it is
	MediaJSON
	MediaForm
	MediaMultipart
	MediaText
	MediaUnreadable // a schema is declared that cannot be applied to it, XML say
)

// A Response is a compiled response.
type Response struct {
	Status int // 200; 2 for 2XX; 0 for default
	Media  []*Media
	Entry  string
}

// CORS is compiled from the policy.
type CORS struct {
	Origins     map[string]bool
	Any         bool
	Credentials bool
	Headers     map[string]bool // lower case
	HeaderList  string
	Expose      string
	MaxAge      time.Duration
	Entry       string
}

// Find returns the API for a host, which is in lower case and without port,
// and a canonical path, with the base path that the path begins with. It is
// nil where there is none; below is false where the path begins with no base
// path, and the API is the only one that the host has.
func (p *Plan) Find(host, path []byte) (api *API, base string, below bool) {
	named := p.hosts[string(host)]
	if api, base = longest(named, path); api == nil {
		api, base = longest(p.others, path)
	}
	switch {
	case api != nil:
		return api, base, true
	case len(named) == 1:
		return named[0], "", false
	case len(named) == 0 && len(p.others) == 1:
		return p.others[0], "", false
	}
	return nil, "", false
}

// longest returns the API with the longest base path that path begins with.
func longest(apis []*API, path []byte) (api *API, base string) {
	for _, a := range apis {
		if b, ok := a.base(path); ok && (api == nil || len(b) > len(base)) {
			api, base = a, b
		}
	}
	return api, base
}

// KnownHost reports whether any API is reached at a host.
func (p *Plan) KnownHost(host []byte) bool {
	return len(p.others) > 0 || len(p.hosts[string(host)]) > 0
}

func (a *API) base(path []byte) (string, bool) {
	for _, b := range a.Bases {
		if len(path) >= len(b) && string(path[:len(b)]) == b && (len(path) == len(b) || path[len(b)] == '/') {
			return b, true
		}
	}
	return "", false
}

// Match finds the operation for a canonical path below the base path. It
// reports whether the contract knows the path at all.
func (a *API) Match(path []byte, method string, m *Match) bool {
	return a.root.find(path, method, m)
}

// Media returns the declared media type that fits one, which is in lower case
// and without parameters: the exact one first, then its range, then any.
func pickMedia(ms []*Media, typ []byte) *Media {
	var best *Media
	rank := 0
	for _, m := range ms {
		r := 0
		switch {
		case m.Type == string(typ):
			r = 3
		case m.Type == "*/*":
			r = 1
		case len(m.Type) > 1 && m.Type[len(m.Type)-1] == '*' && bytes.HasPrefix(typ, []byte(m.Type[:len(m.Type)-1])):
			r = 2
		}
		if r > rank {
			best, rank = m, r
		}
	}
	return best
}

// For returns the declared media type that fits one, or nil.
func (b *Body) For(typ []byte) *Media { return pickMedia(b.Media, typ) }

// For returns the declared media type that fits one, or nil.
func (r *Response) For(typ []byte) *Media { return pickMedia(r.Media, typ) }

// JSON returns the first media type of JSON with a schema, or nil.
func (r *Response) JSON() *Media {
	for _, m := range r.Media {
		if m.Kind == MediaJSON && m.Schema != nil {
			return m
		}
	}
	return nil
}

// Response returns what is declared for a status: the status itself, its
// range, the default, or nil.
func (o *Operation) Response(status int) (best *Response) {
	for _, r := range o.Responses {
		switch r.Status {
		case status:
			return r
		case status / 100:
			best = r
		case 0:
			if best == nil {
				best = r
			}
		}
	}
	return best
}
