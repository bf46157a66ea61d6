package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A table is shown in the terminal and in Markdown. The first column is text,
// the others stand to the right.
type table struct {
	head []string
	rows [][]string
}

func (t *table) terminal() string {
	width := make([]int, len(t.head))
	for _, r := range append([][]string{t.head}, t.rows...) {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	put := func(r []string) {
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i == 0 {
				b.WriteString(c + pad)
			} else {
				b.WriteString("   " + pad + c)
			}
		}
		b.WriteByte('\n')
	}
	put(t.head)
	total := 3 * (len(width) - 1)
	for _, w := range width {
		total += w
	}
	b.WriteString(strings.Repeat("─", total) + "\n")
	for _, r := range t.rows {
		put(r)
	}
	return b.String()
}

func (t *table) markdown() string {
	if len(t.rows) == 0 {
		return ""
	}
	var b strings.Builder
	row := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(t.head)
	b.WriteString("|---|" + strings.Repeat("--:|", len(t.head)-1) + "\n")
	for _, r := range t.rows {
		row(r)
	}
	return b.String()
}

// number shows three digits that mean something.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func ratio(v float64) string {
	switch {
	case v >= 10:
		return fmt.Sprintf("%.0f", v)
	case v < 0.1:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// stamp says on what, with what and when the figures were taken.
func (b *bench) stamp() string {
	versions := []string{}
	for _, s := range b.subjects {
		switch s.name {
		case "nginx":
			versions = append(versions, version("nginx", "-v", `nginx/([\d.]+)`))
		case "haproxy":
			versions = append(versions, version("haproxy", "-v", `version ([\d.]+)`))
		case "caddy":
			versions = append(versions, "Caddy "+required("github.com/caddyserver/caddy/v2"))
		case "guard":
			versions = append(versions, "kin-openapi "+required("github.com/getkin/kin-openapi"), "golang-jwt "+required("github.com/golang-jwt/jwt/v5"))
		}
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty", "--tags").Output(); err == nil {
		versions = append(versions, "Sallyport "+strings.TrimSpace(string(out)))
	}
	return fmt.Sprintf("Machine: %s. Versions: %s. %d keep-alive connections. %s, `cd bench && go run . %s`.",
		machine(), strings.Join(versions, ", "), b.flags.callers, time.Now().Format("2 January 2006"), strings.Join(os.Args[1:], " "))
}

func version(name, flag, pattern string) string {
	bin, err := debian(name)
	if err != nil {
		return name
	}
	out, _ := exec.Command(bin, flag).CombinedOutput()
	if m := regexp.MustCompile(pattern).FindSubmatch(out); m != nil {
		return name + " " + string(m[1])
	}
	return name
}

// required reads the version of a dependency from go.mod.
func required(module string) string {
	b, _ := os.ReadFile("go.mod")
	_, after, _ := strings.Cut(string(b), module+" ")
	v, _, _ := strings.Cut(after, "\n")
	return v
}

// writeDoc replaces the part of the document between the marks of a name.
// Parts of the whole are not written down unless -doc asks for it.
func (b *bench) writeDoc(name, text string) error {
	file := b.flags.doc
	if file == "" {
		if !b.whole {
			return nil
		}
		file = "../docs/performance.md"
	}
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fresh, err := replaceMarked(string(old), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(fresh), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "written to %s\n", file)
	return nil
}

func replaceMarked(doc, name, text string) (string, error) {
	begin, end := "<!-- bench:"+name+" -->", "<!-- /bench:"+name+" -->"
	before, rest, ok := strings.Cut(doc, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", errors.New("the marks " + begin + " and " + end + " are missing")
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n" + end + after, nil
}

// terminal says whether progress can be shown in place.
var terminal = func() bool {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return err == nil
}()

// progress shows in one line of the terminal what is going on.
func progress(format string, args ...any) {
	if terminal {
		fmt.Fprintf(os.Stderr, "\r\033[K"+format, args...)
	}
}

// say prints a line above the progress.
func say(format string, args ...any) {
	progress("")
	fmt.Fprintf(os.Stderr, format, args...)
}
