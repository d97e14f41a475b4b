"""Starts the shop on the port that the environment names."""

import os
import sys

from shop.server import serve


def main():
    try:
        port = int(os.environ.get("PORT", "8000"))
    except ValueError:
        sys.exit("shop: PORT must be a number, not %r" % os.environ["PORT"])
    serve(os.environ.get("HOST", "127.0.0.1"), port, os.environ.get("SHOP_DATABASE", ":memory:"))


if __name__ == "__main__":
    main()
