package event_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
)

func TestEventIsOneLineOfJSON(t *testing.T) {
	want := `{"v":1,"event":"exchange","time":"2026-11-24T05:00:00.123456Z","request_id":"0b5c1f",` +
		`"plan":"9f86d081884c7d65","api":"shop","operation":"shop:getOrder","method":"GET",` +
		`"template":"/orders/{id}","host":"shop.example","proto":"HTTP/2","remote":"2001:db8::7",` +
		`"status":403,"upstream_status":200,"ours":true,"action":"deny","reason":"authz.response_owner",` +
		`"mode":"enforce","hits":[{"control":"response_status","reason":"contract.response_status",` +
		`"observed":true,"at":"status 299"},{"control":"ownership","reason":"authz.response_owner",` +
		`"entry":"sallyport.yaml:31","at":"/customer_id"}],"bytes_in":0,"bytes_out":211,` +
		`"duration_us":1503,"upstream_us":1200,"subject":"h3yqxk2m7d4c5b6a7e2f3g4h5i","client":"app",` +
		`"tenant":"acme","issuer":"id","how":"jwt","stripped":2,"redacted":1}`
	if diff := cmp.Diff(want, string(denied().AppendJSON(nil))); diff != "" {
		t.Error(diff)
	}
	// What nobody filled in is a refusal without a name, not an allowance.
	got := string((&event.Event{}).AppendJSON(nil))
	if !strings.Contains(got, `"action":"deny","reason":"internal.undecided"`) {
		t.Errorf("the zero event reads %s", got)
	}
}

// TestEventNeverForges is threat T13 and case G6: what a caller chose cannot
// end a line, add a member, move a terminal's cursor, open a tag, or turn the
// text around it.
func TestEventNeverForges(t *testing.T) {
	for _, s := range []string{
		"/\n{\"action\":\"allow\"}", "/\r\n", "\x00", "\x1b[2J\x1b]0;x\x07", "\u009b31m", "\x7f",
		"a\u2028b\u2029c", "\u202egnp.exe", "\u2066x\u2069", "\ufeff", "\u200b", "\U000e0041",
		"\xff\xfe", "\xc0\xae", "\xed\xa0\x80", "\xf0\x9f", "<script>alert(1)</script>", "&lt;", `","action":"allow`, `\`,
		"=HYPERLINK(\"http://evil\")", strings.Repeat("é", 5000), strings.Repeat("\x01", 5000),
	} {
		e := denied()
		e.Path, e.Host = []byte(s), []byte(s)
		e.Method, e.RequestID, e.Subject, e.Client, e.Tenant, e.Issuer = s, s, s, s, s, s
		e.Hits[0].At, e.Hits[0].Entry = s, s
		b := e.AppendJSON(nil)
		if !json.Valid(b) {
			t.Errorf("%q: not JSON: %s", s, b)
		}
		for _, r := range string(b) {
			if !unicode.IsPrint(r) || r == '<' || r == '>' || r == '&' || r == utf8.RuneError {
				t.Errorf("%q: %U stands in %s", s, r, b)
				break
			}
		}
		var got struct{ Action, Reason string }
		if err := json.Unmarshal(b, &got); err != nil || got.Action != "deny" || got.Reason != "authz.response_owner" {
			t.Errorf("%q: reads back as %+v, %v", s, got, err)
		}
	}
}

func TestEventIsBounded(t *testing.T) {
	e := denied()
	huge := strings.Repeat("\x01", 1<<20)
	e.Path, e.Host = []byte(huge), []byte(huge)
	for _, s := range []*string{&e.RequestID, &e.Plan, &e.API, &e.Operation, &e.Method, &e.Template, &e.Mode,
		&e.Subject, &e.Client, &e.Tenant, &e.Issuer, &e.How} {
		*s = huge
	}
	e.Hits = slices.Repeat([]event.Hit{{Control: huge, Entry: huge, At: huge}}, 100)
	b := e.AppendJSON(nil)
	if len(b) > 96<<10 {
		t.Errorf("an event of huge values takes %d bytes", len(b))
	}
	var got struct {
		Hits     []any
		HitsMore int `json:"hits_more"`
	}
	if err := json.Unmarshal(b, &got); err != nil || len(got.Hits) != 16 || got.HitsMore != 84 {
		t.Errorf("got %d hits and %d more, %v", len(got.Hits), got.HitsMore, err)
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	e, b := denied(), make([]byte, 0, 4096)
	e.Path = []byte("/caf\u00e9/\u202e/\xff")
	if n := testing.AllocsPerRun(100, func() { b = e.AppendJSON(b[:0]) }); n > 0 {
		t.Errorf("an event allocates %v times, want 0", n)
	}
}

// TestEveryFieldIsDocumented holds docs/events.md and the encoder together.
func TestEveryFieldIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]]+)` \\|").FindAllSubmatch(doc, -1) {
		documented = append(documented, string(m[1]))
	}
	e := denied()
	e.Path = []byte("/x")
	e.Hits = slices.Repeat([]event.Hit{{Control: "c", Observed: true, Entry: "f:1", At: "body"}}, 17)
	d := json.NewDecoder(bytes.NewReader(e.AppendJSON(nil)))
	var written []string
	var walk func(prefix string)
	walk = func(prefix string) {
		for d.More() {
			key, _ := d.Token()
			name := prefix + key.(string)
			if !slices.Contains(written, name) {
				written = append(written, name)
			}
			if tok, _ := d.Token(); tok != json.Delim('[') {
				continue
			}
			for d.More() {
				d.Token() // {
				walk(name + "[].")
				d.Token() // }
			}
			d.Token() // ]
		}
	}
	d.Token()
	walk("")
	if diff := cmp.Diff(documented, written); diff != "" {
		t.Errorf("docs/events.md (-) and the encoder (+) differ:\n%s", diff)
	}
}

// FuzzEventRoundTrip compares the encoder with encoding/json: what it writes
// reads back as what was put in.
func FuzzEventRoundTrip(f *testing.F) {
	for _, s := range []string{"", "GET", "/caf\u00e9", "\x1b[0m\n", "\xff\xc0", "\u2028<&>", "\U0001f600\U000e0041"} {
		f.Add(s, []byte(s), s, 200, int64(5))
	}
	f.Fuzz(func(t *testing.T, method string, path []byte, at string, status int, n int64) {
		e := event.Event{Method: method, Path: path, Status: status, BytesIn: n,
			Hits: []event.Hit{{At: at, Reason: exchange.RequestBody}}}
		b := e.AppendJSON(nil)
		var got struct {
			Method, Path string
			Status       int
			BytesIn      int64 `json:"bytes_in"`
			Hits         []struct{ At string }
		}
		d := json.NewDecoder(bytes.NewReader(b))
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		if i := bytes.IndexFunc(b, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.In(r, unicode.Co, unicode.Cn, unicode.Zs) }); i >= 0 {
			t.Fatalf("byte %d of %q is not printable", i, b)
		}
		if got.Status != status || got.BytesIn != n {
			t.Errorf("numbers read back as %d, %d", got.Status, got.BytesIn)
		}
		for _, c := range []struct {
			in, out string
			limit   int
		}{{method, got.Method, 128}, {string(path), got.Path, 1024}, {at, got.Hits[0].At, 256}} {
			if len(c.in) > c.limit {
				if kept, ok := strings.CutSuffix(c.out, "…"); !ok || !strings.HasPrefix(valid(c.in), kept) {
					t.Errorf("%q was cut to %q", c.in, c.out)
				}
			} else if c.out != valid(c.in) {
				t.Errorf("%q reads back as %q", c.in, c.out)
			}
		}
	})
}

// valid replaces each byte that is no UTF-8, as encoding/json does.
func valid(s string) string { return string([]rune(s)) }
