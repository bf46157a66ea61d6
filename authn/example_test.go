package authn_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/authn"
)

// A verifier with one issuer whose keys are in the configuration. Where they
// are not, Run fetches them and keeps them fresh.
func ExampleVerifier() {
	acme := keyPair("ES256", "acme") // the issuer's, who signs
	iss, err := authn.NewIssuer(authn.IssuerOptions{
		Name: "acme", URL: "https://id.acme.example",
		Audiences: []string{"shop"}, Algorithms: []string{"ES256"}, MaxLifetime: 15 * time.Minute,
		Keys: keySet(acme.jwk("k1")),
	})
	if err != nil {
		panic(err)
	}
	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{iss}, Cache: authn.NewCache(authn.CacheOptions{})})
	if err != nil {
		panic(err)
	}
	for _, field := range []string{
		"Bearer " + acme.token(header("ES256", "k1"), claims()),
		"Bearer " + join(`{"alg":"none"}`, claims()) + ".",
		"Basic YWxpY2U6c2VjcmV0",
	} {
		token, reason := authn.Bearer([]byte(field))
		if token == nil {
			fmt.Println(reason)
			continue
		}
		p, reason := v.Verify(context.Background(), token, now)
		if p == nil {
			fmt.Println(reason)
			continue
		}
		fmt.Println(p.Subject, p.Scopes)
	}
	// Output:
	// alice [orders:read orders:write]
	// authn.algorithm
	// authn.missing
}
