package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/sallyport/sallyport/exchange"
	"github.com/spf13/cobra"
)

func explainCommand(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [REASON]",
		Short: "Say what a reason means, and what to do about it",
		Long: "Explain prints what Sallyport's catalogue says of a reason: the code that a\n" +
			"refusal, an event or a metric shows. Without one it lists them all.",
		Args: func(cmd *cobra.Command, args []string) error { return noArgs(cmd, args[min(1, len(args)):]) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			if len(args) == 0 {
				for _, r := range exchange.Reasons() {
					codes = append(codes, r.Code()+"\t"+r.Entry().Title)
				}
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listReasons(e.stdout)
			}
			r, ok := exchange.ReasonOf(args[0])
			if !ok {
				e.say("there is no reason %q", args[0])
				if near := nearest(args[0]); near != "" {
					e.hint("did you mean %s? without an argument, explain lists all", near)
				} else {
					e.hint("without an argument, explain lists all")
				}
				return errTold
			}
			return explain(e.stdout, r)
		},
	}
}

// explain writes one entry of the catalogue.
func explain(w io.Writer, r exchange.Reason) error {
	en := r.Entry()
	fmt.Fprintf(w, "%s\n\n", en.Code)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-14s %s\n", label, text)
		}
	}
	line("callers read", en.Title)
	switch {
	case en.Status == 0:
		line("status", "none: it never refuses by itself")
	default:
		line("status", fmt.Sprintf("%d, gRPC code %d", en.Status, en.GRPC))
	}
	line("OWASP", en.OWASP)
	line("what happened", en.Operator)
	line("what to do", en.Fix)
	return nil
}

// listReasons writes every code with its status and title.
func listReasons(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range exchange.Reasons() {
		en := r.Entry()
		status := "-"
		if en.Status != 0 {
			status = fmt.Sprint(en.Status)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", en.Code, status, en.Title)
	}
	return tw.Flush()
}

// nearest returns the code that a person most likely meant, or "". A word of
// a code ("owner") counts as near, whatever its distance.
func nearest(typed string) string {
	typed = strings.ToLower(strings.TrimSpace(typed))
	if typed == "" {
		return ""
	}
	best, least := "", 1+len(typed)/3
	for _, r := range exchange.Reasons() {
		code := r.Code()
		if _, after, _ := strings.Cut(code, "."); after == typed {
			return code
		}
		if d := distance(typed, code); d <= least && (best == "" || d < least) {
			best, least = code, d
		}
	}
	if best != "" {
		return best
	}
	for _, r := range exchange.Reasons() {
		if strings.Contains(r.Code(), typed) {
			return r.Code()
		}
	}
	return ""
}

// distance is how many single-byte edits lead from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := last
			if a[i] != b[j] {
				change++
			}
			last = row[j+1]
			row[j+1] = min(change, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}
