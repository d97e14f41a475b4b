"""HTML; everything that comes from outside goes through `escape`."""

from html import escape

STYLE = """
:root { --ink: #22312b; --leaf: #3d7a5a; --paper: #faf8f3; --line: #e3ded1; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 58rem; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 1.05rem/1.55 Georgia, serif; }
header { display: flex; justify-content: space-between; align-items: baseline; border-bottom: 1px solid var(--line); }
header a { color: inherit; text-decoration: none; }
h1 { font-weight: normal; }
.products { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; padding: 0; list-style: none; }
.products li { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; background: #fff; }
.products a { color: var(--leaf); font-size: 1.15rem; }
.kind { font-size: .85rem; letter-spacing: .06em; text-transform: uppercase; color: #767d75; }
.price { font-weight: bold; }
button { border: 0; border-radius: .4rem; padding: .55rem 1.1rem; background: var(--leaf); color: #fff; font: inherit; cursor: pointer; }
input { display: block; width: 100%; max-width: 22rem; margin: .2rem 0 1rem; padding: .5rem; border: 1px solid var(--line); font: inherit; }
table { width: 100%; border-collapse: collapse; } td, th { padding: .5rem 0; border-bottom: 1px solid var(--line); text-align: left; }
.wrong { color: #a33a2a; } footer { margin-top: 3rem; font-size: .85rem; color: #767d75; }
"""


def money(cents):
    return "€ %d.%02d" % divmod(cents, 100)


def page(title, body, cart_count=0):
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>%s · Leaf &amp; Pot</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/style.css"></head><body>'
        '<header><h1><a href="/">Leaf &amp; Pot</a></h1><a href="/cart">Cart (%d)</a></header><main>%s</main>'
        "<footer>A small shop that is always shipping.</footer></body></html>"
    ) % (escape(title), cart_count, body)


def listing(products, cart_count):
    items = "".join(
        '<li><span class="kind">%s</span><br><a href="/products/%s">%s</a><p>%s</p><span class="price">%s</span></li>'
        % (escape(it["kind"]), escape(it["slug"]), escape(it["name"]), escape(it["about"]), money(it["cents"]))
        for it in products
    )
    return page("Tea", '<ul class="products">%s</ul>' % items, cart_count)


def product(it, left, cart_count):
    body = (
        '<p class="kind">%s</p><h2>%s</h2><p>%s</p><p><span class="price">%s</span> for %d g · %d left</p>'
        '<form method="post" action="/cart"><input type="hidden" name="slug" value="%s"><button>Add to cart</button></form>'
    ) % (escape(it["kind"]), escape(it["name"]), escape(it["about"]), money(it["cents"]), it["grams"], left, escape(it["slug"]))
    return page(it["name"], body, cart_count)


def cart(lines, cents):
    if not lines:
        return page("Cart", '<p>Nothing here yet. <a href="/">Have a look around.</a></p>')
    rows = "".join(
        "<tr><td>%s</td><td>%d</td><td>%s</td></tr>" % (escape(it["name"]), count, money(it["cents"] * count)) for it, count in lines
    )
    body = (
        "<h2>Your cart</h2><table><tr><th>Product</th><th>Count</th><th>Price</th></tr>%s"
        '<tr><th colspan="2">Together</th><th>%s</th></tr></table><p><a href="/checkout">To the checkout</a></p>'
    ) % (rows, money(cents))
    return page("Cart", body, sum(count for _, count in lines))


def checkout(cents, cart_count, name="", email="", wrong=""):
    body = (
        '<h2>Checkout</h2><p>%s together.</p><p class="wrong">%s</p><form method="post" action="/checkout">'
        '<label>Name<input name="name" value="%s" autocomplete="name"></label>'
        '<label>E-mail<input name="email" value="%s" autocomplete="email"></label><button>Order</button></form>'
    ) % (money(cents), escape(wrong), escape(name), escape(email))
    return page("Checkout", body, cart_count)


def thanks(number, name):
    return page("Thank you", "<h2>Thank you, %s.</h2><p>Your order has the number %d.</p>" % (escape(name), number))


def problem(title, text):
    return page(title, "<h2>%s</h2><p>%s</p>" % (escape(title), escape(text)))
