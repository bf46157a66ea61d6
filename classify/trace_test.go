package classify

import (
	"encoding/json"
	"testing"
)

var traces = map[string]string{
	"java":      "java.lang.NullPointerException: Cannot invoke\n\tat com.acme.shop.OrderService.find(OrderService.java:42)\n\tat java.base/java.lang.Thread.run(Thread.java:833)\n",
	"kotlin":    "Exception\n\tat com.acme.shop.OrdersKt$main$1.invoke(Orders.kt:12)",
	"native":    "x\n\tat java.lang.reflect.Method.invoke(Native Method)\n",
	"python":    "Traceback (most recent call last):\n  File \"/app/shop.py\", line 12, in order\n    raise ValueError\nValueError\n",
	"pythoncut": "  File \"/app/shop.py\", line 12, in order\n    raise ValueError",
	"go":        "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 17 [running]:\nmain.order(...)\n\t/app/main.go:12 +0x1d\n",
	"gocut":     "main.order(0xc000012345)\n\t/app/main.go:12 +0x1d\n",
	"node":      "TypeError: Cannot read properties of undefined (reading 'id')\n    at order (/app/shop.js:10:5)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
	"nodebare":  "Error: x\n    at /app/shop.js:10:5\n",
	"nodefile":  "Error: x\n    at async file:///app/shop.mjs:10:5\n",
	"dotnet":    "System.NullReferenceException: Object reference not set\n   at Shop.Orders.Get(Int32 id) in C:\\app\\Orders.cs:line 12\n",
	"dotnetrel": "System.Exception: x\n   at Shop.Api.Orders.Get(Int32 id)\n   at Microsoft.AspNetCore.Mvc.Infrastructure.ActionMethodExecutor.Execute(Object o)\n",
	"php":       "PHP Fatal error:  Uncaught Exception: x in /var/www/shop/order.php:12\nStack trace:\n#0 /var/www/shop/index.php(3): order()\n#1 {main}\n",
	"phphtml":   "<b>Warning</b>:  Undefined variable $x in <b>/srv/shop/order.php</b> on line <b>12</b><br />",
	"ruby":      "/app/shop.rb:12:in `order': undefined method `id' for nil:NilClass (NoMethodError)\n\tfrom /app/shop.rb:20:in `<main>'\n",
	"ruby34":    "app/models/order.rb:12:in 'Order#find'",
	"rust":      "thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds\n",
	"elixir":    "** (KeyError) key :id not found\n    (shop 0.1.0) lib/shop/order.ex:12: Shop.Order.find/1\n",
}

func TestStackTracesAreSeen(t *testing.T) {
	for name, s := range traces {
		if !StackTrace([]byte(s)) {
			t.Errorf("%s: not seen in %q", name, s)
		}
		quoted, err := json.Marshal(map[string]any{"error": "internal", "detail": s, "status": 500})
		if err != nil {
			t.Fatal(err)
		}
		if !StackTrace(quoted) {
			t.Errorf("%s: not seen in JSON %s", name, quoted)
		}
	}
}

func TestServerDetailIsSeen(t *testing.T) {
	for _, s := range []string{
		"You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version",
		"SQLSTATE[42S02]: Base table or view not found: 1146 Table 'shop.orders' doesn't exist",
		`ERROR: relation "orders" does not exist (SQLSTATE 42P01)`,
		`syntax error at or near "'"`,
		`{"error":"duplicate key value violates unique constraint \"users_email_key\""}`,
		"ORA-00942: table or view does not exist",
		"Unclosed quotation mark after the character string ''.",
		"sqlite3.OperationalError: near \"x\": syntax error",
		"UNIQUE constraint failed: users.email",
		"Unknown column 'x' in 'where clause'",
		"E11000 duplicate key error collection: shop.users index: email_1",
		"dial tcp 10.0.0.5:5432: connect: connection refused",
		"connect ECONNREFUSED 127.0.0.1:6379",
		"failed to open /var/www/shop/config/db.php",
		"org.hibernate.exception.ConstraintViolationException",
		"PrismaClientKnownRequestError: Invalid invocation",
		"java.sql.SQLSyntaxErrorException",
		`{"error":"failed\nORA-00942: table or view does not exist"}`,
	} {
		if !ServerDetail([]byte(s)) {
			t.Errorf("not seen in %q", s)
		}
	}
	for _, s := range []string{
		`{"type":"about:blank","title":"Not found","status":404}`,
		"The order was not found.",
		"email must be unique",
		"https://example.com/var/www/",
		"FLORA-12345: a plant", "faqpq: x",
	} {
		if ServerDetail([]byte(s)) || StackTrace([]byte(s)) {
			t.Errorf("seen in %q", s)
		}
	}
}

func BenchmarkStackTrace(b *testing.B) {
	body := []byte(`{"type":"about:blank","title":"Not found","status":404,"detail":"There is no order with this number, or it belongs to someone else.","instance":"/orders/4711"}`)
	b.ReportAllocs()
	for b.Loop() {
		StackTrace(body)
		ServerDetail(body)
	}
}
