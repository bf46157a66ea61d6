package guard_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/policy"
)

// FuzzParameters holds that what was judged is what an upstream reads: where
// a query or path passes, net/url finds in what is forwarded the values that
// the contract allows, and no others.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{"/orders?limit=5", "/orders?limit=5&status=open&status=paid", "/orders?filter[total]=1&filter%5Bwho%5D=ann", "/orders?ids=1,2",
		"/orders?limit=1;limit=2", "/orders?limit=%31", "/orders?li%6dit=7", "/orders?limit=1&limit=2", "/orders?limit=5&", "/orders?&&limit=5", "/orders?=&limit=5",
		"/orders?limit", "/orders?limit=5%00", "/orders?limit=5%", "/orders?limit=+5", "/orders?status=%6fpen", "/orders/7", "/orders/%37", "/orders/7?x", "/orders/7?limit=5",
		"/orders?ids=1%2C2", "/orders?limit=5#x", "/orders?filter[total]=1&filter[total]=2", "/orders?\x80=1", "/orders?filter", "/orders?filter=a", "/orders?filter[]=1", "/orders?filter[", "/orders?filter]", "/orders?limit=5&lim\u0131t=6"} {
		f.Add(s)
	}
	s := open(f, policy.Enforce, strings.Replace(everything, "6000/m", "60000000/m", 1))
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/orders") || len(target) > 2000 {
			return
		}
		o := s.do(t, call{target: target, token: "ann.orders-read.profile-read", answer: `{"items":[],"customer_id":"ann","total":1}`})
		s.events.events = s.events.events[:0]
		if o.upstream == nil {
			return // refused, which is always safe
		}
		path, err := url.PathUnescape(string(o.upstream.Path))
		if err != nil {
			t.Fatalf("%q: the path %q cannot be read", target, o.upstream.Path)
		}
		if id, ok := strings.CutPrefix(path, "/orders/"); ok {
			if n, err := strconv.Atoi(id); err != nil || n < 1 || strconv.Itoa(n) != id {
				if len(id) < 18 {
					t.Errorf("%q: the id %q passed", target, id)
				}
			}
		} else if path != "/orders" {
			t.Errorf("%q: the path %q passed", target, path)
		}
		q, err := url.ParseQuery(string(o.upstream.Query))
		if err != nil {
			t.Fatalf("%q: the query %q cannot be read: %v", target, o.upstream.Query, err)
		}
		for name, vs := range q {
			switch name {
			case "limit":
				if n, err := strconv.Atoi(vs[0]); len(vs) != 1 || err != nil || n < 1 || n > 100 {
					t.Errorf("%q: limit is %q", target, vs)
				}
			case "status":
				for _, v := range vs {
					if v != "open" && v != "paid" && v != "sent" {
						t.Errorf("%q: status is %q", target, v)
					}
				}
			case "ids":
				if len(vs) != 1 {
					t.Errorf("%q: ids is %q", target, vs)
				}
			case "filter[total]", "filter[who]":
				if len(vs) != 1 {
					t.Errorf("%q: %s is %q", target, name, vs)
				}
			default:
				t.Errorf("%q: the parameter %q passed", target, name)
			}
		}
	})
}

// FuzzExchange sends whole exchanges of anything through both doors. Nothing
// panics; a body that passes is one that the standard library's readers, which
// are not ours, read without a fault, and find nothing in that the contract
// does not declare; and where the answer is refused, nothing of it leaves.
func FuzzExchange(f *testing.F) {
	const js, form, multi = "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=B"
	mine := `{"id":7,"customer_id":"ann","total":1.5}`
	f.Add(uint8(0), "", js, []byte(`{"total":1,"note":"x"}`), js, []byte(mine))
	f.Add(uint8(0), "a=1", js, []byte(`{"total":1,"total":2}`), js, []byte(`{"total":1,"x":{"y":[1]},"pin":"0"}`))
	f.Add(uint8(0), "", js+`; charset="utf-8"`, []byte(`{"total":1e400}`), "text/html", []byte("<p>"))
	f.Add(uint8(0), "", form, []byte("total=1.5&note=a;b&card=%34"), js, []byte(mine))
	f.Add(uint8(0), "_method=PUT", form, []byte("total=1&total=2"), js+", x", []byte(mine))
	f.Add(uint8(0), "", multi, []byte(parts("note", "hi", "file;filename=a.png", "\x89", "meta", `{"n":1}`)), js, []byte(mine))
	f.Add(uint8(0), "", multi, []byte("--B\r\nContent-Disposition: form-data; name=note; filename*=utf-8''a\r\n\r\nx\r\n--B--"), js, []byte(mine))
	f.Add(uint8(0), "", "text/plain", []byte("hello"), js, []byte("[]"))
	f.Add(uint8(1), "", "", []byte(""), js, []byte(mine))
	f.Add(uint8(1), "", "", []byte(""), js, []byte(`{"customer_id":"bob","total":1}`))
	f.Add(uint8(1|2), "", "", []byte(""), "application/hal+json", []byte(`{"customer_id":"ann","total":"x","card":"4111111111111111"}`))
	f.Add(uint8(1|1<<2), "", "", []byte(""), "application/problem+json", []byte(`{"title":"at a.b(C.java:1)"}`))
	f.Add(uint8(1|2<<2), "", "", []byte(""), "text/plain", []byte("Traceback (most recent call last):\n  File \"a.py\", line 1, in x\n"))
	f.Add(uint8(1|1<<5), "", "", []byte(""), js, []byte(gz(mine)))
	f.Add(uint8(2<<5), "", js, []byte(deflated(`{"total":1}`)), js, []byte(mine))
	f.Add(uint8(0), "", "application/xml", []byte("<a/>"), "application/json; charset=utf-7", []byte(mine))
	wide := strings.NewReplacer("6000/m", "60000000/m").Replace(everything)
	shops := []*shop{open(f, policy.Enforce, wide), open(f, policy.Enforce, wide+"- {on: [\"*\"], undeclared: {request: strip}, read_only: strip}\n"), open(f, policy.Observe, wide)}
	const marker = "MARKER-7b1f"
	f.Fuzz(func(t *testing.T, which uint8, query, typ string, body []byte, answerType string, answer []byte) {
		if len(query)+len(typ)+len(answerType) > 2000 || len(body)+len(answer) > 64<<10 {
			return
		}
		if typ == "" {
			typ = js // as do has it
		}
		for _, v := range []string{typ, answerType} {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return // the wire refuses it
			}
		}
		// The marker goes into a string of the answer if it has one, or
		// behind it.
		told := string(answer)
		if i := strings.LastIndexByte(told, '"'); i >= 0 {
			told = told[:i] + marker + told[i:]
		} else {
			told += marker
		}
		if which>>5 == 1 {
			told = string(answer) // coded, perhaps
		}
		c := call{method: "POST", target: "/orders?" + query, token: "ann.orders-write", typ: typ, body: string(body), status: 201, answerType: answerType, answer: told}
		if which&1 != 0 {
			c = call{target: "/orders/7?" + query, token: "ann.orders-read", answerType: answerType, answer: told}
		}
		c.chunked = which&2 != 0
		if n := which >> 2 & 7; n > 0 {
			c.status = []int{404, 500, 206, 202, 302, 204, 400}[n-1]
		}
		if c.status == 204 {
			c.answer = ""
		}
		if coding := []string{"", "gzip", "deflate", "br", "zstd", "gzip, br", "identity", "x"}[which>>5]; coding != "" {
			c.header, c.answerHeader = []string{"Content-Encoding: " + coding}, []string{"Content-Encoding: " + coding}
		}
		for i, s := range shops {
			o := s.do(t, c)
			s.events.events = s.events.events[:0]
			if i == 2 {
				if o.upstream == nil || o.sent != c.body || o.status == c.status && o.body != c.answer {
					t.Fatalf("an observing guard refused or changed the exchange: %d %s", o.status, o.reason)
				}
				continue
			}
			if o.upstream == nil || o.reason != "ok" {
				if strings.Contains(o.body, marker) || strings.Contains(fmt.Sprint(o.header), marker) {
					t.Fatalf("the refusal tells of the answer: %s %v", o.body, o.header)
				}
				if o.upstream == nil {
					continue
				}
			}
			if which&1 == 0 && which>>5 == 0 {
				if err := declaredOnly(typ, o.sent); err != nil {
					t.Fatalf("%s: %q passed: %v", typ, o.sent, err)
				}
			}
			if o.reason == "ok" && o.status == 200 && which&1 != 0 && len(o.body) > 0 && which>>5 == 0 {
				// JSON of one's own, and nothing else.
				m, err := object(o.body)
				if err != nil {
					t.Fatalf("the answer %q passed: %v", o.body, err)
				}
				if string(m["customer_id"]) != `"ann"` {
					var owner string
					if json.Unmarshal(m["customer_id"], &owner) != nil || owner != "ann" {
						t.Fatalf("the answer %q is another's", o.body)
					}
				}
				for name := range m {
					if !slices.Contains([]string{"id", "customer_id", "total", "note", "card"}, name) {
						t.Fatalf("%s left in the answer %q", name, o.body)
					}
				}
			}
		}
	})
}

// object reads strict JSON by the standard library's tokens: one object, no
// name twice at any depth.
func object(s string) (map[string]json.RawMessage, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("is not UTF-8")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var value func() error
	value = func() error {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		delim, ok := tok.(json.Delim)
		if !ok {
			return nil
		}
		names := map[string]bool{}
		for d.More() {
			if delim == '{' {
				name, err := d.Token()
				if err != nil {
					return err
				}
				if names[name.(string)] {
					return fmt.Errorf("the name %q stands twice", name)
				}
				names[name.(string)] = true
			}
			if err := value(); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	}
	return m, value()
}

// declaredOnly reads a body of POST /orders as an upstream would, and reports
// what the contract does not let pass.
func declaredOnly(typ, body string) error {
	kind, params, err := mime.ParseMediaType(typ)
	if err != nil {
		// Such a type passed only if it has one reading all the same.
		kind, _, _ = strings.Cut(strings.ToLower(typ), ";")
		kind = strings.TrimRight(kind, " ")
	}
	writable := []string{"customer_id", "total", "note", "card", "pin", "secret"}
	switch kind {
	case "application/json":
		m, err := object(body)
		for name := range m {
			if !slices.Contains(writable, name) {
				err = fmt.Errorf("%s is not declared", name)
			}
		}
		if m["total"] == nil && err == nil {
			err = errors.New("total is missing")
		}
		return err
	case "application/x-www-form-urlencoded":
		q, err := url.ParseQuery(body)
		for name, vs := range q {
			if len(vs) != 1 || !slices.Contains(writable, name) {
				err = fmt.Errorf("%s is %q", name, vs)
			}
		}
		return err
	case "multipart/form-data":
		r := multipart.NewReader(strings.NewReader(body), params["boundary"])
		seen := map[string]bool{}
		for {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			b, err := io.ReadAll(p)
			name := p.FormName()
			switch {
			case err != nil:
				return err
			case seen[name] || !slices.Contains([]string{"note", "file", "meta"}, name):
				return fmt.Errorf("part %q", name)
			case name == "note" && p.FileName() == "" && (utf8.RuneCount(b) > 10 || !utf8.Valid(b)):
				return fmt.Errorf("note is %q", b)
			case name == "meta" && p.FileName() == "" && !json.Valid(b):
				return fmt.Errorf("meta is %q", b)
			}
			seen[name] = true
		}
	case "text/plain":
		if utf8.RuneCountInString(body) > 5 || !utf8.ValidString(body) {
			return errors.New("is too long")
		}
		return nil
	case "application/octet-stream":
		return nil
	}
	if len(bytes.TrimSpace([]byte(body))) == 0 {
		return nil
	}
	return fmt.Errorf("the type %q passed", typ)
}
