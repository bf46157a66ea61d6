package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/app"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/policy"
	"github.com/spf13/cobra"
)

// quick is a configuration made of flags.
type quick struct {
	contract, upstream, listen, admin, mode, events string
	overlays                                        []string
}

func runCommand(e env) *cobra.Command {
	var file string
	var q quick
	cmd := &cobra.Command{
		Use:   "run (--contract FILE --upstream URL | -c FILE)",
		Short: "Guard APIs",
		Long: "Run stands before an API and guards it by its contract until it is told to stop\n" +
			"(SIGTERM, or Ctrl-C; twice to stop at once). It reads everything again on SIGHUP,\n" +
			"and when a file changes.\n\n" +
			"With --contract it observes unless --mode says enforce: everything passes, and\n" +
			"events on stdout tell what would have been refused.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load, err := loader(cmd, e, file, q)
			if err != nil {
				return err
			}
			return serve(cmd, e, load)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration `file`")
	f.StringVar(&q.contract, "contract", "", "contract `file` of the one API to guard")
	f.StringVar(&q.upstream, "upstream", "", "`URL` of that API")
	f.StringVar(&q.listen, "listen", "127.0.0.1:8080", "`address` for callers")
	f.StringVar(&q.admin, "admin", "127.0.0.1:9090", "`address` for operators, or off")
	f.StringVar(&q.mode, "mode", "observe", "observe or enforce")
	f.StringArrayVar(&q.overlays, "overlay", nil, "OpenAPI Overlay `file` to apply to the contract; may be repeated")
	f.StringVar(&q.events, "events", "stdout", "where events go: stdout, off or a `file`")
	return cmd
}

// loader says how the configuration is read, from a file or from flags.
func loader(cmd *cobra.Command, e env, file string, q quick) (func() (*config.Config, contract.Diagnostics), error) {
	if file != "" {
		for _, name := range []string{"contract", "upstream", "listen", "admin", "mode", "overlay", "events"} {
			if cmd.Flags().Changed(name) {
				return nil, fmt.Errorf("--%s and -c exclude each other: the configuration file says it", name)
			}
		}
		return func() (*config.Config, contract.Diagnostics) { return config.Load(file, e.getenv) }, nil
	}
	if q.contract == "" || q.upstream == "" {
		return nil, errors.New("give --contract and --upstream, or a configuration file with -c")
	}
	c, err := q.config()
	if err != nil {
		return nil, err
	}
	return func() (*config.Config, contract.Diagnostics) { return c, nil }, nil
}

// config is what a file would say that holds no more than the flags.
func (q *quick) config() (*config.Config, error) {
	c := config.Default()
	up, err := url.Parse(q.upstream)
	if err != nil || up.Scheme != "http" && up.Scheme != "https" || up.Hostname() == "" || up.RawQuery != "" || up.Fragment != "" || up.User != nil {
		return nil, fmt.Errorf("--upstream: %q is no URL of an API; write http://host:port or https://host", q.upstream)
	}
	for flag, address := range map[string]string{"listen": q.listen, "admin": q.admin} {
		if _, _, err := net.SplitHostPort(address); err != nil && !(flag == "admin" && address == "off") {
			return nil, fmt.Errorf("--%s: %q is no address; write host:port", flag, address)
		}
	}
	if host, _, err := net.SplitHostPort(q.admin); err == nil {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("--admin: others could reach %s; listen at 127.0.0.1, or give it a token in a configuration file", q.admin)
		}
	}
	a := config.API{Name: apiName(q.contract), Upstream: []*url.URL{up}}
	switch q.mode {
	case "observe":
		a.Mode = policy.Observe
	case "enforce":
		a.Mode = policy.Enforce
	default:
		return nil, fmt.Errorf("--mode: %q is neither observe nor enforce", q.mode)
	}
	a.Contract = config.Path(q.contract)
	for _, o := range q.overlays {
		a.Overlays = append(a.Overlays, config.Path(o))
	}
	a.Pos = contract.Pos{File: q.contract, Line: 1, Col: 1}
	c.APIs = []config.API{a}
	c.Listen[0].Address, c.Admin.Address, c.Events.To = q.listen, q.admin, q.events
	c.Source = fmt.Appendf(nil, "%+v", *q) // so that the plan's hash tells one from another
	return c, nil
}

// apiName is the name of an API whose contract is all that is known of it.
func apiName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	name = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		case 'A' <= r && r <= 'Z':
			return r | 0x20
		}
		return '-'
	}, name)
	if name = strings.Trim(name, "-_"); name == "" {
		return "api"
	}
	return name
}

// serve runs the gateway until the command's context is done.
func serve(cmd *cobra.Command, e env, load func() (*config.Config, contract.Diagnostics)) error {
	ctx := cmd.Context()
	first, _ := load()
	log := logger(e.stderr, first)
	a, err := app.New(ctx, app.Options{Load: load, Stdout: e.stdout, Log: log, Version: version()})
	if err != nil {
		return cannotStart(e, err)
	}
	defer a.Close()
	for _, g := range a.Guarded() {
		e.say("guarding %s: %s of %s, %s", g.API, many(g.Operations, "operation"), g.Contract, g.Mode)
	}
	e.say("callers reach it at %s", strings.Join(a.Addresses(), ", "))
	if admin := a.Admin(); admin != "" {
		e.say("health and metrics are at %s", admin)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-e.reload:
				a.Reload() // logs what came of it
			case <-ended:
				return
			}
		}
	}()
	return a.Run(ctx)
}

// cannotStart tells why the gateway does not start: every fault, with its
// place.
func cannotStart(e env, err error) error {
	var faults contract.Diagnostics
	if !errors.As(err, &faults) {
		return err
	}
	var fatal contract.Diagnostics
	for _, d := range faults {
		if d.Severity == contract.Fatal {
			fatal = append(fatal, d)
		}
	}
	if err := writeFaults(e.stderr, fatal); err != nil {
		return err
	}
	e.say("cannot start: %s", count(fatal))
	return errTold
}

// logger is what the gateway logs by, as far as the configuration is known.
func logger(w io.Writer, c *config.Config) *slog.Logger {
	o := &slog.HandlerOptions{}
	if c == nil {
		return slog.New(slog.NewTextHandler(w, o))
	}
	var level slog.Level
	if level.UnmarshalText([]byte(c.Log.Level)) == nil {
		o.Level = level
	}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
