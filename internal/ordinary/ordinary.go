// Package ordinary holds texts that honest people and machines write, and that
// filters have been known to trip over: names, SQL words, Markdown, code, long
// numbers, hashes. Tests send them through what should let them be. It imports
// nothing of the project.
package ordinary

import (
	_ "embed" // for the seeds
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
)

//go:embed ordinary.txt
var file string

// Strings returns 5,000 ordinary strings, the same ones every time: the seeds
// of ordinary.txt, and what a seeded generator makes of people, shops and
// machines.
func Strings() []string {
	var all []string
	for line := range strings.Lines(file) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		all = append(all, strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(line))
	}
	seeds := len(all)
	r := rand.New(rand.NewPCG(20261124, 1))
	hexes := func(n int) string { b := make([]byte, n); fill(r, b); return hex.EncodeToString(b) }
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	first := []string{"Anna", "O'Neil", "Jürgen", "Łukasz", "Mary-Jane", "Nguyễn", "Selecta", "Union", "Drop", "José", "李雷", "Zoë", "Null", "Admin"}
	last := []string{"O'Brien", "Müller", "de la Cruz", "Smith-Jones", "van den Berg", "Execa", "Where", "Table", "D'Souza", "Κώστας", "Петров"}
	makers := []func() string{
		func() string { return pick(first...) + " " + pick(last...) },
		func() string {
			h := hexes(16)
			return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
		},
		func() string { return hexes([]int{8, 12, 16, 20, 28, 32, 48, 64}[r.IntN(8)]) },
		func() string { return strings.ToUpper(hexes(16 + r.IntN(8))) },
		func() string {
			return fmt.Sprintf("v%d.%d.%d-rc.%d+%s", r.IntN(20), r.IntN(50), r.IntN(99), r.IntN(9), hexes(4))
		},
		func() string {
			return fmt.Sprintf("2026-%02d-%02dT%02d:%02d:%02d.%06dZ", 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
		},
		func() string {
			return fmt.Sprintf("20%02d-%02d-%02d %02d:%02d:%02d+%02d:00", r.IntN(40), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(12))
		},
		func() string { return fmt.Sprint(1.6e18 + r.Int64N(2e17)) },            // nanoseconds
		func() string { return fmt.Sprint(1_600_000_000_000 + r.Int64N(2e11)) }, // milliseconds
		func() string {
			return fmt.Sprintf("%s-%04d-%06d", pick("ORD", "INV", "RMA", "SO", "PO"), 2000+r.IntN(30), r.IntN(1e6))
		},
		func() string {
			return fmt.Sprintf("%s%016d", pick("ORD-", "order_", "#", "TX", "a", "no-"), r.Int64N(1e16))
		},
		func() string { return fmt.Sprintf("%010d", r.Int64N(1e10)) },
		func() string { return fmt.Sprintf("%d.%015d", r.IntN(1e4), r.Int64N(1e15)) },
		func() string {
			return fmt.Sprintf("%s%d.%02d", pick("$", "€", "£", "USD ", "-"), r.IntN(99999), r.IntN(100))
		},
		func() string {
			return fmt.Sprintf("%d.%d.%d.%d:%d", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(65536))
		},
		func() string {
			return fmt.Sprintf("2001:db8:%x:%x::%x/64", r.IntN(65536), r.IntN(65536), r.IntN(65536))
		},
		func() string {
			b := make([]byte, 30+r.IntN(400))
			fill(r, b)
			return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b)
		},
		func() string {
			b := make([]byte, 16+r.IntN(64))
			fill(r, b)
			return base64.StdEncoding.EncodeToString(b)
		},
		func() string {
			b := make([]byte, 16+r.IntN(32))
			fill(r, b)
			return base64.RawURLEncoding.EncodeToString(b)
		},
		func() string {
			return fmt.Sprintf("%+d %s", r.IntN(1<<30), pick("bytes", "points", "lines", "ms", "€"))
		},
		func() string { return fmt.Sprintf("%.6f,%.6f", r.Float64()*180-90, r.Float64()*360-180) },
		func() string {
			return fmt.Sprintf("978-%d-%02d-%06d-%d", r.IntN(10), r.IntN(100), r.IntN(1e6), r.IntN(10))
		},
		func() string {
			return fmt.Sprintf("%s@%dx.%s", pick("icon", "hero", "app-logo"), 1+r.IntN(4), pick("png", "jpg", "webp"))
		},
		func() string {
			return fmt.Sprintf("%s@%d.%d.%d", pick("react", "@types/node", "left-pad"), r.IntN(20), r.IntN(20), r.IntN(20))
		},
		func() string {
			return fmt.Sprintf("https://%s.example.com/%s/%d?page=%d&sort=%s#%s", pick("api", "www"), pick("orders", "users"), r.IntN(1e9), r.IntN(100), pick("+name", "-date"), hexes(3))
		},
		func() string {
			return fmt.Sprintf("const %s = %d; // %s", pick("a", "b"), r.Int64N(1e12), pick("TODO", "sum + 1"))
		},
		func() string { return all[r.IntN(seeds)] + pick(" ", "\n", " – ", "; ", "\t") + all[r.IntN(seeds)] },
		func() string { return "(" + all[r.IntN(seeds)] + ")" },
		func() string { return fmt.Sprintf("%d-%d-%d", r.IntN(99), r.IntN(99), r.IntN(99999)) },
		func() string { return fmt.Sprintf("GTIN %013d, lot %d", r.Int64N(1e13), r.IntN(1e6)) },
	}
	for i := 0; len(all) < 5000; i++ {
		all = append(all, makers[i%len(makers)]())
	}
	return all
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}
