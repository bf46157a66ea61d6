package exchange_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/exchange"
)

var update = flag.Bool("update", false, "write the pages that are made from code")

func TestReasonsAreCompleteAndDifferent(t *testing.T) {
	code := regexp.MustCompile(`^[a-z]+(\.[a-z_]+)?$`)
	seen := map[string]bool{}
	for _, r := range exchange.Reasons() {
		e := r.Entry()
		if !code.MatchString(e.Code) {
			t.Errorf("reason %d has the code %q", r, e.Code)
		}
		if seen[e.Code] {
			t.Errorf("the code %q stands twice", e.Code)
		}
		seen[e.Code] = true
		if e.Title == "" || e.Operator == "" || e.Fix == "" && r != exchange.OK {
			t.Errorf("%s does not say what happened and what to do: %+v", e.Code, e)
		}
		if e.Status != 0 && (e.Status < 400 || e.Status > 599) && r != exchange.OK {
			t.Errorf("%s refuses with status %d", e.Code, e.Status)
		}
		if got, ok := exchange.ReasonOf(e.Code); !ok || got != r {
			t.Errorf("ReasonOf(%q) = %v, %v", e.Code, got, ok)
		}
	}
}

func TestZeroVerdictDenies(t *testing.T) {
	var v exchange.Verdict
	if v.Action != exchange.Deny || v.Reason.Entry().Status != 500 {
		t.Errorf("the zero verdict is %+v", v)
	}
}

// TestReasonsPage keeps docs/reasons.md equal to the catalogue.
func TestReasonsPage(t *testing.T) {
	const file = "../docs/reasons.md"
	want := reasonsPage()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from the catalogue; run go test ./exchange -update", file)
	}
}

func reasonsPage() string {
	var b strings.Builder
	b.WriteString(`# Reasons

<!-- Made from exchange/reason.go by go test ./exchange -update. Do not edit. -->

Every refusal has a stable reason code. The caller finds it in the answer
(` + "`application/problem+json`" + `, RFC 9457, member ` + "`reason`" + `, and in the header ` + "`Sallyport-Reason`" + `), the
operator in events and metrics. ` + "`sallyport explain CODE`" + ` prints the same as this page.

`)
	area := ""
	for _, r := range exchange.Reasons() {
		e := r.Entry()
		if a, _, _ := strings.Cut(e.Code, "."); a != area {
			area = a
			fmt.Fprintf(&b, "## %s\n\n", area)
		}
		fmt.Fprintf(&b, "### `%s`\n\n", e.Code)
		if e.Status != 0 {
			fmt.Fprintf(&b, "HTTP %d, gRPC code %d", e.Status, e.GRPC)
		} else {
			b.WriteString("never refuses by itself")
		}
		if e.OWASP != "" {
			fmt.Fprintf(&b, ", OWASP %s", e.OWASP)
		}
		fmt.Fprintf(&b, ".\n\n- The caller is told: %s.\n- What happened: %s\n", e.Title, e.Operator)
		if e.Fix != "" {
			fmt.Fprintf(&b, "- What to do: %s\n", e.Fix)
		}
		b.WriteString("\n")
	}
	return b.String()
}
