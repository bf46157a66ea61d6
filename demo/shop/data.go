package shop

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"time"
)

// How many there are of each.
const (
	CountUsers    = 300
	CountProducts = 120
	listed        = 100 // products that lists show; the rest is reached by id
	ordersEach    = 5
)

// The tenants. Users with an even number belong to the first.
var Tenants = [2]string{"acme", "globex"}

// Who is who among the users, by number. Whoever is not named here is a
// customer that only appears in other people's stories.
const (
	FirstStaff = 40 // four of them, two of each tenant
	FirstAdmin = 44 // four of them, two of each tenant
	endAdmin   = 48
	FirstWeak  = 290 // and all after: their passwords are easily guessed
)

// epoch is the day the shop's data begins. Nothing in it depends on the
// clock, so that two shops of one seed answer alike.
var epoch = time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)

// A User is an account, with all that the shop knows of it.
type User struct {
	ID, Org, Name, Email, Phone string
	Role                        string // customer, staff or admin
	Password                    string
	Created                     time.Time
	Addresses                   []Address
	Cards                       []Card
	Preferences                 map[string]any

	made int // orders, reviews and the like since the shop opened
	cart map[string]int
}

// An Address is where orders go.
type Address struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name"`
	Street   string `json:"street"`
	City     string `json:"city"`
	Postcode string `json:"postcode,omitempty"`
	Country  string `json:"country"`
	Phone    string `json:"phone,omitempty"`
}

// A Card is a payment card. The numbers are made up, and pass the Luhn check.
type Card struct {
	ID     string `json:"id"`
	Number string `json:"number"`
	Expiry string `json:"expiry"`
	CVV    string `json:"cvv"`
}

// A Product is for sale.
type Product struct {
	ID, Name, Description, Category string
	Tags                            []string
	Price, Cost, Rating             float64
	Supplier                        string
}

// An Order is what a user bought.
type Order struct {
	ID       string    `json:"id"`
	Customer string    `json:"customer_id"`
	Status   string    `json:"status"`
	Items    []Item    `json:"items"`
	ShipTo   *Address  `json:"ship_to,omitempty"`
	Coupon   string    `json:"coupon,omitempty"`
	Note     string    `json:"note,omitempty"`
	Gift     bool      `json:"gift,omitempty"`
	Total    float64   `json:"total"`
	Created  time.Time `json:"created_at"`
}

// An Item is a line of an order.
type Item struct {
	Product  string  `json:"product_id"`
	Name     string  `json:"name"`
	Quantity int     `json:"quantity"`
	Price    float64 `json:"price"`
}

// A Review is what a user thinks of a product.
type Review struct {
	ID       string `json:"id"`
	Author   string `json:"author"`
	Verified bool   `json:"verified"`
	Stars    int    `json:"stars"`
	Title    string `json:"title,omitempty"`
	Text     string `json:"text"`

	author   string // user id
	approved bool
}

var (
	firstNames = []string{"Ada", "Søren", "Zoë", "Łukasz", "José", "Nguyễn", "Björk", "D'Arcy", "Anne-Marie", "Иван", "美咲", "Fatima", "Noël", "Siobhán", "Kofi", "Chloé", "Mehmet", "Ole", "Priya", "Aoife"}
	lastNames  = []string{"O'Brien", "Müller", "Núñez", "van der Berg", "Null", "Select", "Drop", "Smith-Jones", "Øster", "García", "佐藤", "Иванова", "D'Souza", "McDonald", "Test", "Truex", "Unionsson", "Ölmez", "Kay", "Åberg"}
	streets    = []string{"1 Rue de l'Église", "Straße des 17. Juni 135", "221B Baker St.", "Calle Mayor, 3º izq.", "10/12 High Street; rear", "Apt #4, 5th & Main", "Piața Unirii nr. 1", "Kongens Nytorv 9, 2. th."}
	cities     = []string{"Zürich", "København", "Saint-Étienne", "'s-Hertogenbosch", "Łódź", "Cork", "São Paulo", "Reykjavík"}
	countries  = []string{"CH", "DK", "FR", "NL", "PL", "IE", "BR", "IS"}
	categories = []string{"books", "garden", "kitchen", "music", "toys"}
	tags       = []string{"new", "sale", "gift", "eco", "vintage"}
	goods      = []string{"SQL for Smarties", "Union Jack teapot", "Select & Drop spice set", "\"Exec\" desk <lamp>", "Rock 'n' roll LP", "50% wool sock", "C++ & C# primer", "Café au lait bowl", "Order by Chaos (novel)", "Hoe & rake; pair", "Teddy 🧸", "Null pointer stick", "Script-free diary", "Path/../Finder map", "Bücher-Stütze", "1=1 maths game"}
)

// seedUser makes user n as he was when the shop opened.
func seedUser(seed uint64, n int) *User {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	name := firstNames[r.IntN(len(firstNames))] + " " + lastNames[r.IntN(len(lastNames))]
	u := &User{
		ID: UserID(n), Org: Tenants[n%2], Name: name, Role: "customer",
		Email:    fmt.Sprintf("user%04d@%s.example", n, Tenants[n%2]),
		Phone:    fmt.Sprintf("+4520%06d", r.IntN(1_000_000)),
		Password: fmt.Sprintf("Pa55-%08x", r.Uint32()),
		Created:  epoch.Add(time.Duration(n) * time.Hour),
		cart:     map[string]int{},
	}
	if n >= FirstWeak {
		u.Password = []string{"Autumn", "Winter"}[r.IntN(2)] + []string{"2025!", "2026!"}[r.IntN(2)]
	}
	switch {
	case n >= FirstStaff && n < FirstAdmin:
		u.Role = "staff"
	case n >= FirstAdmin && n < endAdmin:
		u.Role = "admin"
	}
	place := r.IntN(len(cities))
	u.Addresses = []Address{{
		ID: AddressID(n), Name: name, Street: streets[r.IntN(len(streets))], City: cities[place],
		Postcode: fmt.Sprintf("%05d", r.IntN(100_000)), Country: countries[place], Phone: u.Phone,
	}}
	for k := range 2 {
		u.Cards = append(u.Cards, Card{
			ID: fmt.Sprintf("crd_%d", n*10+k), Number: pan(r),
			Expiry: fmt.Sprintf("%02d/%02d", 1+r.IntN(12), 27+r.IntN(5)), CVV: fmt.Sprintf("%03d", r.IntN(1000)),
		})
	}
	return u
}

// seedOrders makes the orders that user n had when the shop opened.
func (s *Shop) seedOrders(n int) []*Order {
	r := rand.New(rand.NewPCG(s.seed, 1<<32|uint64(n)))
	u := seedUser(s.seed, n)
	var os []*Order
	for k := range ordersEach {
		o := &Order{
			ID: OrderID(n, k), Customer: u.ID, Status: []string{"new", "paid", "shipped", "delivered"}[r.IntN(4)],
			ShipTo: &u.Addresses[0], Created: epoch.Add(time.Duration(n*ordersEach+k) * time.Minute),
		}
		for range 1 + r.IntN(3) {
			p := s.products[ProductID(r.IntN(listed))]
			o.Items = append(o.Items, Item{p.ID, p.Name, 1 + r.IntN(3), p.Price})
		}
		o.Total = total(o.Items, 0)
		os = append(os, o)
	}
	return os
}

func seedProduct(seed uint64, n int) *Product {
	r := rand.New(rand.NewPCG(seed, 2<<32|uint64(n)))
	price := float64(100+r.IntN(20_000)) / 100
	p := &Product{
		ID: ProductID(n), Name: fmt.Sprintf("%s no. %d", goods[r.IntN(len(goods))], n), Category: categories[n%len(categories)],
		Description: "It's what you'd expect: <b>nothing</b> more; -- or less. Costs $5 -> €4. " + goods[r.IntN(len(goods))],
		Price:       price, Cost: cents(price * 0.4), Rating: float64(r.IntN(51)) / 10, Supplier: "Wholesale 17 (net 30, 60% off)",
	}
	for _, t := range tags {
		if r.IntN(3) == 0 {
			p.Tags = append(p.Tags, t)
		}
	}
	return p
}

// UserID, AddressID, OrderID and ProductID name what the shop opened with:
// user n, his address, his order k (0 to 4), and product n. That they can be
// counted up is one of the faults.
func UserID(n int) string     { return fmt.Sprintf("usr_%04d", n) }
func AddressID(n int) string  { return fmt.Sprintf("adr_%d", n*10) }
func OrderID(n, k int) string { return fmt.Sprintf("ord_%06d", 100_000+n*ordersEach+k) }
func ProductID(n int) string  { return fmt.Sprintf("prd_%04d", n) }

// pan makes a card number of 16 digits that passes the Luhn check, in a range
// that test cards use.
func pan(r *rand.Rand) string {
	d := []byte("400000")
	for len(d) < 15 {
		d = append(d, byte('0'+r.IntN(10)))
	}
	sum := 0
	for i, c := range d {
		v := int(c - '0')
		if i%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return string(append(d, byte('0'+(10-sum%10)%10)))
}

// hash is what a leaked password hash looks like.
func hash(password string) string {
	h := sha256.Sum256([]byte(password))
	return "$2b$12$" + (base64.RawStdEncoding.EncodeToString(h[:]) + "0123456789")[:53]
}
