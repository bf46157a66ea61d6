package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

// This file is what happens to words that a command cannot do anything with:
// each is refused, with what was probably meant.

// A hinted error knows what to do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// knownCommand refuses a word that should have been a command below cmd.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	least := 1 + len(args[0])/3
	for _, c := range cmd.Commands() {
		if d := distance(args[0], c.Name()); d <= least && !c.Hidden {
			least, hint = d-1, fmt.Sprintf("did you mean %s?", c.CommandPath())
		}
	}
	return hinted{fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0]), hint}
}

// noArgs refuses words that belong to no flag.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the flags"
	if cmd.Flags().Lookup("contract") != nil {
		hint = "a contract is given by --contract, a configuration file by -c"
	}
	return hinted{fmt.Errorf("%s can do nothing with %q", cmd.CommandPath(), args[0]), hint}
}

// helpCommand prints the help of a command, and minds where there is none.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.Root()
			for i, word := range args {
				below := at.Commands()
				j := slices.IndexFunc(below, func(c *cobra.Command) bool { return c.Name() == word })
				if j < 0 {
					return knownCommand(at, args[i:])
				}
				at = below[j]
			}
			return at.Help()
		},
	}
}
