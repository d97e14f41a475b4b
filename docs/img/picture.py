#!/usr/bin/env python3
"""Makes a picture of a terminal from what a program printed with colours: picture.py TITLE < text > picture.svg

The words stay as they are; a line longer than COLUMNS is broken where a terminal would break it.
"""
import html
import re
import sys

COLUMNS, CELL, LINE = 118, 8, 18
COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "2": "#8a939e", "1": "#ffffff"}


def pieces(line):
    """(column, text, SGR code) of a line with escape sequences, words apart wherever several blanks stand between them."""
    column, code = 0, ""
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b"):
            code = part[2:-1].split(";")[0]
            code = "" if code == "0" else code
            continue
        for word in re.finditer(r"\S+(?: \S+)*", part):
            yield column + word.start(), word.group(), code
        column += len(part)


def rows(text):
    for line in text.rstrip("\n").split("\n"):
        found = list(pieces(line))
        while found:
            here, rest = [], []
            for column, word, code in found:
                fits = COLUMNS - column
                if fits > 0:
                    here.append((column, word[:fits], code))
                if len(word) > fits:
                    rest.append((max(column - COLUMNS, 0), word[max(fits, 0):], code))
            yield here
            found = rest
        if not line:
            yield []


def picture(title, text):
    lines = list(rows(text))
    width, height = COLUMNS * CELL + 32, len(lines) * LINE + 32
    title = html.escape(title)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
    yield f'<title>{title}</title>\n<rect width="{width}" height="{height}" rx="8" fill="#15181c"/>'
    yield "<g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"13.2\" fill=\"#d4d8dd\">"
    for number, line in enumerate(lines):
        for column, word, code in line:
            paint = f' fill="{COLOURS[code]}"' if code in COLOURS else ""
            paint += ' font-weight="bold"' if code == "1" else ""
            place = f'x="{16 + column * CELL}" y="{29 + number * LINE}" textLength="{len(word) * CELL}"'
            yield f'<text {place} xml:space="preserve"{paint}>{html.escape(word)}</text>'
    yield "</g>\n</svg>"


print("\n".join(picture(sys.argv[1], sys.stdin.read())))
