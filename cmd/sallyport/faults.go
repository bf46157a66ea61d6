package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport/sallyport/contract"
)

// A tally counts diagnostics by what they mean for the one who reads them.
type tally struct {
	Errors     int `json:"errors"`     // what stops the load
	Closed     int `json:"closed"`     // operations that are closed, since they cannot be guarded
	Warnings   int `json:"warnings"`   // what is wrong or weak, and guarded all the same
	Unenforced int `json:"unenforced"` // of all these: written, and not applied by run time
}

func count(ds contract.Diagnostics) (t tally) {
	for _, d := range ds {
		switch d.Severity {
		case contract.Fatal:
			t.Errors++
		case contract.Closed:
			t.Closed++
		default:
			t.Warnings++
		}
		if d.Unenforced {
			t.Unenforced++
		}
	}
	return t
}

// String is the tally in a line: "1 error, 2 warnings, 2 unenforced".
func (t tally) String() string {
	var parts []string
	add := func(n int, text string) {
		if n > 0 {
			parts = append(parts, text)
		}
	}
	add(t.Errors, many(t.Errors, "error"))
	add(t.Closed, many(t.Closed, "closed operation"))
	add(t.Warnings, many(t.Warnings, "warning"))
	add(t.Unenforced, fmt.Sprintf("%d unenforced", t.Unenforced))
	if len(parts) == 0 {
		return "no faults"
	}
	return strings.Join(parts, ", ")
}

// writeFaults writes one diagnostic a line, with the hint below it.
func writeFaults(w io.Writer, ds contract.Diagnostics) error {
	for _, d := range ds {
		if _, err := fmt.Fprintln(w, d.Error()); err != nil {
			return err
		}
	}
	return nil
}

// writeFaultsJSON writes the diagnostics and their tally as one JSON object.
func writeFaultsJSON(w io.Writer, ds contract.Diagnostics) error {
	type fault struct {
		Severity   string `json:"severity"`
		File       string `json:"file"`
		Line       int    `json:"line"`
		Column     int    `json:"column"`
		Message    string `json:"message"`
		Hint       string `json:"hint,omitempty"`
		Unenforced bool   `json:"unenforced,omitempty"`
	}
	faults := make([]fault, len(ds))
	for i, d := range ds {
		faults[i] = fault{d.Severity.String(), d.Pos.File, d.Pos.Line, d.Pos.Col, d.Msg, d.Hint, d.Unenforced}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Faults []fault `json:"faults"`
		Count  tally   `json:"count"`
	}{faults, count(ds)})
}
