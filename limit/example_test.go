package limit_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/limit"
)

// Two limits of one exchange, charged both or none.
func ExampleMemory() {
	address, err := limit.Compile(limit.Spec{Name: "address", Rate: limit.Rate{N: 600, Per: time.Minute}, Burst: 100})
	if err != nil {
		panic(err)
	}
	login, err := limit.Compile(limit.Spec{Name: "login", Rate: limit.Rate{N: 10, Per: time.Minute}, Burst: 2})
	if err != nil {
		panic(err)
	}
	counter := limit.NewMemory(limit.MemoryOptions{})

	from := limit.AppendAddr(nil, 'a', netip.MustParseAddr("2001:db8::1"))
	name := limit.AppendFolded(nil, 'u', []byte("Alice@example.com"))
	now := time.Now()
	for range 3 {
		charges := []limit.Charge{{Limit: address, Key: from}, {Limit: login, Key: name}}
		ok, err := counter.Take(context.Background(), now, charges)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%v  RateLimit: %s\n", ok, limit.AppendState(nil, charges))
		if !ok {
			wait, which := limit.RetryAfter(charges)
			fmt.Printf("%s, Retry-After: %s\n", charges[which].Limit.Name, limit.AppendRetryAfter(nil, wait))
		}
	}
	// Output:
	// true  RateLimit: "address";r=99;t=1, "login";r=1;t=6
	// true  RateLimit: "address";r=98;t=1, "login";r=0;t=6
	// false  RateLimit: "address";r=98;t=1, "login";r=0;t=6
	// login, Retry-After: 6
}
