// Package contract holds what an API promises: its operations, and the places
// in the contract where each promise stands.
//
// Every format compiles to an [API]: package openapi does it for OpenAPI.
// Compiling is done at load time, may be slow, and reports every fault with
// its place. The package never touches a request.
package contract

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// A Pos is a place in a contract or policy file.
type Pos = document.Pos

// An API is one compiled contract.
type API struct {
	Format     string // "OpenAPI 3.1.0", "Swagger 2.0", …
	Title      string
	Version    string
	File       string // the root document's name
	Dialect    jsonschema.Dialect
	Servers    []Server
	Operations []*Operation
	// Closed are declared operations that cannot be guarded. A diagnostic
	// says why; requests for them are refused like those for unknown ones.
	Closed  []*Operation
	Schemes map[string]*Scheme
	// Documents are all documents that the contract spreads over, by the URI
	// that references resolve to.
	Documents map[string]*document.Document
}

// URI returns the URI that relative references in d resolve against, and ""
// for a document that is not of this contract.
func (a *API) URI(d *document.Document) string {
	for uri, known := range a.Documents {
		if known == d {
			return uri
		}
	}
	return ""
}

// A Server is a base that callers reach the API at, as the contract says it.
type Server struct {
	Host     string // lower case, without port; "" where the contract names none
	BasePath string // begins with "/" and does not end with one; "" for the root
	Pos      Pos
}

// An Operation is one thing that a caller can do.
type Operation struct {
	ID         string // operationId, or "METHOD /path" where none is declared
	Method     string // upper case
	Path       string // template below the servers' base path: "/orders/{id}"
	Tags       []string
	Summary    string
	Deprecated bool
	Sunset     string // x-sunset or the like, as it stands; "" where none
	// Security is what must be proven: any one of the requirements, all of
	// the schemes in it. Declared is false where neither the operation nor
	// the contract says anything, which protects nothing.
	Security   []Requirement
	Declared   bool
	Parameters []*Parameter
	Body       *Body // nil where the contract declares none
	Responses  []*Response
	Servers    []Server                 // its own, where it or its path has any
	Extensions map[string]document.Node // x-sallyport-* of the operation, its path and the root, nearest wins
	Pos        Pos
}

// A Requirement is one alternative of an operation's security. An empty one
// asks for nothing (anonymous access).
type Requirement []Demand

// A Demand names a scheme and the scopes it must carry.
type Demand struct {
	Scheme string
	Scopes []string
	Pos    Pos
}

// A Scheme is a declared way to authenticate.
type Scheme struct {
	Name   string
	Type   string // apiKey, http, oauth2, openIdConnect, mutualTLS
	HTTP   string // for http: the scheme in lower case, "bearer", "basic", …
	In     string // for apiKey: query, header, cookie
	Key    string // for apiKey: the parameter's name
	OIDC   string // for openIdConnect: the discovery URL
	Scopes []string
	Pos    Pos
}

// A Parameter is a declared value in path, query, header or cookie, or a
// declared header of a response (In is "header").
type Parameter struct {
	Name          string
	In            string // path, query, querystring, header, cookie
	Required      bool
	Deprecated    bool
	Style         string // with OpenAPI's default filled in
	Explode       bool
	AllowReserved bool
	AllowEmpty    bool
	Schema        document.Node // invalid where Content says it, or nothing does
	Content       *Media        // a value serialised as a media type, or nil
	Pos           Pos
}

// A Body is a declared request body.
type Body struct {
	Required bool
	Content  []*Media
	Pos      Pos
}

// A Media is one media type of a body.
type Media struct {
	Type string // lower case, without parameters; may be a range: "image/*"
	// Params are the type's parameters where they tell it from others:
	// "stream=watch". A charset is not among them.
	Params   string
	Schema   document.Node
	Items    document.Node // itemSchema of OpenAPI 3.2: each item of a stream
	Encoding map[string]*Encoding
	Pos      Pos
}

// An Encoding says how one property of a form or multipart body is written.
type Encoding struct {
	ContentType   string // "" where the contract does not say it
	Style         string // "" in a multipart body where the contract does not say it
	Explode       bool
	AllowReserved bool
	Headers       []*Parameter
	Pos           Pos
}

// A Response is what the API promises for a status.
type Response struct {
	Status  string // "200", "2XX" or "default"
	Headers []*Parameter
	Content []*Media // none: no body is promised
	Pos     Pos
}

// A Severity says how bad a diagnostic is.
type Severity uint8

// Fatal is the zero value: what nobody weighed stops the load.
const (
	Fatal   Severity = iota // the contract cannot be used
	Closed                  // the operation named cannot be guarded, and is closed
	Warning                 // wrong or unenforced, but the operation is guarded
)

func (s Severity) String() string { return [...]string{"error", "closed", "warning"}[s] }

// A Diagnostic tells the author of a contract or policy what is wrong, where,
// and what to do.
type Diagnostic struct {
	Severity Severity
	Pos      Pos
	Msg      string
	Hint     string
	// Unenforced is set where the diagnostic names something written that
	// run time does not apply.
	Unenforced bool
}

// Error prints "file:line:col: message" and the hint below it.
func (d Diagnostic) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s", d.Pos, d.Severity, d.Msg)
	if d.Hint != "" {
		b.WriteString("\n\thint: " + d.Hint)
	}
	return b.String()
}

// Diagnostics are all faults of a load, in the order of their places.
type Diagnostics []Diagnostic

// Error prints one fault after the other.
func (ds Diagnostics) Error() string {
	s := make([]string, len(ds))
	for i, d := range ds {
		s[i] = d.Error()
	}
	return strings.Join(s, "\n")
}

// Fatal reports whether any diagnostic stops the load.
func (ds Diagnostics) Fatal() bool {
	for _, d := range ds {
		if d.Severity == Fatal {
			return true
		}
	}
	return false
}
