import json
import sqlite3
import unittest
from unittest import mock
from urllib.parse import urlencode

from shop.app import Request, Shop
from shop.catalogue import PRODUCTS


class AppTest(unittest.TestCase):
    def setUp(self):
        self.shop = Shop(version="abc123")

    def get(self, path, cart="", method="GET"):
        response = self.shop.handle(Request(method, path, {"cart": cart}))
        return response.status, response.body.decode()

    def post(self, path, cart="", **fields):
        return self.shop.handle(Request("POST", path, {"cart": cart}, urlencode(fields)))

    def test_lists_every_product(self):
        status, body = self.get("/", cart="assam:2.mint:1")
        self.assertEqual(status, 200)
        for product in PRODUCTS:
            self.assertIn('href="/products/%s"' % product[0], body)
        self.assertIn("Cart (3)", body)

    def test_shows_a_product(self):
        status, body = self.get("/products/assam")
        self.assertEqual(status, 200)
        for text in ("Assam Mokalbari", "€ 8.90", "100 g", "left"):
            self.assertIn(text, body)
        self.assertEqual(self.get("/products/coffee")[0], 404)

    def test_keeps_a_cart_in_the_cookie(self):
        response = self.post("/cart", cart="mint:1", slug="assam")
        headers = dict(response.headers)
        self.assertEqual((response.status, headers["Location"]), (303, "/cart"))
        self.assertTrue(headers["Set-Cookie"].startswith("cart=mint:1.assam:1;"))
        self.assertEqual(self.post("/cart", slug="coffee").status, 404)
        self.assertIn("€ 23.70", self.get("/cart", cart="assam:2.mint:1")[1])
        self.assertIn("Nothing here yet", self.get("/cart", cart="junk")[1])

    def test_takes_an_order(self):
        self.assertIn("€ 17.80", self.get("/checkout", cart="assam:2")[1])
        response = self.post("/checkout", cart="assam:2", name="Ada <b>", email="ada@example.org")
        self.assertEqual(response.status, 200)
        self.assertIn("Thank you, Ada &lt;b&gt;.", response.body.decode())
        self.assertTrue(dict(response.headers)["Set-Cookie"].startswith("cart=;"), "the cart is empty afterwards")
        self.assertEqual(self.shop.catalogue.counts(), {"products": len(PRODUCTS), "orders": 1})

    def test_refuses_an_order_that_cannot_be_sent(self):
        for name, email, says in [("", "a@b.cd", "your name"), ("Ada", "nowhere", "no e-mail"), ("Ada", "a b@c.de", "no e-mail")]:
            response = self.post("/checkout", cart="assam:2", name=name, email=email)
            self.assertEqual(response.status, 422)
            self.assertIn(says, response.body.decode())
        self.assertEqual(dict(self.post("/checkout", name="Ada", email="a@b.cd").headers)["Location"], "/cart")
        self.assertEqual(self.get("/checkout")[0], 303)
        self.assertEqual(self.shop.catalogue.counts()["orders"], 0)

    def test_speaks_json(self):
        status, body = self.get("/api/v1/status")
        self.assertEqual((status, json.loads(body)), (200, {"status": "ok", "version": "abc123", "products": len(PRODUCTS), "orders": 0}))
        self.assertEqual(len(json.loads(self.get("/api/v1/products")[1])["products"]), len(PRODUCTS))
        self.assertEqual(json.loads(self.get("/api/v1/products/mint")[1])["cents"], 590)
        for path in ("/api/v1/products/coffee", "/api/v2"):
            status, body = self.get(path)
            self.assertEqual((status, json.loads(body)), (404, {"error": "not found"}))

    def test_says_how_it_is(self):
        for path in ("/health", "/health/startup", "/health/live", "/health/ready", "/health/db"):
            self.assertEqual(self.get(path)[0], 200, path)
        self.shop.draining = True
        self.assertEqual((self.get("/health/ready")[0], self.get("/health/live")[0]), (503, 200))
        self.shop.draining = False
        with mock.patch.object(self.shop.catalogue, "check", side_effect=sqlite3.OperationalError("gone")):
            self.assertEqual((self.get("/health/db")[0], self.get("/health/ready")[0], self.get("/health/live")[0]), (503, 503, 200))

    def test_refuses_what_it_does_not_know(self):
        self.assertEqual(self.get("/nowhere")[0], 404)
        self.assertEqual(self.get("/products/../../etc/passwd")[0], 404)
        response = self.post("/health")
        self.assertEqual((response.status, response.headers), (405, (("Allow", "GET"),)))
        self.assertEqual(dict(self.shop.handle(Request("DELETE", "/cart")).headers)["Allow"], "GET, POST")
        self.assertEqual(self.get("/style.css", method="HEAD")[0], 200)
