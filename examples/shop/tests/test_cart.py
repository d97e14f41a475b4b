import unittest

from shop import cart
from shop.catalogue import Catalogue


class CartTest(unittest.TestCase):
    def test_reads_what_it_writes(self):
        for it in ({}, {"assam": 2}, {"earl-grey": 1, "mint": 20}):
            self.assertEqual(cart.read(cart.write(it)), it)

    def test_leaves_out_what_is_no_line(self):
        cases = {
            "": {},
            "assam": {},
            "assam:0": {},
            "assam:-1": {},
            "assam:99": {"assam": 20},
            "assam:1.<b>:2.mint:x.pot:3": {"assam": 1, "pot": 3},
            "assam:1;drop": {},
        }
        for text, expected in cases.items():
            with self.subTest(text):
                self.assertEqual(cart.read(text), expected)

    def test_adds_and_takes_away(self):
        self.assertEqual(cart.add({}, "mint"), {"mint": 1})
        self.assertEqual(cart.add({"mint": 19}, "mint", 5), {"mint": 20})
        self.assertEqual(cart.add({"mint": 1, "pot": 1}, "mint", -1), {"pot": 1})

    def test_sums_what_is_still_sold(self):
        lines, cents = cart.lines({"assam": 2, "gone": 5, "mint": 1}, Catalogue())
        self.assertEqual([(it["slug"], count) for it, count in lines], [("assam", 2), ("mint", 1)])
        self.assertEqual(cents, 2 * 890 + 590)
