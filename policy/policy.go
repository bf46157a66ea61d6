// Package policy holds what the operator demands of operations, beyond what
// the contract already says.
//
// A [Policy] is a list of entries; each selects operations and sets some of
// their controls, and later entries refine earlier ones. [Decode] reads it from
// a configuration file and reports every fault with its place. What an entry
// means for an operation is worked out by package plan, at load time.
package policy

import (
	"time"

	"github.com/sallyport/sallyport/contract"
)

// A Policy is what one API's operator demands, in the order it was written.
type Policy struct {
	Entries []*Entry
}

// An Entry sets controls of the operations it selects. Fields that are nil or
// zero set nothing.
type Entry struct {
	On  []Selector
	Pos contract.Pos

	Mode     *Setting[Mode]            // of every control
	Controls map[Control]Setting[Mode] // of single ones; beats Mode of the same entry
	Public   *Setting[bool]            // true opens an operation that the contract protects with nothing
	Request  *Setting[Undeclared]      // undeclared.request
	Response *Setting[Undeclared]      // undeclared.response
	ReadOnly *Setting[Undeclared]      // read_only: properties in requests
	Write    *Setting[Undeclared]      // write_only: properties in responses
	Limits   []Limit
	Require  *Condition // require
	Owner    *Owner
	Redact   []Redaction
	Strict   *Setting[bool]      // responses: strict
	Unread   *Setting[Unread]    // unread
	Body     Sizes               // body: {request, response}
	Path     *Setting[PathForms] // path: forms that are allowed beside the plain one
	CORS     *CORS
	Cache    *Setting[Cache] // cache
	Detail   *Setting[bool]  // errors: true tells callers the places of contract faults
	Headers  *Setting[bool]  // security_headers
}

// A Setting is a value and the place it was written at.
type Setting[T any] struct {
	Value T
	Pos   contract.Pos
}

// A Selector names operations: "*", "GET /orders/{id}", "operation:exportOrders"
// or "tag:admin". In a configuration of several APIs each may be narrowed by
// "api:shop " before it.
type Selector struct {
	Kind   SelectorKind
	API    string // "" selects in every API
	Value  string // operationId or tag; for Route the path template
	Method string // for Route; "*" selects every method
	Text   string // as written
	Pos    contract.Pos
}

// A SelectorKind is what a selector compares.
type SelectorKind uint8

// The kinds of selector.
const (
	All SelectorKind = iota + 1
	Route
	Operation
	Tag
)

// A Mode is what a control does with what it finds.
type Mode uint8

// Enforce is the zero value: a control that nobody set refuses.
const (
	Enforce Mode = iota
	Observe      // decide and record, let pass
	Off          // do not even decide
)

func (m Mode) String() string { return [...]string{"enforce", "observe", "off"}[m] }

// A Control is one check of a door. Its order here is the order in which the
// doors run.
type Control uint8

// The controls, request door first.
const (
	Paths         Control = iota // one canonical path
	Operations                   // declared in the contract
	Origins                      // CORS
	AddressLimits                // limits by address, before any expensive work
	Authentication
	Authorization  // scopes; operations that nothing protects
	Limits         // all other limits
	Parameters     // path, query, header, cookie
	RequestBody    // media type, coding, JSON, schema
	MassAssignment // undeclared and readOnly properties of requests
	Ownership      // both doors
	ResponseStatus // declared status and media type
	ResponseBody   // JSON, schema
	ResponseFilter // undeclared and writeOnly properties of responses
	Redact         // values by data class
	Scrub          // server details and stack traces
	SecurityHeaders
	CountControls
)

// controlNames spells the controls as the configuration does.
var controlNames = [CountControls]string{
	"paths", "operations", "cors", "address_limits", "authentication", "authorization", "limits", "parameters",
	"request_body", "mass_assignment", "ownership", "response_status", "response_body", "response_filter",
	"redaction", "scrubbing", "security_headers",
}

func (c Control) String() string {
	if c >= CountControls {
		return ""
	}
	return controlNames[c]
}

// Undeclared says what becomes of properties that a schema does not know, or
// that may not go this way.
type Undeclared uint8

// DenyThem is the zero value.
const (
	DenyThem Undeclared = iota
	StripThem
	ReportThem // record, let pass
)

// Unread says what becomes of a body that a control should read and cannot.
type Unread uint8

// RefuseUnread is the zero value.
const (
	RefuseUnread Unread = iota
	PassUnread          // let it pass, and count it
)

// Cache says what Sallyport does to Cache-Control of answers to a principal.
type Cache uint8

// PrivateCache is the zero value: no shared cache may keep what one caller got.
const (
	PrivateCache Cache = iota
	KeepCache          // as the upstream says
)

// PathForms are spellings of paths that are refused unless named here.
type PathForms struct {
	EncodedSlash   bool // encoded_slash: %2F within a segment
	DoubleEncoding bool // double_encoding: %25 before two hex digits
	EmptySegments  bool // empty_segments: //
	Parameters     bool // parameters: ;name=value
}

// Sizes bound what a control reads of a body, in bytes after decoding.
// Zero is the default (1 MiB in, 8 MiB out).
type Sizes struct {
	Request, Response int64
	Pos               contract.Pos
}

// A Limit is one rate limit.
type Limit struct {
	Name  string
	Per   []Key
	Count int           // exchanges …
	Every time.Duration // … in this time
	Burst int           // at once, above the rate; 0 is the same as Count
	Mode  *Setting[Mode]
	Pos   contract.Pos
}

// A Key is a part of what a limit counts by.
type Key struct {
	Kind    KeyKind
	In      PlaceIn // for KeyParameter: InPath or InQuery
	Pointer string  // for KeyRequest: JSON Pointer into the request body
	Name    string  // for KeyHeader, in lower case; for KeyParameter as declared
}

// A KeyKind is where a part of a limit's key comes from.
type KeyKind uint8

// The kinds of key.
const (
	KeyAddress   KeyKind = iota + 1 // address: IPv4 whole, IPv6 by /64
	KeyPrincipal                    // principal or principal.subject
	KeyTenant                       // principal.tenant
	KeyClient                       // principal.client
	KeyOperation                    // operation
	KeyHeader                       // header:name
	KeyParameter                    // path:name, query:name
	KeyRequest                      // request:/pointer
)

// An Owner says where the owner of an object stands, and whom it must be.
type Owner struct {
	At      Place
	Is      Whom
	Foreign Foreign // of lists: what becomes of items that belong to others
	Pos     contract.Pos
}

// A Place is where a value stands in an exchange.
type Place struct {
	In      PlaceIn
	Name    string // of a parameter or header
	Pointer string // JSON Pointer into a body; "*" stands for each element
	Text    string
}

// PlaceIn is the part of an exchange a [Place] is in.
type PlaceIn uint8

// The parts of an exchange.
const (
	InPath PlaceIn = iota + 1
	InQuery
	InHeader
	InRequest  // request:/pointer
	InResponse // response:/pointer
)

// Whom is what an owner must equal.
type Whom struct {
	Kind  WhomKind
	Claim string // for WhomClaim: JSON Pointer into the claims
	Text  string
}

// A WhomKind is a part of the principal.
type WhomKind uint8

// The parts of a principal that can own.
const (
	WhomSubject WhomKind = iota + 1 // principal.subject
	WhomTenant                      // principal.tenant
	WhomClient                      // principal.client
	WhomClaim                       // principal.claims/pointer
)

// Foreign says what becomes of a list's items that belong to others.
type Foreign uint8

// DenyForeign is the zero value.
const (
	DenyForeign Foreign = iota
	DropForeign
)

// A Redaction says how values of a data class are shown.
type Redaction struct {
	Class  string
	Show   Show
	With   string     // for ShowReplace
	Unless *Condition // a caller for whom it holds sees the value
	Pos    contract.Pos
}

// A Condition holds for a principal that has any of the memberships. It is the
// part of CEL that needs no engine: "x" in principal.scopes, "y" in
// principal.roles, and || between them.
type Condition struct {
	Any  []Membership
	Text string
	Pos  contract.Pos
}

// A Membership asks for a scope or a role.
type Membership struct {
	Role  bool // of principal.roles; else of principal.scopes
	Value string
}

// Show is how a redacted value is written.
type Show uint8

// ShowMask is the zero value.
const (
	ShowMask    Show = iota // "***"
	ShowLast4               // all but the last four characters masked
	ShowHash                // a keyed hash, equal for equal values
	ShowRemove              // the property is left out
	ShowReplace             // a fixed text
	ShowAll                 // as it is: takes an earlier entry back
)

// CORS says which browsers' pages may call.
type CORS struct {
	Origins     []string // exact origins, or "*"
	Headers     []string // beyond those the contract declares
	Expose      []string
	Credentials bool
	MaxAge      time.Duration
	Pos         contract.Pos
}
