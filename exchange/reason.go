package exchange

// A Reason is why an exchange, or a part of it, was refused or changed. The
// zero Reason is that of an exchange which nobody decided.
type Reason uint8

// The reasons. Their codes, which are what callers, events, metrics and
// documents show and which never change, stand in the catalogue.
const (
	Undecided Reason = iota
	Internal
	OK

	WireMalformed
	WireTooLarge
	WireTimeout
	WireMethod
	WireExpectation
	WireVersion
	WireURITooLong
	WireHeaderTooLarge
	WireFraming
	WireMisdirected
	WireLoop

	PathMalformed
	PathAmbiguous

	UnknownHost
	UnknownOperation
	UnknownMethod
	Shadowed

	CORSOrigin

	AuthnInvalid
	AuthnMissing
	AuthnMalformed
	AuthnSignature
	AuthnAlgorithm
	AuthnKey
	AuthnIssuer
	AuthnAudience
	AuthnExpired
	AuthnNotYet
	AuthnLifetime
	AuthnType
	AuthnClaims
	AuthnUnavailable
	AuthnUnsupported
	AuthnBinding
	AuthnReplay
	AuthnNonce
	AuthnAPIKey
	AuthnInactive
	AuthnRevoked

	AuthzScope
	AuthzOwner
	AuthzUnprotected

	LimitRate
	LimitConcurrency

	RequestParameter
	RequestUndeclaredParameter
	RequestHeader
	RequestMediaType
	RequestCoding
	RequestBodyMissing
	RequestBodyUnexpected
	RequestBody
	RequestJSON
	RequestUndeclared
	RequestReadOnly
	RequestTooLarge
	RequestUnread
	RequestTruncated

	UpstreamUnreachable
	UpstreamTimeout
	UpstreamMalformed
	UpstreamTruncated
	UpstreamOverload

	ResponseStatus
	ResponseMediaType
	ResponseCoding
	ResponseBody
	ResponseJSON
	ResponseTooLarge
	ResponseUnread
	ResponsePartial
	ResponseUndeclared
	ResponseWriteOnly
	ResponseOwner
	ResponseRedacted
	ResponseScrubbed

	ConfigUnavailable
	Draining

	NumReasons // how many there are
)

// An Entry is what the catalogue says of a reason.
type Entry struct {
	Code     string // stable; "area.what"
	Status   int    // HTTP status of the refusal; 0 where the reason never refuses
	GRPC     int    // code of google.rpc.Code that stands for it
	OWASP    string // category of the OWASP API Security Top 10 2023, or ""
	Title    string // what the caller is told
	Operator string // what happened, for the operator
	Fix      string // what to do about it
}

// Entry returns the reason's line of the catalogue.
func (r Reason) Entry() Entry {
	if r >= NumReasons {
		r = Undecided
	}
	return catalogue[r]
}

// Told is the reason that a caller is told. It is the same, but for what is
// wrong with a forged or foreign credential: an attacker must not learn which
// of the checks stopped it.
func (r Reason) Told() Reason {
	if e := r.Entry(); e.Status == 401 && e.Title == catalogue[AuthnInvalid].Title {
		return AuthnInvalid
	}
	return r
}

// Code returns the reason's stable code.
func (r Reason) Code() string { return r.Entry().Code }

func (r Reason) String() string { return r.Entry().Code }

// Reasons returns every reason, in the order of the catalogue.
func Reasons() []Reason {
	rs := make([]Reason, 0, NumReasons)
	for r := Undecided; r < NumReasons; r++ {
		rs = append(rs, r)
	}
	return rs
}

// ReasonOf returns the reason that has a code.
func ReasonOf(code string) (Reason, bool) {
	for r := Undecided; r < NumReasons; r++ {
		if catalogue[r].Code == code {
			return r, true
		}
	}
	return Undecided, false
}

// OWASP API Security Top 10 2023.
const (
	bola      = "API1:2023 Broken Object Level Authorization"
	authn     = "API2:2023 Broken Authentication"
	property  = "API3:2023 Broken Object Property Level Authorization"
	resources = "API4:2023 Unrestricted Resource Consumption"
	function  = "API5:2023 Broken Function Level Authorization"
	misconf   = "API8:2023 Security Misconfiguration"
	inventory = "API9:2023 Improper Inventory Management"
	unsafe    = "API10:2023 Unsafe Consumption of APIs"
)

// Codes of google.rpc.Code.
const (
	gOK, gInvalid, gDeadline, gNotFound       = 0, 3, 4, 5
	gDenied, gExhausted, gUnimplemented       = 7, 8, 12
	gInternal, gUnavailable, gUnauthenticated = 13, 14, 16
)

// catalogue is the one table of reasons; docs/reasons.md and the command
// explain are made from it.
var catalogue = [NumReasons]Entry{
	Undecided: {"internal.undecided", 500, gInternal, "", "The request could not be decided",
		"No control decided this exchange, so it was refused.", "This is a fault of Sallyport: report it with the request id."},
	Internal: {"internal.fault", 500, gInternal, "", "The request could not be handled",
		"Something in Sallyport failed; the exchange was refused.", "Report it with the request id."},
	OK: {"ok", 0, gOK, "", "Allowed", "Every control let the exchange pass.", ""},

	WireMalformed: {"wire.malformed", 400, gInvalid, misconf, "The request is not valid HTTP",
		"The request head breaks RFC 9110 or RFC 9112: a bare CR or LF, a folded line, an invalid name, a missing or doubled Host, or the like.",
		"Send valid HTTP. If a proxy stands before Sallyport, look at what it forwards."},
	WireTooLarge: {"wire.too_large", 413, gExhausted, resources, "The request is too large",
		"The body is larger than the listener takes.", "Send less, or raise limits.body of the listener."},
	WireTimeout: {"wire.timeout", 408, gDeadline, resources, "The request took too long to arrive",
		"The head or the body did not arrive in time.", "Send faster, or raise the listener's timeouts."},
	WireMethod: {"wire.method", 405, gUnimplemented, misconf, "The method is not supported",
		"CONNECT, TRACE or a method that is no known token was asked for.", "Use a method that the contract declares."},
	WireExpectation: {"wire.expectation", 417, gInvalid, "", "The expectation cannot be met",
		"Expect holds something other than 100-continue.", "Send no Expect, or 100-continue."},
	WireVersion: {"wire.version", 505, gUnimplemented, misconf, "The HTTP version is not supported",
		"The request line names a version other than HTTP/1.0 or HTTP/1.1.", "Speak HTTP/1.1 or HTTP/2."},
	WireURITooLong: {"wire.uri_too_long", 414, gInvalid, resources, "The request target is too long",
		"The request line is longer than the listener takes.", "Shorten the query, or raise limits.request_line."},
	WireHeaderTooLarge: {"wire.header_too_large", 431, gInvalid, resources, "The request header is too large",
		"There are more header fields, or more bytes of them, than the listener takes.", "Send less, or raise limits.header or limits.fields."},
	WireFraming: {"wire.framing", 400, gInvalid, misconf, "The request's length is ambiguous",
		"Content-Length and Transfer-Encoding contradict each other or themselves: a sign of request smuggling.", "Look at what sends this: a client, or a proxy before Sallyport."},
	WireMisdirected: {"wire.misdirected", 421, gNotFound, misconf, "The request was sent to the wrong server",
		"The TLS server name and the Host of the request differ.", "Send the request on a connection made for its host."},
	WireLoop: {"wire.loop", 508, gInternal, misconf, "The request is going in a circle",
		"Via already names this Sallyport: its upstream leads back to itself.", "Correct the upstream's URL."},

	PathMalformed: {"path.malformed", 400, gInvalid, misconf, "The path is not valid",
		"The path holds a byte or an escape that no path may hold: a bad percent escape, NUL, a control character, invalid UTF-8.", "Encode the path as RFC 3986 says."},
	PathAmbiguous: {"path.ambiguous", 400, gInvalid, bola, "The path can be read in more than one way",
		"The path holds a dot segment, an empty segment, an encoded slash or backslash, a path parameter or a double encoding, which servers read differently.",
		"Send the path in its plain form; where the API needs such a path, allow it with path: in the policy."},

	UnknownHost: {"contract.unknown_host", 404, gNotFound, inventory, "There is no API at this host",
		"No configured API has this host.", "Add the host to the API's hosts."},
	UnknownOperation: {"contract.unknown_operation", 404, gNotFound, inventory, "There is no such operation",
		"The contract declares no operation at this path. Where the upstream has one, it is a shadow endpoint.", "Declare the operation in the contract, or remove it from the upstream."},
	UnknownMethod: {"contract.unknown_method", 405, gUnimplemented, inventory, "The method is not allowed here",
		"The contract declares the path, but not with this method.", "Use one of the methods in Allow, or declare the operation."},
	Shadowed: {"contract.method_override", 400, gInvalid, function, "The method cannot be overridden",
		"A header or parameter asks the upstream to treat the request as another method.", "Send the request with the method that is meant."},

	CORSOrigin: {"cors.origin", 403, gDenied, misconf, "This origin may not call the API",
		"The browser's Origin is not in the API's list.", "Add the origin to cors.origins of the policy."},

	AuthnInvalid: {"authn.invalid_token", 401, gUnauthenticated, authn, "The credential is not valid",
		"What callers are told in place of the reason why a credential was refused; the event has that reason.", "Look the request id up in the events."},
	AuthnMissing: {"authn.missing", 401, gUnauthenticated, authn, "Authentication is required",
		"The request carries no credential that the operation's security asks for.", "Send an access token."},
	AuthnMalformed: {"authn.malformed", 401, gUnauthenticated, authn, "The credential is not valid",
		"The credential cannot be read: not a compact JWS, an oversize token, two Authorization fields, or the like.", "Send one well-formed credential."},
	AuthnSignature: {"authn.signature", 401, gUnauthenticated, authn, "The credential is not valid",
		"The token's signature does not verify.", "Get a new token from the issuer; if many fail, look for forged tokens."},
	AuthnAlgorithm: {"authn.algorithm", 401, gUnauthenticated, authn, "The credential is not valid",
		"The token names an algorithm that this issuer is not configured for.", "Correct the issuer's algorithms, if the token is honest."},
	AuthnKey: {"authn.key", 401, gUnauthenticated, authn, "The credential is not valid",
		"The issuer publishes no key that this token can have been signed with.", "If keys were just rotated, wait for one refresh interval."},
	AuthnIssuer: {"authn.issuer", 401, gUnauthenticated, authn, "The credential is not valid",
		"The token comes from an issuer that this operation does not trust.", "Add the issuer to identity, or get the token from the right one."},
	AuthnAudience: {"authn.audience", 401, gUnauthenticated, authn, "The credential is not valid",
		"The token was made for another audience.", "Ask the issuer for a token for this API."},
	AuthnExpired: {"authn.expired", 401, gUnauthenticated, authn, "The credential has expired",
		"The token's exp has passed.", "Refresh the token."},
	AuthnNotYet: {"authn.not_yet", 401, gUnauthenticated, authn, "The credential is not valid yet",
		"The token's nbf or iat lies in the future.", "Check the clocks of the issuer and of this machine."},
	AuthnLifetime: {"authn.lifetime", 401, gUnauthenticated, authn, "The credential is not valid",
		"The token lives longer than max_lifetime, or never expires.", "Have the issuer give shorter tokens, or raise max_lifetime."},
	AuthnType: {"authn.type", 401, gUnauthenticated, authn, "The credential is not valid",
		"The token's typ or crit is not that of an access token.", "Send an access token, not an ID token."},
	AuthnClaims: {"authn.claims", 401, gUnauthenticated, authn, "The credential is not valid",
		"A claim has the wrong type, occurs twice, or is missing.", "Correct the issuer's claims."},
	AuthnUnavailable: {"authn.unavailable", 503, gUnavailable, authn, "Authentication is not possible at the moment",
		"The issuer's keys are not known yet and cannot be fetched.", "Look at the issuer, and at the log of key fetches."},
	AuthnUnsupported: {"authn.unsupported", 401, gUnauthenticated, authn, "Authentication is required",
		"No configured provider can prove what the operation's security asks for, so the operation is closed.", "Configure a provider for the scheme, or make the operation public in the policy."},

	AuthnBinding: {"authn.binding", 401, gUnauthenticated, authn, "The credential is not valid",
		"The token is bound to a key or certificate, and the request does not prove that its sender has it: no DPoP proof or client certificate, or one that does not fit.", "Send the token the way it was bound; if many fail, look for stolen tokens."},
	AuthnReplay: {"authn.replay", 401, gUnauthenticated, authn, "The credential is not valid",
		"A proof of possession was used before.", "Make a new DPoP proof for each request."},
	AuthnNonce: {"authn.nonce", 401, gUnauthenticated, authn, "A nonce is required",
		"The DPoP proof has no nonce of this server, or an old one.", "Repeat the request with the nonce that DPoP-Nonce gives."},
	AuthnAPIKey: {"authn.api_key", 401, gUnauthenticated, authn, "The credential is not valid",
		"The API key is unknown or disabled.", "Give the client a new key; if many are unknown, look for guessing."},
	AuthnInactive: {"authn.inactive", 401, gUnauthenticated, authn, "The credential is not valid",
		"The issuer does not know the token, or no longer takes it.", "Get a new token from the issuer."},
	AuthnRevoked: {"authn.revoked", 401, gUnauthenticated, authn, "The credential is not valid",
		"The token, its subject or its client was revoked here.", "Get a new token from the issuer, if the revocation was not meant."},

	AuthzScope: {"authz.scope", 403, gDenied, function, "The token does not permit this",
		"The token lacks a scope that the operation asks for.", "Ask the issuer for the scope that WWW-Authenticate names."},
	AuthzOwner: {"authz.owner", 403, gDenied, bola, "This object belongs to someone else",
		"The object's owner is not the caller.", "If the caller should have it, correct the owner rule."},
	AuthzUnprotected: {"authz.unprotected", 403, gDenied, function, "This operation is not open",
		"The contract protects the operation with nothing, and the policy does not make it public.", "Declare security in the contract, or list it as public in the policy."},

	LimitRate: {"limit.rate", 429, gExhausted, resources, "Too many requests",
		"A rate limit is spent.", "Wait for Retry-After; raise the limit if honest callers meet it."},
	LimitConcurrency: {"limit.concurrency", 429, gExhausted, resources, "Too many requests at once",
		"More exchanges of this kind are open than the limit lets be.", "Wait for answers before asking again."},

	RequestParameter: {"contract.parameter", 400, gInvalid, misconf, "A parameter does not fit the contract",
		"A parameter in path, query or cookie is missing, doubled, or breaks its schema.", "See errors for the parameter."},
	RequestUndeclaredParameter: {"contract.undeclared_parameter", 400, gInvalid, property, "A parameter is not declared",
		"The query holds a parameter that the contract does not know.", "Leave it out, or declare it."},
	RequestHeader: {"contract.header", 400, gInvalid, misconf, "A header does not fit the contract",
		"A declared header is missing, doubled, or breaks its schema.", "See errors for the header."},
	RequestMediaType: {"contract.request_media_type", 415, gInvalid, misconf, "The media type is not supported",
		"Content-Type is missing, doubled, or not declared for this operation.", "Send one of the declared media types."},
	RequestCoding: {"contract.request_coding", 415, gInvalid, misconf, "The content coding is not supported",
		"Content-Encoding is unknown, or a chain of codings.", "Send the body plain, or with gzip."},
	RequestBodyMissing: {"contract.request_body_missing", 400, gInvalid, misconf, "The request body is missing",
		"The contract requires a body.", "Send one."},
	RequestBodyUnexpected: {"contract.request_body_unexpected", 400, gInvalid, misconf, "This operation takes no body",
		"The contract declares no body for this operation.", "Send none, or declare it."},
	RequestBody: {"contract.request_body", 400, gInvalid, misconf, "The request body does not fit the contract",
		"The body breaks its schema.", "See errors for the places."},
	RequestJSON: {"contract.request_json", 400, gInvalid, misconf, "The request body is not valid JSON",
		"The body is not JSON in the strict sense: RFC 8259, no duplicate names, valid UTF-8, bounded depth.", "Send strict JSON."},
	RequestUndeclared: {"contract.request_undeclared", 400, gInvalid, property, "The request body holds a property that is not declared",
		"The body has a property that its schema does not know: a sign of mass assignment.", "Leave it out, or declare it."},
	RequestReadOnly: {"contract.request_read_only", 400, gInvalid, property, "The request body sets a read-only property",
		"The body has a property that is readOnly.", "Leave it out."},
	RequestTooLarge: {"contract.request_too_large", 413, gExhausted, resources, "The request body is too large",
		"The body, as sent or decoded, is larger than a control may read.", "Send less, or raise body.request of the policy."},
	RequestUnread: {"contract.request_unread", 415, gInvalid, misconf, "The request body cannot be checked",
		"The declared media type is one that no control can read, and policy wants it read.", "Use a media type that can be checked, or set unread: pass."},
	RequestTruncated: {"contract.request_truncated", 400, gInvalid, misconf, "The request body is incomplete",
		"The body ended before the length it declared, or its coding is broken.", "Send the whole body."},

	UpstreamUnreachable: {"upstream.unreachable", 502, gUnavailable, "", "The API cannot be reached",
		"No connection to the upstream could be made.", "Look at the upstream, and at the API's upstream URL."},
	UpstreamTimeout: {"upstream.timeout", 504, gDeadline, "", "The API did not answer in time",
		"The upstream did not answer within its timeout.", "Look at the upstream, or raise timeouts of the API."},
	UpstreamMalformed: {"upstream.malformed", 502, gInternal, unsafe, "The API's answer is not valid",
		"The upstream's answer breaks HTTP.", "Correct the upstream."},
	UpstreamTruncated: {"upstream.truncated", 502, gInternal, unsafe, "The API's answer is incomplete",
		"The upstream closed before its answer was whole.", "Look at the upstream's log."},
	UpstreamOverload: {"upstream.overload", 503, gUnavailable, resources, "The API is busy",
		"All connections that the upstream may have are in use.", "Wait, or raise upstream.connections."},

	ResponseStatus: {"contract.response_status", 502, gInternal, property, "The API's answer does not fit its contract",
		"The upstream answered with a status that the contract does not declare.", "Declare it, or correct the upstream."},
	ResponseMediaType: {"contract.response_media_type", 502, gInternal, property, "The API's answer does not fit its contract",
		"The upstream answered with a media type that the contract does not declare.", "Declare it, or correct the upstream."},
	ResponseCoding: {"contract.response_coding", 502, gInternal, property, "The API's answer cannot be checked",
		"The answer has a content coding that no control can read, or a broken one.", "Have the upstream send it plain or with gzip, or set unread: pass."},
	ResponseBody: {"contract.response_body", 502, gInternal, property, "The API's answer does not fit its contract",
		"The answer's body breaks its schema.", "Correct the upstream or the contract."},
	ResponseJSON: {"contract.response_json", 502, gInternal, property, "The API's answer is not valid JSON",
		"The answer is not JSON in the strict sense.", "Correct the upstream."},
	ResponseTooLarge: {"contract.response_too_large", 502, gInternal, property, "The API's answer is too large to be checked",
		"The answer, as sent or decoded, is larger than a control may read.", "Page the answer, raise body.response of the policy, or set unread: pass."},
	ResponseUnread: {"contract.response_unread", 502, gInternal, property, "The API's answer cannot be checked",
		"The answer's media type is one that no control can read, and a control needs it.", "Set unread: pass for the operation, if it may leave unread."},
	ResponsePartial: {"contract.response_partial", 502, gInternal, property, "The API's answer cannot be checked",
		"The upstream answered with a part (206) of what a control must see whole.", "Set unread: pass for the operation, if parts may leave unread."},
	ResponseUndeclared: {"contract.response_undeclared", 502, gInternal, property, "The API's answer holds more than its contract says",
		"The answer has properties that its schema does not know; they were removed, or the answer refused.", "Declare them, or correct the upstream."},
	ResponseWriteOnly: {"contract.response_write_only", 502, gInternal, property, "The API's answer holds what may not leave",
		"The answer has a writeOnly property; it was removed, or the answer refused.", "Correct the upstream."},
	ResponseOwner: {"authz.response_owner", 403, gDenied, bola, "This object belongs to someone else",
		"The answer's object belongs to another than the caller.", "Correct the upstream's own check; if the caller should have it, correct the owner rule."},
	ResponseRedacted: {"data.redacted", 0, gOK, property, "Values were masked",
		"Values of a data class that this caller may not see were masked.", "Grant what unless asks for, if the caller should see them."},
	ResponseScrubbed: {"data.scrubbed", 0, gOK, misconf, "Details were removed",
		"Server details, a stack trace or a secret were removed from the answer.", "Correct the upstream, so that it does not send them."},

	ConfigUnavailable: {"config.unavailable", 503, gUnavailable, "", "This API is not available",
		"The API's contract or policy could not be compiled, so it is closed.", "Run sallyport check; the log has the faults."},
	Draining: {"server.draining", 503, gUnavailable, "", "The server is going down",
		"Sallyport is stopping and takes no new requests.", "Ask another node."},
}
