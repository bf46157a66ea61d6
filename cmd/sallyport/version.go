package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the toolchain",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return printVersion(e)
		},
	}
}

func printVersion(e env) error {
	_, err := fmt.Fprintf(e.stdout, "sallyport %s\n%s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// version is what the toolchain recorded in the binary: the module's version
// where it was built from one, else the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v, commit, dirty := info.Main.Version, "", ""
	if v == "" {
		v = "(devel)"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = ", with changes"
			}
		}
	}
	if len(commit) >= 12 {
		v += " (commit " + commit[:12] + dirty + ")"
	}
	return v
}
