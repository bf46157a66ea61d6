package main

import (
	"errors"
	"fmt"

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
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if file == "" && len(contracts) == 0 {
				return errors.New("give a configuration file with -c, or a contract with --contract")
			}
			if format != "text" && format != "json" {
				return fmt.Errorf("--format: %q is neither text nor json", format)
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

func configCommand(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Tell about the configuration file",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file, for editors",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := e.stdout.Write(config.Schema())
			return err
		},
	})
	return cmd
}
