// Package config reads Sallyport's configuration file.
//
// [Load] decodes one YAML (or JSON) file over [Default], puts in what the
// environment gives, reads the secrets that stand in files, and reports every
// fault at once with its place. It changes nothing and starts nothing. The
// comments of [Config] and of what it holds are the manual: the JSON Schema
// ([Schema]) and docs/configuration.md are made of them.
//
// Only app and cmd import this package; everything else is given what it needs.
package config

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/policy"
)

// Config is the whole of a configuration file.
type Config struct {
	// Version of the form of this file.
	Version int `key:"version" must:"true" ask:"write version: 1" min:"1" max:"1"`
	// The addresses that callers reach Sallyport at.
	Listen []Listener `key:"listen"`
	// The address for operators: metrics and health.
	Admin Admin `key:"admin"`
	// The identity providers whose tokens are accepted.
	Identity []Provider `key:"identity"`
	// The APIs that are guarded.
	APIs []API `key:"apis" must:"true"`
	// What is demanded of operations beyond their contracts, in entries; later
	// ones refine earlier ones. An entry that matches no operation is an error.
	Policy *policy.Policy `key:"policy"`
	// Where events go.
	Events Events `key:"events"`
	// Where findings and history are kept. Nothing is kept yet but the events.
	Store string `key:"store" enum:"memory"`
	// Where limits are counted. Each process counts for itself.
	Counters string `key:"counters" enum:"memory"`
	// What carries events to analysis. Each process analyses its own.
	Stream string `key:"stream" enum:"memory"`
	// What Sallyport logs of itself, on standard error.
	Log Log `key:"log"`
	// How Sallyport stops.
	Shutdown Shutdown `key:"shutdown"`

	// File is the name that the configuration was loaded by, and Source what
	// it held, before the environment was put in.
	File   string
	Source []byte
	// SecretFiles are the files that secrets were read from, so that whoever
	// watches the configuration can watch them too.
	SecretFiles []string

	places map[any]contract.Pos
}

// Place returns where a field was written, or where what holds it was: field
// is a pointer to a field of the Config that [Load] returned, such as
// &c.APIs[0].Contract. A default that nobody wrote is at the file's begin.
func (c *Config) Place(field any) contract.Pos {
	if p, ok := c.places[field]; ok {
		return p
	}
	return contract.Pos{File: c.File, Line: 1, Col: 1}
}

// A Listener is one address that callers reach Sallyport at.
type Listener struct {
	// Address and port to listen at; without an address, at all of them. For
	// everybody's use write ":8080".
	Address string `key:"address" form:"address"`
	// TLS of the listener. Without it the listener speaks HTTP/1.1 and HTTP/2
	// in cleartext.
	TLS TLS `key:"tls"`
	// Proxies before Sallyport, as addresses or networks: from them alone
	// X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `key:"trusted_proxies"`
	// How much callers may send.
	Limits Limits `key:"limits"`
	// How long callers may take.
	Timeouts ListenTimeouts `key:"timeouts"`

	Pos contract.Pos
}

// TLS is how a listener proves who it is.
type TLS struct {
	// PEM file of the certificate and its chain. It is read again when it
	// changes.
	Cert Path `key:"cert"`
	// PEM file of the certificate's key.
	Key Path `key:"key"`
	// PEM file of the authorities whose client certificates are accepted; with
	// it every caller must have one.
	ClientCA Path `key:"client_ca"`
	// Least version of TLS.
	MinVersion string `key:"min_version" enum:"1.2,1.3"`
}

// Limits bound what callers may send.
type Limits struct {
	// Length of the request line.
	RequestLine Size `key:"request_line" min:"256" max:"1048576"`
	// Length of the whole head.
	Header Size `key:"header" min:"1024" max:"1048576"`
	// How many header fields.
	Fields int `key:"fields" min:"8" max:"10000"`
	// Length of a body, whether a control reads it or not.
	Body Size `key:"body" min:"0" max:"1099511627776"`
	// How many connections may be open at once; 0 sets no bound.
	Connections int `key:"connections" min:"0" max:"10000000"`
}

// ListenTimeouts bound how long callers may take.
type ListenTimeouts struct {
	// Until the head is there, TLS included.
	Header time.Duration `key:"header" min:"100ms" max:"1h"`
	// Until the body is there, beside the time its length takes at 1 KiB/s.
	Body time.Duration `key:"body" min:"100ms" max:"24h"`
	// Between two requests on a connection.
	Idle time.Duration `key:"idle" min:"100ms" max:"24h"`
	// Until the caller has taken a piece of the answer.
	Write time.Duration `key:"write" min:"100ms" max:"24h"`
}

// Admin is the address for operators.
type Admin struct {
	// Address and port, or "off". It is meant for this machine alone: any other
	// address needs a token, and TLS or cleartext: true.
	Address string `key:"address" form:"admin"`
	// What operators send as "Authorization: Bearer"; at least 16 characters.
	// Without it the address asks for nothing, so it must be a loopback address.
	Token Secret `key:"token"`
	// TLS of the address.
	TLS TLS `key:"tls"`
	// Says that something else encrypts the way to the address (a mesh, a
	// private network), so that it may do without TLS.
	Cleartext bool `key:"cleartext"`
	// Names that the address is reached by, beside localhost and itself. Others
	// are refused, so that no web page can reach it by a name of its own.
	Hosts []string `key:"hosts" form:"host"`
}

// A Provider is one issuer of tokens.
type Provider struct {
	// Name of the provider, as apis, events and metrics show it.
	Name string `key:"name" must:"true" form:"name"`
	// The issuer, exactly as tokens have it in iss; https, unless it is on this
	// machine. Its keys are found by OpenID Connect Discovery or RFC 8414.
	Issuer string `key:"issuer" must:"true" form:"url"`
	// Audiences, of which a token must have one, or the word any.
	Audiences Names `key:"audiences" must:"true" ask:"list what tokens are made for, or write any"`
	// Signature algorithms that are accepted, or the word any for all but those
	// of a shared secret (HS256, HS384, HS512). The token never chooses another.
	Algorithms Names `key:"algorithms" must:"true" ask:"list those that the issuer signs with, or write any" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA,HS256,HS384,HS512"`
	// Secret that is shared with the issuer, as long as the hash of the HS
	// algorithms or longer.
	Secret Secret `key:"secret"`
	// What a token may have as typ. Without it at+jwt, JWT or nothing; [at+jwt]
	// asks for RFC 9068.
	Types []string `key:"types"`
	// How long a token may live from its iat to its exp, at the most.
	MaxLifetime time.Duration `key:"max_lifetime" min:"1s" max:"366d"`
	// How far the clocks of the issuer and of this machine may differ.
	Skew time.Duration `key:"skew" min:"0" max:"5m"`
	// Where the subject stands in the claims, as a JSON Pointer. Without it /sub.
	Subject string `key:"subject" form:"pointer"`
	// Where the client stands in the claims. Without it /client_id, or else /azp.
	Client string `key:"client" form:"pointer"`
	// Where the tenant stands in the claims; without it callers have none.
	Tenant string `key:"tenant" form:"pointer"`
	// Where the roles stand in the claims. Without it /roles.
	Roles string `key:"roles" form:"pointer"`
	// Where the scopes stand in the claims: a list, or one string with spaces.
	// Without it /scope, or else /scp.
	Scopes string `key:"scopes" form:"pointer"`
	// URL or file of the key set (RFC 7517), where it shall not be discovered.
	JWKS string `key:"jwks"`
	// How often the key set is fetched. An unknown key is asked for sooner.
	Refresh time.Duration `key:"refresh" min:"10s" max:"7d"`
	// How long the last good keys are used while the issuer cannot be reached.
	Keep time.Duration `key:"keep" min:"0" max:"30d"`

	Pos contract.Pos
}

// An API is a contract, where callers reach it, and its upstream.
type API struct {
	// Name of the API, as operations, events and metrics show it.
	Name string `key:"name" must:"true" form:"name"`
	// File of the contract: OpenAPI 3.0 to 3.2 or Swagger 2.0, YAML or JSON.
	Contract Path `key:"contract" must:"true"`
	// Files of overlays (OpenAPI Overlay 1.0), applied in this order to the
	// file of the contract, and not to what it refers to in other files.
	Overlays []Path `key:"overlays"`
	// URL of the API that is guarded, or a list of URLs of equal servers. A path
	// in it replaces the base path that callers used. unix:/run/shop.sock is a
	// socket of this machine.
	Upstream []*url.URL `key:"upstream" must:"true" alone:"true"`
	// Hosts that callers reach the API by; any host where none are given.
	Hosts []string `key:"hosts" form:"host"`
	// Path that callers reach the API below; "/" is the root. Without it the
	// servers of the contract say so.
	BasePath *string `key:"base_path" form:"base_path"`
	// Mode of all controls, unless policy says otherwise. observe lets
	// everything pass, and its events say what enforce would have done.
	Mode policy.Mode `key:"mode" must:"true" ask:"observe tells what would be refused, enforce refuses it" enum:"enforce,observe,off"`
	// Names of the providers whose tokens are accepted; all where none are given.
	Identity []string `key:"identity"`
	// Which provider proves which security scheme of the contract, where it is
	// not any of them: scheme: provider.
	Schemes map[string]string `key:"schemes"`
	// How long the upstream may take.
	Timeouts APITimeouts `key:"timeouts"`
	// How many connections to each server of the upstream may be open at once.
	Connections int `key:"connections" min:"1" max:"100000"`
	// How the upstream's servers are asked whether they live.
	Health Health `key:"health"`

	Pos contract.Pos
}

// APITimeouts bound how long an upstream may take.
type APITimeouts struct {
	// To connect, TLS included, or to wait for a free connection.
	Connect time.Duration `key:"connect" min:"10ms" max:"1h"`
	// Until the head of the answer is there, and between two pieces of its body.
	Response time.Duration `key:"response" min:"10ms" max:"24h"`
	// How long a connection that nobody uses is kept.
	Idle time.Duration `key:"idle" min:"10ms" max:"24h"`
}

// Health is how an upstream is asked whether it lives.
type Health struct {
	// Path to ask for. Without it a server counts as alive until requests fail.
	Path string `key:"path" form:"path"`
	// How often.
	Interval time.Duration `key:"interval" min:"100ms" max:"1h"`
}

// Events are what is told of each exchange.
type Events struct {
	// stdout, off, or the file that lines of JSON are appended to.
	To string `key:"to"`
	// Whether events name subjects by a pseudonym, or plainly.
	Subjects string `key:"subjects" enum:"pseudonym,plain"`
	// Key of the pseudonyms, at least 16 characters. Without it each start makes
	// its own, and pseudonyms of two starts cannot be compared.
	Key Secret `key:"key"`
	// How many bytes of events may wait to be written. What does not fit is
	// dropped and counted.
	Queue Size `key:"queue" min:"262144" max:"1073741824"`
}

// Log is what Sallyport says of itself.
type Log struct {
	// The least level that is logged.
	Level string `key:"level" enum:"debug,info,warn,error"`
	// How log lines are written.
	Format string `key:"format" enum:"text,json"`
}

// Shutdown is how Sallyport stops.
type Shutdown struct {
	// How long to go on accepting after /readyz says no, so that a load balancer
	// sees it.
	Delay time.Duration `key:"delay" min:"0" max:"10m"`
	// How long exchanges that are under way may take to end.
	Grace time.Duration `key:"grace" min:"0" max:"1h"`
}

// Default is the configuration of an empty file.
func Default() *Config {
	c := &Config{
		Version:  1,
		Listen:   make([]Listener, 1),
		Admin:    Admin{Address: "127.0.0.1:9090", TLS: TLS{MinVersion: "1.2"}},
		Policy:   &policy.Policy{},
		Events:   Events{To: "stdout", Subjects: "pseudonym", Queue: 4 << 20},
		Store:    "memory",
		Counters: "memory",
		Stream:   "memory",
		Log:      Log{Level: "info", Format: "text"},
		Shutdown: Shutdown{Grace: 30 * time.Second},
	}
	c.Listen[0].setDefaults()
	return c
}

func (l *Listener) setDefaults() {
	l.Address = "127.0.0.1:8080"
	l.TLS.MinVersion = "1.2"
	l.Limits = Limits{RequestLine: 8 << 10, Header: 16 << 10, Fields: 100, Body: 1 << 30}
	l.Timeouts = ListenTimeouts{Header: 10 * time.Second, Body: 30 * time.Second, Idle: time.Minute, Write: 30 * time.Second}
}

func (p *Provider) setDefaults() {
	p.MaxLifetime = 24 * time.Hour
	p.Skew = time.Minute
	p.Refresh = 5 * time.Minute
	p.Keep = 24 * time.Hour
}

func (a *API) setDefaults() {
	a.Timeouts = APITimeouts{Connect: 5 * time.Second, Response: 30 * time.Second, Idle: 55 * time.Second}
	a.Connections = 1024
	a.Health.Interval = 5 * time.Second
}

// Names is a list of names, or any.
type Names struct {
	Any  bool
	List []string
}

// A Path is the name of a file. In the file a relative one is meant from the
// folder of the file; once loaded, it is told from where Load was told the
// file, so that faults and events name it as people do.
type Path string

// A Size is a number of bytes.
type Size int64
