"""A small tea shop: a list, product pages, a cart, a checkout, and an API."""
