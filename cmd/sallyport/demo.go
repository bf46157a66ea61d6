package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/app"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/demo"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func demoCommand(e env) *cobra.Command {
	o := demo.Options{Out: e.stdout}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show Sallyport at work on a shop that is under attack",
		Long: "Demo starts a shop with the classic faults of APIs, an issuer of tokens, Sallyport\n" +
			"before the shop, honest callers and attackers, and shows what passes and what is\n" +
			"refused and why. Everything listens on the loopback network only.\n\n" +
			"It ends with a table of what the bare shop gave away and what came out of\n" +
			"Sallyport. Exit status: 0 nothing came out and no honest caller was harmed, 1 not\n" +
			"so, 2 could not run.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("for") && o.Duration <= 0 {
				return fmt.Errorf("--for: %s is no time to go on for; leave it out to go on until Ctrl-C", o.Duration)
			}
			if f, ok := e.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				o.Terminal = true
				o.Size = func() (int, int) {
					w, h, err := term.GetSize(int(f.Fd()))
					if err != nil {
						return 120, 30
					}
					return w, h
				}
			}
			o.Start = func(ctx context.Context, s demo.Setup) (demo.Proxy, error) { return startDemo(ctx, e, s) }
			report, err := demo.Run(cmd.Context(), o)
			switch {
			case err != nil:
				return err
			case !report.OK():
				return errFound
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.Duration, "for", 0, "how long to go on, such as 30s; without it until Ctrl-C")
	f.StringVar(&o.Listen, "listen", "", "`address` of Sallyport; without it 127.0.0.1:8080, or any that is free")
	f.StringVar(&o.Admin, "admin", "", "`address` for operators; without it 127.0.0.1:9090, or any that is free")
	f.Uint64Var(&o.Seed, "seed", 1, "chooses the shop's data and what callers do")
	return cmd
}

// startDemo starts the same gateway as run does, in this process.
func startDemo(ctx context.Context, e env, s demo.Setup) (p demo.Proxy, err error) {
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return p, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, s.Config, 0o600); err != nil {
		return p, err
	}
	for name, text := range s.Files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return p, err
		}
	}
	a, err := app.New(ctx, app.Options{
		Load:    func() (*config.Config, contract.Diagnostics) { return config.Load(file, e.getenv) },
		Events:  s.Events,
		Stdout:  io.Discard, // the view shows the events
		Log:     slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Version: version(),
	})
	if err != nil {
		return p, fmt.Errorf("the demo's own configuration: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	closed := false
	p = demo.Proxy{URL: a.Addresses()[0], Admin: a.Admin(), Close: func() {
		if closed {
			return
		}
		closed = true
		stop()
		if err := <-ended; err != nil {
			e.complain(err)
		}
		a.Close()
		os.RemoveAll(dir)
	}}
	if err := a.WaitReady(ctx, 20*time.Second); err != nil {
		p.Close()
		return demo.Proxy{}, err
	}
	return p, nil
}
