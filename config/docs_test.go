package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/config"
)

var yamlBlock = regexp.MustCompile("(?ms)^```ya?ml\n(.*?)^```")

// TestDocumentedConfigurationsLoad: what README and docs show can be copied. A
// block is a whole file, a policy, or entries of one.
func TestDocumentedConfigurationsLoad(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, file := range append(files, "../README.md") {
		text := string(read(t, file))
		for _, at := range yamlBlock.FindAllStringSubmatchIndex(text, -1) {
			blocks++
			src := text[at[2]:at[3]]
			line := 1 + strings.Count(text[:at[2]], "\n")
			switch {
			case strings.HasPrefix(src, "version: 1\n"):
			case strings.HasPrefix(src, "policy:"):
				src = base + src
			case strings.HasPrefix(src, "  - {on: ") || strings.HasPrefix(src, "  - on: "):
				src = base + "policy:\n" + src
			default:
				t.Errorf("%s:%d: the block is neither a configuration nor a policy:\n%s", file, line, src)
				continue
			}
			name := filepath.Join(t.TempDir(), "sallyport.yaml")
			if err := os.WriteFile(name, []byte(src), 0o600); err != nil {
				t.Fatal(err)
			}
			c, ds := config.Load(name, environ())
			if c == nil || len(ds) > 0 {
				t.Errorf("%s:%d: the block cannot be used: %v", file, line, ds)
			} else if strings.Contains(src, "policy:") && len(c.Policy.Entries) == 0 {
				t.Errorf("%s:%d: no entry of the policy was read", file, line)
			}
		}
	}
	if blocks < 5 {
		t.Errorf("only %d blocks were found", blocks)
	}
}
