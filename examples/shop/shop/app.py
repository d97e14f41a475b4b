"""Every route of the shop: a request goes in, a response comes out; no sockets here."""

import json
import re
import sqlite3
from collections import namedtuple
from urllib.parse import parse_qs

from shop import cart, pages
from shop.catalogue import Catalogue, Warehouse

Request = namedtuple("Request", "method path cookies body", defaults=({}, ""))
Response = namedtuple("Response", "status type body headers", defaults=((),))

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def html(text, status=200, headers=()):
    return Response(status, "text/html; charset=utf-8", text.encode(), headers)


def answer(value, status=200):
    return Response(status, "application/json", json.dumps(value).encode())


class Shop:
    def __init__(self, database=":memory:", version="dev"):
        self.catalogue = Catalogue(database)
        self.warehouse = Warehouse()
        self.version = version
        self.draining = False
        self.routes = [
            ("GET", re.compile(r"/"), self.listing),
            ("GET", re.compile(r"/style\.css"), self.style),
            ("GET", re.compile(r"/products/([a-z-]+)"), self.product),
            ("GET", re.compile(r"/cart"), self.cart),
            ("POST", re.compile(r"/cart"), self.add_to_cart),
            ("GET", re.compile(r"/checkout"), self.checkout),
            ("POST", re.compile(r"/checkout"), self.order),
            ("GET", re.compile(r"/api/v1/status"), self.status),
            ("GET", re.compile(r"/api/v1/products"), self.products_json),
            ("GET", re.compile(r"/api/v1/products/([a-z-]+)"), self.product_json),
            ("GET", re.compile(r"/health(?:/startup|/live)?"), self.alive),
            ("GET", re.compile(r"/health/ready"), self.ready),
            ("GET", re.compile(r"/health/db"), self.database),
        ]

    def handle(self, request):
        method = "GET" if request.method == "HEAD" else request.method
        fits = [(wanted, route.fullmatch(request.path), view) for wanted, route, view in self.routes]
        fits = [(wanted, match, view) for wanted, match, view in fits if match]
        for wanted, match, view in fits:
            if wanted == method:
                return view(request, *match.groups())
        if fits:
            allowed = ", ".join(sorted(wanted for wanted, _, _ in fits))
            return html(pages.problem("Not like this", "Only %s here." % allowed), 405, (("Allow", allowed),))
        if request.path.startswith("/api/"):
            return answer({"error": "not found"}, 404)
        return html(pages.problem("Not found", "There is no such page."), 404)

    # What visitors see.

    def listing(self, request):
        return html(pages.listing(self.catalogue.products(), cart_count(request)))

    def style(self, request):
        return Response(200, "text/css; charset=utf-8", pages.STYLE.encode(), (("Cache-Control", "max-age=3600"),))

    def product(self, request, slug):
        product = self.catalogue.product(slug)
        if product is None:
            return html(pages.problem("Not found", "We don't sell that."), 404)
        left = self.warehouse.stock([slug])[slug]
        return html(pages.product(product, left, cart_count(request)))

    def cart(self, request):
        return html(pages.cart(*cart.lines(read_cart(request), self.catalogue)))

    def add_to_cart(self, request):
        slug = form(request).get("slug", "")
        if self.catalogue.product(slug) is None:
            return html(pages.problem("Not found", "We don't sell that."), 404)
        return to("/cart", cart.write(cart.add(read_cart(request), slug)))

    def checkout(self, request):
        lines, cents = cart.lines(read_cart(request), self.catalogue)
        return html(pages.checkout(cents, cart_count(request))) if lines else to("/cart")

    def order(self, request):
        lines, cents = cart.lines(read_cart(request), self.catalogue)
        if not lines:
            return to("/cart")
        fields = form(request)
        name, email = fields.get("name", "").strip(), fields.get("email", "").strip()
        wrong = "" if name else "Please tell us your name."
        if not wrong and not EMAIL.fullmatch(email):
            wrong = "That is no e-mail address."
        if wrong:
            return html(pages.checkout(cents, cart_count(request), name, email, wrong), 422)
        number = self.catalogue.order(name, email, lines)
        return html(pages.thanks(number, name), headers=(cookie(""),))

    # What machines see.

    def status(self, request):
        return answer({"status": "ok", "version": self.version, **self.catalogue.counts()})

    def products_json(self, request):
        return answer({"products": self.catalogue.products()})

    def product_json(self, request, slug):
        product = self.catalogue.product(slug)
        return answer(product) if product else answer({"error": "not found"}, 404)

    def alive(self, request):
        return answer({"status": "ok"})

    def ready(self, request):
        return answer({"status": "draining"}, 503) if self.draining else self.database(request)

    def database(self, request):
        try:
            self.catalogue.check()
        except sqlite3.Error as error:
            return answer({"status": "down", "database": str(error)}, 503)
        return answer({"status": "ok", "database": "ok"})


def form(request):
    return {key: values[0] for key, values in parse_qs(request.body).items()}


def read_cart(request):
    return cart.read(request.cookies.get(cart.COOKIE, ""))


def cart_count(request):
    return sum(read_cart(request).values())


def cookie(value):
    return ("Set-Cookie", "%s=%s; Path=/; HttpOnly; SameSite=Lax" % (cart.COOKIE, value))


def to(path, cart_text=None):
    headers = (("Location", path),) if cart_text is None else (("Location", path), cookie(cart_text))
    return Response(303, "text/plain", b"", headers)
