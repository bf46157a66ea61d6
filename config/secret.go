package config

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is a text that does not show itself: not by fmt, log/slog, JSON or
// YAML. string(s) is the text.
type Secret string

const redacted = "[redacted]"

// Format prints what hides s, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue hides s from log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides s from encoding/json, YAML and the like.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
