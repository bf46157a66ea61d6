package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sallyport/sallyport/app"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/contract"
	"github.com/spf13/cobra"
)

func checkCommand(e env) *cobra.Command {
	var file, format string
	var contracts, overlays []string
	var strict bool
	cmd := &cobra.Command{
		Use:   "check [-c FILE] [--contract FILE]...",
		Short: "Say what is wrong with contracts and configuration, and what will not be enforced",
		Long: "Check reads what run would read, starts nothing, and prints every fault with its\n" +
			"place: errors, operations that are closed since they cannot be guarded, and\n" +
			"warnings, among them all that is written and will not be enforced, operations\n" +
			"that nothing protects, and policy entries that weaken earlier ones.\n\n" +
			"Exit status: 0 nothing stands in the way of run, 1 faults (with --strict warnings\n" +
			"too), 2 could not run.",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if file == "" && len(contracts) == 0 {
				return errors.New("give a configuration file with -c, or a contract with --contract")
			}
			if len(overlays) > 0 && len(contracts) == 0 {
				return hinted{errors.New("--overlay goes with --contract"), "a configuration file names the overlays of its APIs itself"}
			}
			if format != "text" && format != "json" {
				return fmt.Errorf("--format: %q is neither text nor json", format)
			}
			// A file that is not there is not a fault in it: nothing was checked.
			for _, name := range slices.Concat([]string{file}, contracts, overlays) {
				if name == "" {
					continue
				}
				if err := readable(name); err != nil {
					return err
				}
			}
			var faults contract.Diagnostics
			if file != "" {
				c, ds := config.Load(file, e.getenv)
				faults = append(faults, ds...)
				if c != nil {
					faults = append(faults, app.Check(c, false)...)
				}
			}
			for _, name := range contracts {
				// Where the API is makes no difference to its contract.
				q := quick{contract: name, upstream: "http://localhost", listen: "localhost:0", admin: "off", mode: "enforce", overlays: overlays}
				c, err := q.config()
				if err != nil {
					return err
				}
				faults = append(faults, app.Check(c, true)...)
			}
			write := writeFaults
			if format == "json" {
				write = writeFaultsJSON
			}
			if err := write(e.stdout, faults); err != nil {
				return err
			}
			t := count(faults)
			e.say("%s", t)
			if t.Errors+t.Closed > 0 || strict && len(faults) > 0 {
				return errFound
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration `file`")
	f.StringArrayVar(&contracts, "contract", nil, "contract `file` to check by itself; may be repeated")
	f.StringArrayVar(&overlays, "overlay", nil, "OpenAPI Overlay `file` to apply to the contracts of --contract; may be repeated")
	f.StringVar(&format, "format", "text", "text or json")
	f.BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	return cmd
}

// readable says why a file that was named cannot be read, or nil.
func readable(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("it is a folder")
	case info.Mode().IsRegular(): // a pipe is not opened twice
		var f *os.File
		if f, err = os.Open(name); err == nil {
			f.Close()
		}
	}
	var perr *os.PathError
	if errors.As(err, &perr) {
		err = perr.Err // the name is told already
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	return nil
}

func configCommand(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Tell about the configuration file",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file, for editors",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := e.stdout.Write(config.Schema())
			return err
		},
	})
	return cmd
}
