package guard_test

import (
	"testing"

	"github.com/sallyport/sallyport/policy"
)

// TestListsAreReadAsTheyStand: an element is judged with every byte that the
// upstream gets of it.
func TestListsAreReadAsTheyStand(t *testing.T) {
	const src = `openapi: 3.1.0
info: {title: A, version: "1"}
paths:
  /a/{m}:
    get:
      operationId: a
      parameters:
        - {name: m, in: path, required: true, style: matrix, explode: true, schema: {type: array, items: {type: string}}}
        - {name: p, in: query, style: pipeDelimited, explode: false, schema: {type: array, items: {enum: [a, b]}}}
        - {name: c, in: query, explode: false, schema: {type: array, items: {enum: [a, b]}}}
        - {name: X-List, in: header, schema: {type: array, items: {enum: [a, b]}}}
        - {name: l, in: cookie, explode: false, schema: {type: array, items: {enum: [a, b]}}}
      responses: {"204": {description: ok}}
`
	s := openContract(t, []byte(src), policy.Enforce, `- {on: ["*"], public: true, path: [parameters, empty_segments]}`)
	for _, tt := range []struct {
		target string
		header []string
		want   string
	}{
		{"/a/;m=1;m=2", nil, "ok"},
		{"/a/;m=1;n=2", nil, "contract.parameter"},
		{"/a/;mx=1", nil, "contract.parameter"},
		{"/a/;m=1?p=a%7Cb", nil, "ok"},
		{"/a/;m=1?p=a%20%7Cb", nil, "contract.parameter"},
		{"/a/;m=1?c=a,b", nil, "ok"},
		{"/a/;m=1?c=a,+b", nil, "contract.parameter"},
		{"/a/;m=1", []string{"X-List: a, b"}, "ok"},
		{"/a/;m=1", []string{"X-List: a,c"}, "contract.header"},
		{"/a/;m=1", []string{"Cookie: l=a,b"}, "ok"},
		{"/a/;m=1", []string{"Cookie: l=a, b"}, "contract.parameter"},
	} {
		if o := s.do(t, call{target: tt.target, header: tt.header, status: 204}); o.reason != tt.want {
			t.Errorf("%s %v: %s, want %s %s", tt.target, tt.header, o.reason, tt.want, o.body)
		}
	}
}
