"""The cart lives in the visitor's cookie, so that any instance can serve any request: `assam:2.mint:1`."""

import re

COUNT_MAX = 20
COOKIE = "cart"
LINE = re.compile(r"([a-z-]{1,40}):([0-9]{1,2})")


def read(text):
    """Slugs and counts; whatever does not read as a line is left out."""
    cart = {}
    for part in text.split("."):
        match = LINE.fullmatch(part)
        if match and int(match.group(2)) > 0:
            cart[match.group(1)] = min(int(match.group(2)), COUNT_MAX)
    return cart


def write(cart):
    return ".".join("%s:%d" % line for line in cart.items())


def add(cart, slug, count=1):
    """A new cart with more of one product; a negative count takes away."""
    changed = dict(cart)
    changed[slug] = min(changed.get(slug, 0) + count, COUNT_MAX)
    return {slug: count for slug, count in changed.items() if count > 0}


def lines(cart, catalogue):
    """(product, count) for everything that is still sold, and the sum in cents."""
    found = [(catalogue.product(slug), count) for slug, count in cart.items()]
    known = [(product, count) for product, count in found if product]
    return known, sum(product["cents"] * count for product, count in known)
