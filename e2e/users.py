"""Users of the shop: each asks for the next page on a connection of its own, until the file is there.

Prints a line for each request that failed, with the revision that answered, and at the end how many there were.
"""
import http.client
import os
import sys
import threading
import time

PAGES = ["/", "/products/assam", "/api/v1/status", "/api/v1/products", "/cart", "/health"]
USERS = 8
PAUSE = 0.03

port, stop = int(sys.argv[1]), sys.argv[2]
lock = threading.Lock()
made = 0
failures = []


def ask(page):
    """The status, or why there is none, and the revision that answered."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", page, headers={"host": "shop.localhost", "x-plimsoll-revision": "?"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("x-plimsoll-revision", "?")
    except OSError as error:
        return repr(error), "none"
    except http.client.HTTPException as error:
        return repr(error), "none"
    finally:
        connection.close()


def use(number):
    global made
    while not os.path.exists(stop):
        page = PAGES[number % len(PAGES)]
        number += 1
        status, revision = ask(page)
        with lock:
            made += 1
            if not isinstance(status, int) or status >= 500:
                failures.append((page, status, revision))
                print("failed", page, status, revision, flush=True)
        time.sleep(PAUSE)


threads = [threading.Thread(target=use, args=(number,)) for number in range(USERS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("requests", made, "failed", len(failures))
