package authn_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

func principal(t testing.TB, more ...string) *authn.Principal {
	t.Helper()
	s := keyPair("ES256", "acme")
	p, reason := verify(verifierOf(t, nil, issuerFor(t, s, nil)), s.token(header("ES256", "k1"), claims(more...)))
	if reason != exchange.OK {
		t.Fatal(reason)
	}
	return p
}

// upstream verifies stamps as an upstream would, with the published keys.
func upstream(t testing.TB, s *authn.Stamper, token string, at time.Time) (*authn.Principal, exchange.Reason) {
	t.Helper()
	iss, err := authn.NewIssuer(authn.IssuerOptions{URL: "https://gw.example", Audiences: []string{"shop"}, Algorithms: []string{"ES256"}, Keys: s.JWKS(), Tenant: "/tenant", Skew: -1, MaxLifetime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return verifierOf(t, nil, iss).Verify(context.Background(), []byte(token), at)
}

func TestStampsTellTheUpstreamWhoCalls(t *testing.T) {
	st, err := authn.NewStamper(authn.StamperOptions{Issuer: "https://gw.example"})
	if err != nil {
		t.Fatal(err)
	}
	p := principal(t, "org_id", `"acme"`, "roles", `["clerk"]`, "sub", `"a\"\\<é"`)
	tok, err := st.Stamp(p, "shop", now)
	if err != nil {
		t.Fatal(err)
	}
	got, reason := upstream(t, st, tok, now)
	if reason != exchange.OK || got.Subject != p.Subject || got.Tenant != "acme" || got.Client != "web" || !got.HasRole("clerk") || !got.HasScope("orders:write") {
		t.Errorf("%+v, %s", got, reason)
	}
	if idp, _ := got.Claim("/idp"); idp != issuerURL {
		t.Errorf("idp %q", idp)
	}
	if _, reason := upstream(t, st, tok, now.Add(time.Minute)); reason != exchange.AuthnExpired {
		t.Errorf("after its lifetime: %s", reason)
	}
	// It is made once, and again before it is half spent; for each upstream its own.
	if again, _ := st.Stamp(p, "shop", now.Add(29*time.Second)); again != tok {
		t.Error("a stamp was made again")
	}
	if later, _ := st.Stamp(p, "shop", now.Add(31*time.Second)); later == tok {
		t.Error("an old stamp was given")
	}
	other, _ := st.Stamp(p, "billing", now)
	if _, reason := upstream(t, st, other, now); reason != exchange.AuthnAudience {
		t.Errorf("the stamp for another upstream: %s", reason)
	}
	if n := testing.AllocsPerRun(100, func() { st.Stamp(p, "shop", now.Add(32*time.Second)) }); n > 0 {
		t.Errorf("a stamp that there is allocates %v times", n)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(st.JWKS(), &set); err != nil || len(set.Keys) != 2 || strings.Contains(string(st.JWKS()), `"d"`) {
		t.Errorf("the published keys: %s", st.JWKS())
	}
	shared := keyPair("ES256", "shared").key.(*ecdsa.PrivateKey)
	one, err := authn.NewStamper(authn.StamperOptions{Issuer: "https://gw.example", Key: shared})
	if err != nil {
		t.Fatal(err)
	}
	two, err := authn.NewStamper(authn.StamperOptions{Issuer: "https://gw.example", Key: shared})
	if err != nil {
		t.Fatal(err)
	}
	tok, _ = one.Stamp(p, "shop", now)
	if _, reason := upstream(t, two, tok, now); reason != exchange.OK {
		t.Errorf("nodes that share a key: %s", reason)
	}
	for _, o := range []authn.StamperOptions{{}, {Issuer: "x", Lifetime: time.Hour}, {Issuer: "x", Rotate: time.Minute}, {Issuer: "x", Key: keyPair("ES384", "x").key.(*ecdsa.PrivateKey)}} {
		if _, err := authn.NewStamper(o); err == nil {
			t.Errorf("NewStamper(%+v)", o)
		}
	}
}

func TestStampsAreBounded(t *testing.T) {
	st, err := authn.NewStamper(authn.StamperOptions{Issuer: "https://gw.example", Stamps: 10})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		p := principal(t)
		a, _ := st.Stamp(p, "shop", now)
		if b, _ := st.Stamp(p, "shop", now); a != b {
			t.Fatal("the newest stamp is not remembered")
		}
	}
}

// No upstream that looks at the keys now and then meets a stamp of an unknown key.
func TestStampKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := authn.NewStamper(authn.StamperOptions{Issuer: "https://gw.example", Rotate: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- st.Run(ctx) }()
		p := &authn.Principal{Subject: "alice"}
		seen := map[string]bool{}
		for range 5 {
			before := st.JWKS()
			old, err := st.Stamp(p, "shop", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour + time.Second)
			synctest.Wait()
			tok, err := st.Stamp(p, "shop", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			head, _, _ := strings.Cut(tok, ".")
			if seen[head] {
				t.Error("the key was not rotated")
			}
			seen[head] = true
			for name, keys := range map[string][]byte{"fetched before": before, "fetched now": st.JWKS()} {
				iss, err := authn.NewIssuer(authn.IssuerOptions{URL: "https://gw.example", Audiences: []string{"shop"}, Algorithms: []string{"ES256"}, Keys: keys})
				if err != nil {
					t.Fatal(err)
				}
				v := verifierOf(t, nil, iss)
				if _, reason := v.Verify(ctx, []byte(tok), time.Now()); reason != exchange.OK {
					t.Errorf("keys %s, a stamp of now: %s", name, reason)
				}
				if _, reason := v.Verify(ctx, []byte(old), time.Now().Add(-time.Hour)); reason != exchange.OK {
					t.Errorf("keys %s, a stamp of before: %s", name, reason)
				}
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// RFC 9470.
func TestStepUp(t *testing.T) {
	ago := func(d time.Duration) string { return string(json.RawMessage(mustJSON(now.Add(-d).Unix()))) }
	p := principal(t, "acr", `"gold"`, "amr", `["pwd","otp"]`, "auth_time", ago(5*time.Minute))
	for name, c := range map[string]struct {
		s    authn.StepUp
		p    *authn.Principal
		want bool
	}{
		"nothing asked":     {authn.StepUp{}, principal(t), true},
		"acr":               {authn.StepUp{ACR: []string{"silver", "gold"}}, p, true},
		"another acr":       {authn.StepUp{ACR: []string{"platinum"}}, p, false},
		"no acr":            {authn.StepUp{ACR: []string{"gold"}}, principal(t), false},
		"acr is a list":     {authn.StepUp{ACR: []string{"gold"}}, principal(t, "acr", `["gold"]`), false},
		"amr":               {authn.StepUp{AMR: []string{"otp", "pwd"}}, p, true},
		"one amr missing":   {authn.StepUp{AMR: []string{"otp", "hwk"}}, p, false},
		"no amr":            {authn.StepUp{AMR: []string{"otp"}}, principal(t), false},
		"amr is a string":   {authn.StepUp{AMR: []string{"otp"}}, principal(t, "amr", `"otp"`), true},
		"lately":            {authn.StepUp{MaxAge: 5 * time.Minute}, p, true},
		"too long ago":      {authn.StepUp{MaxAge: 4 * time.Minute}, p, false},
		"no auth_time":      {authn.StepUp{MaxAge: time.Hour}, principal(t), false},
		"auth_time to come": {authn.StepUp{MaxAge: time.Hour}, principal(t, "auth_time", ago(-time.Hour)), false},
		"all, one not":      {authn.StepUp{ACR: []string{"gold"}, AMR: []string{"otp"}, MaxAge: time.Minute}, p, false},
	} {
		if got := c.s.Met(c.p, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	s := authn.StepUp{ACR: []string{"gold", `a"b` + "\r\nX: y"}, MaxAge: time.Hour}
	if got, want := s.Challenge(), `Bearer error="insufficient_user_authentication", error_description="A stronger or more recent sign-in is required", acr_values="gold a\"bX: y", max_age="3600"`; got != want {
		t.Errorf("%s", got)
	}
}

func mustJSON(v any) []byte { b, _ := json.Marshal(v); return b }

func BenchmarkStamp(b *testing.B) {
	st, err := authn.NewStamper(authn.StamperOptions{Issuer: "https://gw.example"})
	if err != nil {
		b.Fatal(err)
	}
	p := principal(b)
	b.Run("made", func(b *testing.B) {
		at := now
		for b.Loop() {
			at = at.Add(time.Minute)
			st.Stamp(p, "shop", at)
		}
	})
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			st.Stamp(p, "shop", now)
		}
	})
}
