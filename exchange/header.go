package exchange

// A Field is one header field. Name and Value borrow the door's buffer.
type Field struct {
	ID    Name   // the number of a known name; Other for any other
	Name  []byte // as received; a token
	Value []byte // as received, without the white space around it
}

// A Header is the fields of a message in the order they came. Names compare
// without case, as RFC 9110 section 5.1 has it.
type Header []Field

// Get returns the value of the first field with a known name.
func (h Header) Get(id Name) (value []byte, ok bool) {
	for i := range h {
		if h[i].ID == id {
			return h[i].Value, true
		}
	}
	return nil, false
}

// Count returns how many fields have a known name.
func (h Header) Count(id Name) (n int) {
	for i := range h {
		if h[i].ID == id {
			n++
		}
	}
	return n
}

// Lookup returns the value of the first field of any name, which must be
// given in lower case.
func (h Header) Lookup(lower string) (value []byte, ok bool) {
	for i := range h {
		if EqualFold(h[i].Name, lower) {
			return h[i].Value, true
		}
	}
	return nil, false
}

// EqualFold reports whether name equals lower, which is in lower case,
// without regard to the case of ASCII letters.
func EqualFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// A Name is the number of a header name that Sallyport knows.
type Name uint8

// Other stands for every name that is not in the table below.
const Other Name = 0

// The names that a door or a control asks for. Their spelling is in names.
const (
	Accept Name = iota + 1
	AcceptEncoding
	AccessControlRequestHeaders
	AccessControlRequestMethod
	Age
	AllowMethods
	Authorization
	CacheControl
	Connection
	ContentDigest
	ContentEncoding
	ContentLength
	ContentMD5
	ContentRange
	ContentSecurityPolicy
	ContentType
	Cookie
	Date
	Digest
	DPoP
	ETag
	Expect
	Expires
	Forwarded
	Host
	HTTP2Settings
	IfMatch
	IfModifiedSince
	IfNoneMatch
	IfRange
	IfUnmodifiedSince
	KeepAlive
	LastModified
	Location
	Origin
	Pragma
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Range
	RateLimit
	RateLimitPolicy
	ReprDigest
	RetryAfter
	SallyportReason
	SallyportRequestID
	Server
	SetCookie
	StrictTransportSecurity
	TE
	Traceparent
	Tracestate
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Vary
	Via
	WWWAuthenticate
	XContentTypeOptions
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedPrefix
	XForwardedProto
	XHTTPMethodOverride
	XOriginalURL
	XPoweredBy
	XRealIP
	XRequestID
	XRewriteURL
	countNames
)

// names spells each known name in lower case, and in the spelling it is
// written with.
var names = [countNames]struct{ lower, written string }{
	Accept:                      {"accept", "Accept"},
	AcceptEncoding:              {"accept-encoding", "Accept-Encoding"},
	AccessControlRequestHeaders: {"access-control-request-headers", "Access-Control-Request-Headers"},
	AccessControlRequestMethod:  {"access-control-request-method", "Access-Control-Request-Method"},
	Age:                         {"age", "Age"},
	AllowMethods:                {"allow", "Allow"},
	Authorization:               {"authorization", "Authorization"},
	CacheControl:                {"cache-control", "Cache-Control"},
	Connection:                  {"connection", "Connection"},
	ContentDigest:               {"content-digest", "Content-Digest"},
	ContentEncoding:             {"content-encoding", "Content-Encoding"},
	ContentLength:               {"content-length", "Content-Length"},
	ContentMD5:                  {"content-md5", "Content-MD5"},
	ContentRange:                {"content-range", "Content-Range"},
	ContentSecurityPolicy:       {"content-security-policy", "Content-Security-Policy"},
	ContentType:                 {"content-type", "Content-Type"},
	Cookie:                      {"cookie", "Cookie"},
	Date:                        {"date", "Date"},
	Digest:                      {"digest", "Digest"},
	DPoP:                        {"dpop", "DPoP"},
	ETag:                        {"etag", "ETag"},
	Expect:                      {"expect", "Expect"},
	Expires:                     {"expires", "Expires"},
	Forwarded:                   {"forwarded", "Forwarded"},
	Host:                        {"host", "Host"},
	HTTP2Settings:               {"http2-settings", "HTTP2-Settings"},
	IfMatch:                     {"if-match", "If-Match"},
	IfModifiedSince:             {"if-modified-since", "If-Modified-Since"},
	IfNoneMatch:                 {"if-none-match", "If-None-Match"},
	IfRange:                     {"if-range", "If-Range"},
	IfUnmodifiedSince:           {"if-unmodified-since", "If-Unmodified-Since"},
	KeepAlive:                   {"keep-alive", "Keep-Alive"},
	LastModified:                {"last-modified", "Last-Modified"},
	Location:                    {"location", "Location"},
	Origin:                      {"origin", "Origin"},
	Pragma:                      {"pragma", "Pragma"},
	ProxyAuthenticate:           {"proxy-authenticate", "Proxy-Authenticate"},
	ProxyAuthorization:          {"proxy-authorization", "Proxy-Authorization"},
	ProxyConnection:             {"proxy-connection", "Proxy-Connection"},
	Range:                       {"range", "Range"},
	RateLimit:                   {"ratelimit", "RateLimit"},
	RateLimitPolicy:             {"ratelimit-policy", "RateLimit-Policy"},
	ReprDigest:                  {"repr-digest", "Repr-Digest"},
	RetryAfter:                  {"retry-after", "Retry-After"},
	SallyportReason:             {"sallyport-reason", "Sallyport-Reason"},
	SallyportRequestID:          {"sallyport-request-id", "Sallyport-Request-Id"},
	Server:                      {"server", "Server"},
	SetCookie:                   {"set-cookie", "Set-Cookie"},
	StrictTransportSecurity:     {"strict-transport-security", "Strict-Transport-Security"},
	TE:                          {"te", "TE"},
	Traceparent:                 {"traceparent", "Traceparent"},
	Tracestate:                  {"tracestate", "Tracestate"},
	Trailer:                     {"trailer", "Trailer"},
	TransferEncoding:            {"transfer-encoding", "Transfer-Encoding"},
	Upgrade:                     {"upgrade", "Upgrade"},
	UserAgent:                   {"user-agent", "User-Agent"},
	Vary:                        {"vary", "Vary"},
	Via:                         {"via", "Via"},
	WWWAuthenticate:             {"www-authenticate", "WWW-Authenticate"},
	XContentTypeOptions:         {"x-content-type-options", "X-Content-Type-Options"},
	XForwardedFor:               {"x-forwarded-for", "X-Forwarded-For"},
	XForwardedHost:              {"x-forwarded-host", "X-Forwarded-Host"},
	XForwardedPort:              {"x-forwarded-port", "X-Forwarded-Port"},
	XForwardedPrefix:            {"x-forwarded-prefix", "X-Forwarded-Prefix"},
	XForwardedProto:             {"x-forwarded-proto", "X-Forwarded-Proto"},
	XHTTPMethodOverride:         {"x-http-method-override", "X-HTTP-Method-Override"},
	XOriginalURL:                {"x-original-url", "X-Original-URL"},
	XPoweredBy:                  {"x-powered-by", "X-Powered-By"},
	XRealIP:                     {"x-real-ip", "X-Real-IP"},
	XRequestID:                  {"x-request-id", "X-Request-Id"},
	XRewriteURL:                 {"x-rewrite-url", "X-Rewrite-URL"},
}

// String returns the name as it is written, or "" for [Other].
func (n Name) String() string {
	if n >= countNames {
		return ""
	}
	return names[n].written
}

// slots finds a known name by nameSlot, which has no collision on the names
// above; a test holds it.
var slots = func() (t [512]Name) {
	for n := Other + 1; n < countNames; n++ {
		t[nameSlot([]byte(names[n].lower))] = n
	}
	return t
}()

// nameSlot hashes a name, which is not empty, without regard to the case of
// its letters. The factors were found by trial.
func nameSlot(name []byte) int {
	n := len(name)
	return (n + int(name[0]|0x20)*2 + int(name[n-1]|0x20)*11 + int(name[n*4/5]|0x20)*17) & 511
}

// KnownName returns the number of a header name, or [Other].
func KnownName(name []byte) Name {
	if len(name) == 0 {
		return Other
	}
	n := slots[nameSlot(name)]
	if n != Other && EqualFold(name, names[n].lower) {
		return n
	}
	return Other
}

// F makes a field of a known name.
func F(n Name, value []byte) Field {
	return Field{ID: n, Name: writtenNames[n], Value: value}
}

// writtenNames is the spelling of each known name as bytes, so that writing
// one allocates nothing. It is never changed.
var writtenNames = func() (t [countNames][]byte) {
	for n := range t {
		t[n] = []byte(names[n].written)
	}
	return t
}()
