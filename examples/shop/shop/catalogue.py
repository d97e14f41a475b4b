"""What there is to buy and what was ordered, in SQLite; and what the warehouse says is left."""

import sqlite3
import threading
import time

PRODUCTS = [
    # slug, name, kind, price in cents, grams, description
    ("assam", "Assam Mokalbari", "black", 890, 100, "Malty and strong; takes milk well."),
    ("darjeeling", "Darjeeling First Flush", "black", 1690, 100, "Light, floral, picked in March."),
    ("earl-grey", "Earl Grey", "black", 950, 100, "Ceylon with oil of bergamot."),
    ("sencha", "Sencha Uji", "green", 1450, 100, "Steamed, grassy, a little sweet."),
    ("genmaicha", "Genmaicha", "green", 990, 100, "Green tea with roasted rice."),
    ("jasmine", "Jasmine Pearls", "green", 1890, 50, "Rolled by hand, scented seven times."),
    ("oolong", "Tie Guan Yin", "oolong", 1790, 75, "Orchid at first, butter later."),
    ("rooibos", "Rooibos", "herbal", 650, 150, "Red, mild, without caffeine."),
    ("mint", "Moroccan Mint", "herbal", 590, 50, "Whole leaves from the Atlas."),
    ("pot", "Teapot, 0.8 l", "things", 3900, 640, "Glass, with a strainer of steel."),
]

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    slug TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, cents INTEGER NOT NULL, grams INTEGER NOT NULL, about TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT NOT NULL, cents INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS order_lines (
    number INTEGER NOT NULL REFERENCES orders, slug TEXT NOT NULL REFERENCES products, count INTEGER NOT NULL
);
"""


def connect(path):
    """Opens the database and fills an empty one; any thread may use the connection, one at a time."""
    connection = sqlite3.connect(path, check_same_thread=False, timeout=5)
    connection.row_factory = sqlite3.Row
    with connection:
        connection.executescript(SCHEMA)
        connection.executemany("INSERT OR IGNORE INTO products VALUES (?, ?, ?, ?, ?, ?)", PRODUCTS)
    return connection


class Catalogue:
    def __init__(self, path=":memory:"):
        self._connection = connect(path)
        self._lock = threading.Lock()

    def products(self):
        return self._rows("SELECT * FROM products ORDER BY kind, name")

    def product(self, slug):
        """One product, or None."""
        rows = self._rows("SELECT * FROM products WHERE slug = ?", (slug,))
        return rows[0] if rows else None

    def counts(self):
        row = self._rows("SELECT (SELECT count(*) FROM products) AS products, (SELECT count(*) FROM orders) AS orders")[0]
        return {"products": row["products"], "orders": row["orders"]}

    def order(self, name, email, lines):
        """Writes an order of (product, count) lines and returns its number."""
        cents = sum(product["cents"] * count for product, count in lines)
        with self._lock, self._connection:
            cursor = self._connection.execute("INSERT INTO orders (name, email, cents) VALUES (?, ?, ?)", (name, email, cents))
            rows = [(cursor.lastrowid, product["slug"], count) for product, count in lines]
            self._connection.executemany("INSERT INTO order_lines VALUES (?, ?, ?)", rows)
            return cursor.lastrowid

    def check(self):
        """Raises sqlite3.Error unless the database answers."""
        self._rows("SELECT 1")

    def _rows(self, sql, values=()):
        with self._lock:
            return [dict(row) for row in self._connection.execute(sql, values)]


class Warehouse:
    """Stands for a service of other people's: every question is a round trip over the network."""

    ROUND_TRIP_SECONDS = 0.03

    def stock(self, slugs):
        """How many of each are left; ask for all at once."""
        time.sleep(self.ROUND_TRIP_SECONDS)
        return {slug: 3 + sum(slug.encode()) % 40 for slug in slugs}
