package guard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/policy"
)

const parcels = `openapi: 3.1.0
info: {title: A, version: "1"}
security: [{token: []}]
paths:
  /parcels/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getParcel
      parameters:
        - {name: id, in: query, schema: {type: string}}
        - {name: X-Account, in: header, schema: {type: string, pattern: "^[a-z]+$"}}
      responses: {"204": {description: ok}}
  /parcels:
    post:
      operationId: postParcels
      requestBody: {content: {application/json: {schema: {type: object, properties: {items: {type: array, items: {type: object, properties: {owner: {type: string}}}}}}}}}
      responses: {"204": {description: ok}}
  /find:
    get:
      operationId: find
      parameters: [{name: any, in: query, schema: {type: object, additionalProperties: {type: integer}}}]
      responses: {"204": {description: ok}}
  /loose:
    get:
      operationId: loose
      parameters: [{name: k, in: query, schema: {oneOf: [{type: string, pattern: "^a+$"}, {type: array, items: {type: integer}}]}}]
      responses: {"204": {description: ok}}
components: {securitySchemes: {token: {type: http, scheme: bearer}}}
`

// TestEveryOwnerInARequestIsCompared: one object of one's own must not carry
// others' past the rule.
func TestEveryOwnerInARequestIsCompared(t *testing.T) {
	s := openContract(t, []byte(parcels), policy.Enforce, `- {on: ["operation:postParcels"], owner: {at: "request:/items/*/owner", is: principal.subject}}`)
	for body, want := range map[string]string{
		`{"items":[{"owner":"ann"},{"owner":"ann"}]}`: "ok",
		`{"items":[{"owner":"ann"},{"owner":"bob"}]}`: "authz.owner",
		`{"items":[{"owner":"ann"},{}]}`:              "authz.owner",
		`{"items":[]}`:                                "authz.owner",
		`{}`:                                          "authz.owner",
	} {
		if o := s.do(t, call{method: "POST", target: "/parcels", token: "ann", body: body, status: 204}); o.reason != want {
			t.Errorf("%s: %s, want %s", body, o.reason, want)
		}
	}
}

// TestHeadersAreOneInEverySpelling: CGI and what descends from it read "_" as
// "-", so that X_Account is X-Account to many upstreams.
func TestHeadersAreOneInEverySpelling(t *testing.T) {
	s := openContract(t, []byte(parcels), policy.Enforce, `
- {on: ["operation:getParcel"], owner: {at: "header:x-account", is: principal.subject}}
- {on: ["operation:getParcel"], controls: {ownership: enforce}}
`)
	for _, tt := range []struct {
		headers []string
		want    string
	}{
		{[]string{"X-Account: ann"}, "ok"},
		{[]string{"X-Account: bob"}, "authz.owner"},
		{[]string{"X_Account: bob"}, "authz.owner"},
		{[]string{"X-Account: ann", "X_Account: bob"}, "contract.header"},
		{[]string{"x_account: 1"}, "contract.header"},
		{nil, "authz.owner"},
	} {
		if o := s.do(t, call{target: "/parcels/1", token: "ann", header: tt.headers, status: 204}); o.reason != tt.want {
			t.Errorf("%v: %s, want %s", tt.headers, o.reason, tt.want)
		}
	}
}

// TestLimitsCannotBeSpreadOverKeys: what a caller may add to a request must not
// give it another bucket.
func TestLimitsCannotBeSpreadOverKeys(t *testing.T) {
	for _, tt := range []struct {
		name, per string
		call      func(i int) call
	}{
		{"a header twice", "header:x-key", func(i int) call { return call{header: []string{"X-Key: a", fmt.Sprint("X-Key: ", i)}} }},
		{"a header in another spelling", "header:x-key", func(i int) call { return call{header: []string{"X-Key: a", fmt.Sprint("X_Key: ", i)}} }},
		{"a header in one or the other spelling", "header:x-key", func(i int) call { return call{header: []string{[]string{"X-Key: a", "X_Key: a"}[i%2]}} }},
		{"a parameter twice", "query:id", func(i int) call { return call{target: fmt.Sprint("/parcels/1?id=a&id=", i)} }},
		{"a parameter in escapes", "query:id", func(i int) call { return call{target: "/parcels/1?id=" + []string{"a", "%61", "A", "+a"}[i%4]} }},
		{"a parameter of the query, and not of the path", "query:id", func(i int) call { return call{target: fmt.Sprintf("/parcels/%d?id=a", i)} }},
	} {
		s := openContract(t, []byte(parcels), policy.Enforce, `- {on: ["operation:getParcel"], controls: {parameters: observe}, limits: [{name: a, per: "`+tt.per+`", rate: 2/h}]}`)
		last := ""
		for i := range 4 {
			c := tt.call(i)
			c.token, c.status = "ann", 204
			if c.target == "" {
				c.target = "/parcels/1"
			}
			last = s.do(t, c).reason
		}
		if last != "limit.rate" {
			t.Errorf("%s: %s", tt.name, last)
		}
	}
}

// TestMethodsAreNotOverridden (D13) in a query or form either, where
// undeclared fields may pass.
func TestMethodsAreNotOverridden(t *testing.T) {
	s := open(t, policy.Enforce, everything+"- {on: [\"*\"], undeclared: {request: report}}\n")
	for _, c := range []call{
		{method: "POST", target: "/orders?_method=DELETE", body: `{"total":1}`},
		{method: "POST", target: "/orders?%5Fmethod=DELETE", body: `{"total":1}`},
		{method: "POST", target: "/orders", body: "total=1&_method=DELETE", typ: "application/x-www-form-urlencoded"},
		{method: "POST", target: "/orders", body: parts("note", "hi", "_method", "DELETE"), typ: "multipart/form-data; boundary=B"},
	} {
		c.token = "ann.orders-write"
		if o := s.do(t, c); o.reason != "contract.method_override" {
			t.Errorf("%s %s: %s", c.target, c.body, o.reason)
		}
	}
}

func TestParametersOfAnyNameAreJudged(t *testing.T) {
	s := openContract(t, []byte(parcels), policy.Enforce, "")
	for target, want := range map[string]string{
		"/find": "ok", "/find?a=1&b=2": "ok", "/find?a=x": "contract.parameter", "/find?a=1&a=2": "contract.parameter",
		"/loose?k=aa": "ok", "/loose?k=1&k=2": "ok", "/loose?k=b": "contract.parameter", "/loose?k=aa&k=aa": "contract.parameter",
	} {
		if o := s.do(t, call{target: target, token: "ann", status: 204}); o.reason != want {
			t.Errorf("%s: %s, want %s", target, o.reason, want)
		}
	}
}

// TestWhatIsFoundIsBounded: a request must not fill events and memory by
// being wrong in many places.
func TestWhatIsFoundIsBounded(t *testing.T) {
	for _, mode := range []policy.Mode{policy.Observe, policy.Enforce} {
		s := open(t, mode, everything+"- {on: [\"*\"], undeclared: {request: report}}\n")
		long := strings.Repeat("é", 10_000)
		for _, c := range []call{
			{target: "/orders?" + strings.Repeat("a&", 4000), answer: `{"items":[]}`},
			{target: "/orders?" + long + "=1", answer: `{"items":[]}`},
			{method: "POST", target: "/orders", body: `{"total":1,"` + long + `":1}`},
			{method: "POST", target: "/orders", body: `{"total":1,"` + long + `":1,"id":1}`},
			{method: "POST", target: "/orders", body: `{"total":"1","n":{"` + long + `":"x"}}`},
			{method: "POST", target: "/orders", body: long + "=1&total=x", typ: "application/x-www-form-urlencoded"},
			{method: "POST", target: "/orders", body: `total=1&` + long + `=1&` + long + `=1`, typ: "application/x-www-form-urlencoded"},
		} {
			c.token = "ann.orders-read.orders-write"
			o := s.do(t, c)
			if len(o.event.Hits) > 20 {
				t.Errorf("%d hits for %.30q", len(o.event.Hits), c.target)
			}
			for _, h := range o.event.Hits {
				if len(h.At) > 300 {
					t.Errorf("a place of %d bytes", len(h.At))
				}
			}
			if o.upstream == nil && len(o.body) > 16<<10 {
				t.Errorf("a refusal of %d bytes", len(o.body))
			}
		}
	}
}
