package plimsoll.gate

deny contains "a" if http.send({"method": "get", "url": "http://example.org"}).status_code == 500

deny contains "b" if time.now_ns() > 0

deny contains "c" if opa.runtime().env.HOME

deny contains "d" if rand.intn("x", 2) == 1

deny contains "e" if {
	every x in [1] {
		count([y | y := uuid.rfc4122(sprintf("%d", [x]))]) > 1
	}
}

f(x) := walk(x)

deny contains "g" if net.lookup_ip_addr("example.org")

deny contains "h" if count(input) > 1 with input as opa.runtime()

deny contains "i" if lower("A") with lower as http.send
