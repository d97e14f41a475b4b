#!/usr/bin/env python3
"""compare.py COUNT [SEED]: random calendars at random instants in 20 zones, by gate::window and by Python's zoneinfo.

Half of the instants lie within two hours of a change of the clock, or of a local midnight. WINDOWS names another program than
target/release/examples/windows.
"""

import json
import os
import random
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

ZONES = """UTC Europe/Berlin Europe/London Europe/Dublin Europe/Lisbon America/New_York America/St_Johns America/Sao_Paulo America/Santiago
America/Havana Africa/Casablanca Africa/Cairo Asia/Kolkata Asia/Kathmandu Asia/Tehran Asia/Tokyo Australia/Lord_Howe Australia/Sydney
Pacific/Apia Pacific/Chatham""".split()
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
EACH = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment(civil, zone):
    """Of a local time; fold 0 is the offset before a gap and the first of two, as in RFC 5545."""
    return (civil.replace(tzinfo=zone, fold=0).astimezone(timezone.utc) - EPOCH) // timedelta(milliseconds=1)


def text(ms):
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def calendar(rng):
    def period():
        start = rng.randrange(1_577_836_800_000, 1_893_456_000_000)
        return {"from": text(start), "to": text(start + rng.randrange(1, 40 * 86_400_000)), "reason": "x"}

    weekly = []
    for _ in range(rng.randrange(4)):
        days = rng.sample(DAYS, rng.randrange(1, 8))
        start, end = rng.randrange(1440), rng.choice([rng.randrange(1441), rng.choice([0, 60, 120, 150, 180, 1440])])
        weekly.append({"days": ",".join(days), "from": start, "to": end})
    holidays = [{"date": str(date(2020, 1, 1) + timedelta(days=rng.randrange(3650))), "name": "x"} for _ in range(rng.randrange(30))]
    return {
        "timezone": rng.choice(ZONES),
        "weekly": weekly,
        "holidays": holidays,
        "openings": [period() for _ in range(rng.randrange(3))],
        "freezes": [period() for _ in range(rng.randrange(3))],
    }


def offsets(zone, cache={}):
    """The hours of 2020 to 2029 at which the offset has changed."""
    if zone.key not in cache:
        hours = range(438_288, 525_960)
        seen = [(EPOCH + timedelta(hours=hour)).astimezone(zone).utcoffset() for hour in hours]
        cache[zone.key] = [hour for hour, before, after in zip(hours[1:], seen, seen[1:]) if before != after]
    return cache[zone.key]


def instants(rng, zone):
    for _ in range(EACH):
        kind = rng.randrange(4)
        if kind == 0 and offsets(zone):
            yield rng.choice(offsets(zone)) * 3_600_000 + rng.randrange(-7_200_000, 7_200_000)
        elif kind == 1:
            day = datetime(2020, 1, 1) + timedelta(days=rng.randrange(3650))
            yield moment(day, zone) + rng.randrange(-7_200_000, 7_200_000)
        else:
            yield rng.randrange(1_577_836_800_000, 1_893_456_000_000)


def prepared(it):
    zone = ZoneInfo(it["timezone"])
    parse = lambda stamp: (datetime.fromisoformat(stamp.replace("Z", "+00:00")) - EPOCH) // timedelta(milliseconds=1)
    periods = lambda key: [(parse(period["from"]), parse(period["to"])) for period in it[key]]
    days = []
    for holiday in it["holidays"]:
        day = datetime.fromisoformat(holiday["date"])
        days.append((moment(day, zone), moment(day + timedelta(days=1), zone)))
    weekly = [({DAYS.index(day) for day in week["days"].split(",")}, week["from"], week["to"]) for week in it["weekly"]]
    return zone, periods("freezes"), periods("openings"), days, weekly


def answer(view, at):
    zone, freezes, openings, days, weekly = view
    inside = lambda periods: any(start <= at < end for start, end in periods)
    if inside(freezes):
        return "f"
    if inside(openings):
        return "o"
    if inside(days):
        return "h"
    if not weekly:
        return "o"
    today = (EPOCH + timedelta(milliseconds=at)).astimezone(zone).replace(tzinfo=None)
    midnight = datetime(today.year, today.month, today.day)
    for names, start, end in weekly:
        for offset in range(-3, 3):
            day = midnight + timedelta(days=offset)
            if day.weekday() not in names:
                continue
            last = day if end > start else day + timedelta(days=1)
            if moment(day + timedelta(minutes=start), zone) <= at < moment(last + timedelta(minutes=end), zone):
                return "o"
    return "w"


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rng = random.Random(seed)
    program = os.environ.get("WINDOWS", Path(__file__).parent / "../../target/release/examples/windows")
    asked = []
    for _ in range(max(1, count // EACH)):
        it = calendar(rng)
        asked.append({"calendar": it, "at": list(instants(rng, ZoneInfo(it["timezone"])))})
    lines = "".join(json.dumps(one) + "\n" for one in asked)
    told = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    differences, letters = 0, {}
    for one, ours in zip(asked, told, strict=True):
        view = prepared(one["calendar"])
        for at, letter in zip(one["at"], ours, strict=True):
            theirs = answer(view, at)
            letters[theirs] = letters.get(theirs, 0) + 1
            if theirs != letter:
                differences += 1
                if differences <= 5:
                    print(f"{text(at)}: {letter} here, {theirs} by zoneinfo: {json.dumps(one['calendar'])}")
    print(f"{len(asked) * EACH} instants in {len(ZONES)} zones, {letters}: {differences} differences")
    sys.exit(1 if differences else 0)


main()
