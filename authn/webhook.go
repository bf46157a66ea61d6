package authn

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// A WebhookFormat is how a sender signs its messages. All are HMAC with
// SHA-256.
type WebhookFormat string

// The formats.
const (
	// WebhookStandard signs id, time and body (standardwebhooks.com): fields
	// webhook-id, webhook-timestamp, webhook-signature.
	WebhookStandard WebhookFormat = "standard"
	// WebhookStripe signs time and body: Stripe-Signature: t=…,v1=….
	WebhookStripe WebhookFormat = "stripe"
	// WebhookSlack signs time and body: X-Slack-Request-Timestamp,
	// X-Slack-Signature: v0=….
	WebhookSlack WebhookFormat = "slack"
	// WebhookGitHub signs the body alone: X-Hub-Signature-256: sha256=….
	// It has no time, so a message is known again for 24 hours only.
	WebhookGitHub WebhookFormat = "github"
)

// WebhookOptions say whose messages are taken. Format, Sender and Secrets are
// required.
type WebhookOptions struct {
	Format  WebhookFormat
	Sender  string   // the subject of the principal
	Secrets [][]byte // any of them may sign, so that they can be changed; 16 bytes each or more
	// Tolerance is how far the time of a message may lie from now, 1 s to 15
	// minutes; 0 means 5 minutes.
	Tolerance time.Duration
	// Messages bounds how many are remembered; 0 means 100,000. When there are
	// more, new ones are answered 503.
	Messages int
	Scopes   []string
}

// A Webhook proves the sender of signed messages, each of which serves once.
// Its methods may be called at once.
type Webhook struct {
	o         WebhookOptions
	principal Principal
	seen      replayMemory
}

// NewWebhook checks the options.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	var errs []error
	switch o.Format {
	case WebhookStandard, WebhookStripe, WebhookSlack, WebhookGitHub:
	default:
		errs = append(errs, fmt.Errorf("webhook: format: %.32q is none of standard, stripe, slack and github", o.Format))
	}
	if o.Sender == "" {
		errs = append(errs, errors.New("webhook: sender: missing"))
	}
	if len(o.Secrets) == 0 || len(o.Secrets) > 4 {
		errs = append(errs, errors.New("webhook: secrets: give 1 to 4"))
	}
	for _, s := range o.Secrets {
		if len(s) < 16 {
			errs = append(errs, errors.New("webhook: secrets: a secret must have 16 bytes or more"))
		}
	}
	if o.Tolerance == 0 {
		o.Tolerance = 5 * time.Minute
	}
	if o.Tolerance < time.Second || o.Tolerance > 15*time.Minute {
		errs = append(errs, errors.New("webhook: tolerance: must be 1s to 15m"))
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	w := &Webhook{o: o, principal: Principal{Subject: o.Sender, Provider: o.Sender, How: ByWebhook, Scopes: o.Scopes}}
	w.seen.span, w.seen.max = 2*int64(o.Tolerance/time.Second), o.Messages
	if o.Format == WebhookGitHub {
		w.seen.span = 24 * 60 * 60
	}
	if o.Messages <= 0 {
		w.seen.max = 100_000
	}
	return w, nil
}

// Verify returns who sent a message and OK, or nil and the reason why not.
// body is the body as it came, its content coding still on.
func (w *Webhook) Verify(h exchange.Header, body []byte, now time.Time) (*Principal, exchange.Reason) {
	var id, stamp, signature []byte
	var reason exchange.Reason
	one := func(name string) []byte {
		var v []byte
		for i := range h {
			if exchange.EqualFold(h[i].Name, name) {
				if v != nil {
					reason = exchange.AuthnMalformed // twice
				}
				v = h[i].Value
			}
		}
		if len(v) == 0 && reason == exchange.Undecided {
			reason = exchange.AuthnMissing
		}
		return v
	}
	var signed [4][]byte // what the signature is over, in parts
	// macs are the signatures that the message offers.
	var macs [8][]byte
	n := 0
	offer := func(mac []byte, err error) {
		if err == nil && len(mac) == sha256.Size && n < len(macs) {
			macs[n] = mac
			n++
		}
	}
	switch w.o.Format {
	case WebhookStandard:
		id, stamp, signature = one("webhook-id"), one("webhook-timestamp"), one("webhook-signature")
		signed = [4][]byte{append(bytes.Clone(id), '.'), append(bytes.Clone(stamp), '.'), body}
		if bytes.IndexByte(id, '.') >= 0 || len(id) > maxText {
			return nil, exchange.AuthnMalformed
		}
		for s := range bytes.SplitSeq(signature, []byte(" ")) {
			if text, ok := bytes.CutPrefix(s, []byte("v1,")); ok {
				offer(base64.StdEncoding.Strict().AppendDecode(nil, text))
			}
		}
	case WebhookStripe:
		signature = one("stripe-signature")
		for s := range bytes.SplitSeq(signature, []byte(",")) {
			if text, ok := bytes.CutPrefix(s, []byte("t=")); ok {
				if stamp != nil {
					return nil, exchange.AuthnMalformed
				}
				stamp = text
			} else if text, ok := bytes.CutPrefix(s, []byte("v1=")); ok {
				offer(hex.AppendDecode(nil, text))
			}
		}
		signed = [4][]byte{append(bytes.Clone(stamp), '.'), body}
	case WebhookSlack:
		stamp, signature = one("x-slack-request-timestamp"), one("x-slack-signature")
		signed = [4][]byte{[]byte("v0:"), append(bytes.Clone(stamp), ':'), body}
		if text, ok := bytes.CutPrefix(signature, []byte("v0=")); ok {
			offer(hex.AppendDecode(nil, text))
		}
	case WebhookGitHub:
		signature = one("x-hub-signature-256")
		signed = [4][]byte{body}
		if text, ok := bytes.CutPrefix(signature, []byte("sha256=")); ok {
			offer(hex.AppendDecode(nil, text))
		}
	}
	if reason != exchange.Undecided {
		return nil, reason
	}
	good := false
	for _, secret := range w.o.Secrets {
		mac := hmac.New(sha256.New, secret)
		for _, part := range signed {
			mac.Write(part)
		}
		var buf [sha256.Size]byte
		sum := mac.Sum(buf[:0])
		for _, m := range macs[:n] {
			good = hmac.Equal(m, sum) || good
		}
	}
	if !good {
		return nil, exchange.AuthnSignature
	}
	if w.o.Format != WebhookGitHub {
		at, err := strconv.ParseInt(string(stamp), 10, 64)
		if err != nil || len(stamp) > 12 || at < 0 {
			return nil, exchange.AuthnClaims
		}
		tolerance := int64(w.o.Tolerance / time.Second)
		if at < now.Unix()-tolerance {
			return nil, exchange.AuthnExpired
		}
		if at > now.Unix()+tolerance {
			return nil, exchange.AuthnNotYet
		}
	}
	// The same message is the same text, however it is signed.
	sum := sha256.Sum256(body)
	if reason := w.seen.remember(now.Unix(), string(id), string(stamp), string(sum[:])); reason != exchange.OK {
		return nil, reason
	}
	return &w.principal, exchange.OK
}
