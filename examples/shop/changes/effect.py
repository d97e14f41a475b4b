"""What a change does to visitors, counted and not timed; run within a shop."""

import logging
import sys

sys.path.insert(0, ".")

from shop.app import Request, Shop  # noqa: E402


def main():
    logging.disable(logging.CRITICAL)
    shop, trips = Shop(), []
    shop.warehouse.stock = lambda slugs: trips.append(slugs) or {slug: 1 for slug in slugs}
    shop.handle(Request("GET", "/products/assam"))
    failed = 0
    for _ in range(100):
        try:
            shop.handle(Request("GET", "/api/v1/status"))
        except Exception:
            failed += 1
    kinds = shop.handle(Request("GET", "/kinds/green")).status
    print("round trips for a product page: %d, failed status requests: %d %%, /kinds/green: %d" % (len(trips), failed, kinds))


main()
