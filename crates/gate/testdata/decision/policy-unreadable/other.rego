package plimsoll.other

deny contains "x" if http.send({"url": "http://example.org"})
