"""The shop on a socket: HTTP/1.1 with keep-alive, and an end that cuts nobody off."""

import logging
import os
import signal
import sys
import threading
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from shop import pages
from shop.app import Request, Shop, html

BODY_MAX = 64 * 1024
IDLE_SECONDS = 1

log = logging.getLogger("shop")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "shop"
    sys_version = ""
    timeout = 30
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.begin(self.server.connected, self)

    def finish(self):
        self.server.end(self.server.connected, self)
        super().finish()

    def do_GET(self):
        self.server.begin(self.server.busy, self)
        try:
            self.send(self.respond())
        finally:
            self.server.end(self.server.busy, self)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def respond(self):
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if length < 0 or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return html(pages.problem("Bad request", "The length of the body is missing."), 400)
        if length > BODY_MAX:
            self.close_connection = True
            return html(pages.problem("Too large", "That is more than we read."), 413)
        body = self.rfile.read(length).decode("utf-8", "replace")
        try:
            return self.server.shop.handle(Request(self.command, urlsplit(self.path).path, self.cookies(), body))
        except Exception:
            log.exception("%s %s failed", self.command, self.path)
            return html(pages.problem("Sorry", "Something broke on our side."), 500)

    def cookies(self):
        try:
            return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("Cookie", "")).items()}
        except CookieError:
            return {}

    def send(self, response):
        if self.server.shop.draining:
            self.close_connection = True
        self.send_response(response.status)
        self.send_header("Content-Type", response.type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in response.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()

    def log_message(self, format, *args):
        log.debug(format, *args)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address, shop):
        super().__init__(address, Handler)
        self.shop = shop
        self._changed = threading.Condition()
        self.connected = set()
        self.busy = set()

    def begin(self, group, handler):
        with self._changed:
            group.add(handler)

    def end(self, group, handler):
        with self._changed:
            group.discard(handler)
            self._changed.notify_all()

    def drain(self, seconds):
        """Takes no more connections and waits for the requests under way; false when some had not ended in time.

        A kept connection may carry a request that was sent before its sender could know, so it gets a moment more:
        the next answer on it says that it closes.
        """
        self.shop.draining = True
        self.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: not self.connected, timeout=min(IDLE_SECONDS, seconds))
            ended = self._changed.wait_for(lambda: not self.busy, timeout=seconds)
        self.server_close()
        return ended


def build_version():
    """What the build wrote beside the package, else `dev`."""
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "VERSION")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return "dev"


def serve(host, port, database):
    """Serves until SIGTERM or SIGINT, then drains."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    server = Server((host, port), Shop(database, build_version()))
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    log.info("listening on http://%s:%d (version %s)", host, server.server_address[1], server.shop.version)
    asked.wait()
    log.info("stopping; finishing the requests under way")
    log.info("stopped" if server.drain(10) else "stopped; some requests had not ended within 10 s")
