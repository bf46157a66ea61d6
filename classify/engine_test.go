package classify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/ordinary"
	"github.com/sallyport/sallyport/jsonschema"
)

func TestDetectorsCarryTheIndexOfTheirClass(t *testing.T) {
	classes := []string{Password, Email, Card, JWT}
	ds := Detectors(classes)
	if len(ds) != 3 {
		t.Fatalf("%d detectors, want 3: a password cannot be detected", len(ds))
	}
	if classes[ds[0].Class] != JWT {
		t.Errorf("the first detector is of %s, want secrets first", classes[ds[0].Class])
	}
	for _, d := range ds {
		want, _ := For(classes[d.Class])
		if d.Length != want.Need.Len || d.Digits != want.Need.Digits || d.Run != want.Need.Run || string(d.Bytes) != want.Need.Bytes {
			t.Errorf("%s: prefilter %+v, want %+v", classes[d.Class], d, want.Need)
		}
	}
}

// The engine's own prefilter lets through what a detector would find, however
// the text is written, and masks it.
func TestTheEngineFindsWhatDetectorsFind(t *testing.T) {
	var classes []string
	for _, c := range Classes() {
		classes = append(classes, c.Name)
	}
	schema, err := jsonschema.Compile([]byte(`true`), jsonschema.Options{Classes: classes})
	if err != nil {
		t.Fatal(err)
	}
	p := &jsonschema.Policy{Detectors: Detectors(classes), Redact: make([]jsonschema.Redaction, len(classes))}
	for i := range p.Redact {
		p.Redact[i].How = jsonschema.Mask
	}
	for _, c := range found {
		plain, err := json.Marshal(map[string]string{"x": c.text})
		if err != nil {
			t.Fatal(err)
		}
		var escaped strings.Builder
		for _, r := range utf16.Encode([]rune(c.text)) {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		}
		for _, doc := range []string{string(plain), `{"x":"` + escaped.String() + `"}`, `[["` + escaped.String() + `"]]`} {
			var r jsonschema.Report
			out, err := schema.Filter(nil, []byte(doc), p, &r)
			if err != nil {
				t.Fatalf("%s: %v", doc, err)
			}
			want := c.value
			if want == "" {
				want = c.text
			}
			if r.Found.Count == 0 || bytes.Contains(out, []byte(want)) {
				t.Errorf("%s is not masked in %s: %s", c.class, doc, out)
			}
		}
	}
	for _, s := range ordinary.Strings() {
		doc, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			continue
		}
		var r jsonschema.Report
		if out, err := schema.Filter(nil, doc, p, &r); err != nil || r.Found.Count != 0 || !bytes.Equal(out, doc) {
			t.Errorf("%s: found %d, %v, out %s", doc, r.Found.Count, err, out)
		}
	}
}
