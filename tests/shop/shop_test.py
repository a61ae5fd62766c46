#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the example shop on an engine and compares its books with an independent computation from the ledger.

Usage: shop_test.py PROGRAM ENGINE       ENGINE: sqlite, postgres, mysql, mariadb, mixed, failures

Servers are taken from DAL_TEST_POSTGRES, DAL_TEST_MYSQL and DAL_TEST_MARIADB.
"""
import csv
import decimal
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEDGER = ROOT.parent / "shared" / "data" / "online-retail-10k.csv"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
KEYS = {"engine", "shards", "lines", "invoices", "cancelled_lines", "units", "revenue", "orders_per_s",
        "retries", "p50_us", "p99_us"}
PROGRAM = ""
WORK = pathlib.Path()


def say(*words):
    print(*words, flush=True)


def check(what, seen, expected):
    if seen != expected:
        raise SystemExit(f"FAILED: {what}: {seen!r} instead of {expected!r}")


def shop(*options, code=0):
    """Runs the shop; returns its output streams."""
    command = [PROGRAM, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL)
    if done.returncode != code:
        raise SystemExit(f"FAILED: exit code {done.returncode} instead of {code}: {command}\n"
                         f"{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


# --- the independent computation -----------------------------------------------------------------------------


def read_ledger(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def is_correction(row):
    return int(row["Quantity"]) < 0 and not row["InvoiceNo"].startswith("C")


def expect(rows):
    """What the JSON object must say, from nothing but the ledger's text."""
    return {
        "lines": len(rows),
        "invoices": len({row["InvoiceNo"] for row in rows}),
        "cancelled_lines": sum(row["InvoiceNo"].startswith("C") for row in rows),
        "units": sum(int(row["Quantity"]) for row in rows),
        "revenue": sum(int(row["Quantity"]) * decimal.Decimal(row["UnitPrice"]) for row in rows),
    }


def compare(out, rows, engine, shards):
    last = out.rstrip("\n").split("\n")[-1]
    seen = json.loads(last)
    check("the keys of the object", set(seen), KEYS)
    check("engine", seen["engine"], engine)
    check("shards", seen["shards"], shards)
    check("the type of revenue", type(seen["revenue"]), str)
    expected = expect(rows)
    check("revenue", decimal.Decimal(seen["revenue"]), expected.pop("revenue"))
    for key, value in expected.items():
        check(key, seen[key], value)
    check("positive speed", seen["orders_per_s"] > 0 and 0 < seen["p50_us"] <= seen["p99_us"], True)
    # The sentences of the summary, with their numbers.
    sold = sum(int(row["Quantity"]) for row in rows if not is_correction(row))
    stock = re.search(r"stock \+ sold = received +([-\d,]+) \+ ([-\d,]+) = ([-\d,]+): the books agree", out)
    orders = re.search(r"payments = orders +([\d,]+) = ([\d,]+), amounting to ([-\d,.]+): the books agree", out)
    if not stock or not orders:
        raise SystemExit("FAILED: the summary does not say that the books agree:\n" + out)
    on_hand, said_sold, received = (int(text.replace(",", "")) for text in stock.groups())
    check("sold", said_sold, sold)
    check("stock + sold = received", on_hand + said_sold, received)
    check("payments = orders", orders[1], orders[2])
    say("  the books agree with the independent computation:", last)


# --- engines -------------------------------------------------------------------------------------------------


def server(name, database):
    """The URL of a test server, with another database name; None where there is no such server."""
    url = os.environ.get("DAL_TEST_" + name.upper())
    return re.sub(r"^([a-z]+://[^/?]*)(/[^?]*)?", rf"\1/{database}", url) if url else None


def test_books(urls, engine, shards=4):
    where = [word for url in urls for word in ("--url", url)]
    if LEDGER.exists():
        rows = read_ledger(LEDGER)
        say(f"real ledger, {engine}")
        compare(shop(*where, "--ledger", LEDGER, "--shards", shards, "--json")[0], rows, engine, shards)
    else:
        say(f"no real ledger at {LEDGER}: only the generator is tested")
    # A second run in the same databases starts over. Many workers, few customers: the rows are fought over.
    generated = WORK / "generated.csv"
    say(f"generated ledger, {engine}")
    out, _ = shop(*where, "--orders", 300, "--seed", 7, "--shards", shards, "--workers", 8, "--json",
                  "--write-ledger", generated)
    compare(out, read_ledger(generated), engine, shards)


def test_server(name):
    url = server(name, "shoptest_" + name)
    if not url:
        raise SystemExit(f"FAILED: DAL_TEST_{name.upper()} is not set: tests/containers/servers up")
    test_books([url], {"postgres": "postgresql"}.get(name, name))
    if f"DAL_TEST_{name.upper()}_CONTAINER" in os.environ:
        say("sessions are killed meanwhile")
        test_killed_sessions(name, url)
    user = re.match(r"^[a-z]+://[^:@/]*:[^@/]*@", url)
    if user:
        say("wrong password")
        _, err = shop("--url", re.sub(r":[^:@/]*@", ":not-the-password@", url, count=1), "--orders", 1, code=1)
        check("one line of error", err.count("shop: "), 1)
        check("the password in the error", "not-the-password" in err, False)
        say(" ", err.splitlines()[-1])


# Ends some of the order service's sessions, by the client in the server's container.
KILLERS = {
    "postgres": (["psql", "-U", "postgres", "-qAt"],
                 "SELECT COUNT(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE datname LIKE"
                 " 'shoptest%' AND application_name = 'shop_order' ORDER BY RANDOM() LIMIT 2) s;"),
    "mysql": (["mysql", "-u", "root", "-fN"], "SELECT id FROM information_schema.processlist JOIN"
              " information_schema.innodb_trx ON trx_mysql_thread_id = id WHERE db LIKE 'shoptest%'"
              " AND trx_rows_modified > 0 ORDER BY RAND() LIMIT 2;"),
}
KILLERS["mariadb"] = (["mariadb", *KILLERS["mysql"][0][1:]], KILLERS["mysql"][1])


def ask(name, sql):
    container = os.environ[f"DAL_TEST_{name.upper()}_CONTAINER"]
    return subprocess.run(["docker", "exec", "-i", container, *KILLERS[name][0]], input=sql, text=True, timeout=60,
                          capture_output=True, check=False).stdout.split()


def test_killed_sessions(name, url):
    """Sessions die all the time; every order must still be entered, once."""
    generated = WORK / "killed.csv"
    command = [PROGRAM, "--url", url, "--orders", "500", "--seed", "11", "--workers", "8", "--json", "--write-ledger",
               str(generated)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    n_killed = 0
    line = ""
    for line in process.stderr:
        if "entering orders" in line and "] 100 %" not in line:
            killed = ask(name, KILLERS[name][1])
            if name == "postgres":
                n_killed += int(killed[0])
            elif killed:
                ask(name, "".join(f"KILL {number};" for number in killed))
                n_killed += len(killed)
    out = process.stdout.read()
    check("exit code (last words: " + line.strip() + ")", process.wait(60), 0)
    compare(out, read_ledger(generated), {"postgres": "postgresql"}.get(name, name), 4)
    say(f"  although {n_killed} sessions were killed")
    check("sessions were killed", n_killed > 0, True)


def test_mixed():
    urls = [url for name in ("postgres", "mysql", "mariadb") if (url := server(name, "shopmixed"))]
    if not urls:
        say("no server is set: two places for SQLite files take the place of two engines")
        test_books([f"sqlite:{WORK}/a.db", f"sqlite:{WORK}/b.db"], "sqlite")
        return
    test_books([*urls, f"sqlite:{WORK}/mixed.db"][-2:], "mixed")
    if len(urls) > 1:
        test_books(urls[:2], "mixed", shards=5)


def test_sqlite():
    url = f"sqlite:{WORK}/shop.db"
    test_books([url], "sqlite")
    check_files(read_ledger(WORK / "generated.csv"))
    say("one shard")
    out, _ = shop("--url", url, "--ledger", WORK / "generated.csv", "--shards", 1, "--json")
    compare(out, read_ledger(WORK / "generated.csv"), "sqlite", 1)
    say("another encoding, columns in another order, an invoice with two customers")
    check_untidy()


def check_files(rows):
    """The tables themselves, read without the library."""
    stock, received, sold = {}, {}, {}
    lines, orders, payments = [], set(), {}
    for n in range(4):
        db = sqlite3.connect(f"file:{WORK}/shop_{n}.db?mode=ro", uri=True)
        for sku, on_hand in db.execute("SELECT sku, on_hand FROM stock"):
            stock[n, sku] = on_hand
        for sku, quantity in db.execute("SELECT sku, SUM(quantity) FROM stock_moves GROUP BY sku"):
            received[n, sku] = quantity
        for invoice, line, sku, kind, quantity, price in db.execute(
                "SELECT invoice_no, line_no, sku, kind, quantity, price_micros FROM order_lines"):
            lines.append((line, invoice, sku, quantity, price))
            if kind != "adjustment":
                sold[n, sku] = sold.get((n, sku), 0) + quantity
        orders |= set(db.execute("SELECT invoice_no, part, amount_micros FROM orders"))
        for invoice, part, amount, state in db.execute(
                "SELECT invoice_no, part, amount_micros, state FROM payments"):
            payments[invoice, part] = (amount, state)
        check("the marker", db.execute("SELECT state FROM shop_run").fetchall(), [("complete",)])
        check("a copy of the catalogue", db.execute("SELECT COUNT(*) FROM products").fetchone()[0],
              len({row["StockCode"] for row in rows}))
        db.close()
    check("stock + sold = received", {key: stock[key] + sold.get(key, 0) for key in stock}, received)
    check("payments = orders", payments, {(i, p): (amount, "settled") for i, p, amount in orders})
    check("every line is there, once", sorted(lines),
          [(n + 2, row["InvoiceNo"], row["StockCode"], int(row["Quantity"]),
            int(decimal.Decimal(row["UnitPrice"]) * 1000000)) for n, row in enumerate(rows)])
    say("  the tables agree, read by another library")


def check_untidy():
    ledger = WORK / "untidy.csv"
    ledger.write_bytes(
        b"Country,CustomerID,UnitPrice,Quantity,Description,StockCode,InvoiceNo\r\n"
        b"UK,17850.0,2.55,6,\"\xa3 5, \"\"NEW\"\"\",85123A,536365\r\n"
        b"UK,17851,0.001,1000,lower case is another product,85123a,536365\r\n"
        b"UK,,-11062.06,1,Adjust bad debt,B,A563186\r\n"
        b"UK,17850,2.55,-3,,85123A,C536400\r\n"
        b"UK,,0,-10,damaged,85123A,536401\r\n"
        b"UK,17850.0,1.5,1,text with a blank,85123A ,536402 \r\n")
    out, _ = shop("--url", f"sqlite:{WORK}/untidy.db", "--ledger", ledger, "--shards", 2, "--json")
    seen = json.loads(out.rstrip("\n").split("\n")[-1])
    check("untidy ledger", [seen[key] for key in ("lines", "invoices", "cancelled_lines", "units", "revenue")],
          [6, 5, 1, 6 + 1000 + 1 - 3 - 10 + 1, str(decimal.Decimal("15.30") + 1 - decimal.Decimal("11062.06")
                                                  - decimal.Decimal("7.65") + decimal.Decimal("1.5"))])
    check("two customers of an invoice are told", "one order for each" in out, True)


# --- failures ------------------------------------------------------------------------------------------------


def refused(what, *options, code, words):
    """The shop must refuse in one line that holds all the words."""
    out, err = shop(*options, code=code)
    lines = [line for line in err.splitlines() if line.startswith("shop: ")]
    check(f"{what}: one line of error", len(lines), 1)
    for word in words:
        if word not in lines[0]:
            raise SystemExit(f"FAILED: {what}: no {word!r} in: {lines[0]}")
    check(f"{what}: nothing on standard output", out, "")
    say(f"  {what}: {lines[0]}")


def test_failures():
    say("usage")
    refused("unknown option", "--oops", code=64, words=["--oops", "--help"])
    refused("value missing", "--ledger", code=64, words=["--ledger"])
    refused("no number", "--shards", "many", code=64, words=["--shards", "many"])
    refused("more URLs than shards", "--shards", 1, "--url", "sqlite:a", "--url", "sqlite:b", code=64,
            words=["--shards"])
    say("URLs")
    refused("unknown scheme", "--url", "oracle://x/y", code=1, words=["oracle", "sqlite"])
    refused("memory", "--url", "sqlite::memory:", code=1, words=["name a file"])
    refused("no database", "--url", "postgres://127.0.0.1", code=1, words=["names no database"])
    refused("server down", "--url", "postgres://u:topsecret@127.0.0.1:1/shop", code=1, words=["127.0.0.1"])
    refused("directory missing", "--url", f"sqlite:{WORK}/none/shop.db", code=1, words=["none"])
    refused("--dir missing", "--dir", WORK / "none", code=1, words=["none"])
    check_down()
    check_malformed()
    check_foreign()
    check_killed()
    check_twice()


def check_down():
    say("one shard of two is down: nothing is made on the other")
    refused("shard down", "--url", f"sqlite:{WORK}/up.db", "--url", "mysql://u:topsecret@127.0.0.1:1/shop",
            "--shards", 2, code=1, words=["127.0.0.1"])
    check("nothing half-done", list(WORK.glob("up*")), [])


def check_malformed():
    say("malformed ledgers")
    ledger, bad = WORK / "malformed.csv", WORK / "bad.csv"
    good = "1,A,a,1,,1.00,,UK\n"
    for what, line, words in (
            ("quantity", "1,A,a,six,,1.00,,UK\n", ["line 3", "column 4 (Quantity)"]),
            ("price", "1,A,a,6,,1.00.00,,UK\n", ["line 3", "column 6 (UnitPrice)"]),
            ("customer", "1,A,a,6,,1.00,me,UK\n", ["line 3", "column 7 (CustomerID)"]),
            ("fields missing", "1,A,a,6\n", ["line 3", "fields are missing"]),
            ("quote", '1,A,a "quoted" word,6,,1.00,,UK\n', ["line 3", "column 3 (Description)"]),
            ("quote left open", '1,A,"a,6,,1.00,,UK\n', ["line 3", "column 3 (Description)", "no closing quote"]),
    ):
        ledger.write_text(HEADER + good + line + good)
        refused(what, "--url", f"sqlite:{WORK}/malformed.db", "--ledger", ledger, code=65,
                words=[*words, "--skip-bad"])
        check("nothing was written", list(WORK.glob("malformed*.db")), [])
        out, _ = shop("--ledger", ledger, "--skip-bad", bad, "--json")
        seen = json.loads(out.rstrip("\n").split("\n")[-1])
        check(f"{what}: set aside", (seen["lines"], seen["set_aside"], bad.read_text()), (2, 1, line))
    refused("no file", "--ledger", WORK / "none.csv", code=1, words=["none.csv"])
    refused("a directory", "--ledger", WORK, code=1, words=[str(WORK)])


def check_foreign():
    say("a database of somebody else")
    path = WORK / "mine_1.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE orders (precious TEXT)")
    db.commit()
    db.close()
    refused("foreign tables", "--url", f"sqlite:{WORK}/mine.db", code=1,
            words=["mine_1.db", "orders", "nothing was touched"])
    check("nothing half-done", sorted(p.name for p in WORK.glob("mine*")), ["mine_1.db"])


def wait_for_orders(process):
    """Waits until orders are being entered."""
    path, deadline = WORK / "killed_0.db", time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            if db.execute("SELECT COUNT(*) FROM orders").fetchone()[0] > 20:
                return
            db.close()
        except sqlite3.Error:
            pass
        time.sleep(0.01)
    raise SystemExit("FAILED: no orders were entered")


def half_books():
    """After a kill: every order that is there is whole."""
    for n in range(4):
        db = sqlite3.connect(f"file:{WORK}/killed_{n}.db?mode=ro", uri=True)
        orders = db.execute("SELECT invoice_no, part, n_lines, amount_micros FROM orders ORDER BY 1, 2").fetchall()
        check("lines of each order", db.execute(
            "SELECT invoice_no, part, COUNT(*), SUM(quantity * price_micros) FROM order_lines GROUP BY 1, 2"
            " ORDER BY 1, 2").fetchall(), orders)
        check("payment of each order", db.execute(
            "SELECT invoice_no, part, amount_micros FROM payments ORDER BY 1, 2").fetchall(),
            [(i, p, amount) for i, p, _, amount in orders])
        check("stock of each product", db.execute(
            "SELECT COUNT(*) FROM stock s WHERE on_hand"
            " + (SELECT COALESCE(SUM(quantity), 0) FROM order_lines l"
            "    WHERE l.sku = s.sku AND kind <> 'adjustment')"
            " <> (SELECT SUM(quantity) FROM stock_moves m WHERE m.sku = s.sku)").fetchone()[0], 0)
        db.close()


def children_of(pid):
    return [int(child) for child in
            pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def check_killed():
    command = [PROGRAM, "--url", f"sqlite:{WORK}/killed.db", "--orders", "20000"]
    for victim, number in (("the driver", signal.SIGKILL), ("the driver", signal.SIGTERM),
                           ("shop_order", signal.SIGKILL)):
        say(f"{victim} is killed by signal {number.value}")
        for path in WORK.glob("killed*.db*"):
            path.unlink()
        with open(WORK / "killed.log", "w+", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            wait_for_orders(process)
            services = children_of(process.pid)
            check("four services", len(services), 4)
            target = process.pid if victim == "the driver" else services[2]
            os.kill(target, number)
            process.wait(60)
            deadline = time.monotonic() + 30
            while any(os.path.exists(f"/proc/{pid}") for pid in services):
                if time.monotonic() > deadline:
                    raise SystemExit("FAILED: services are left behind")
                time.sleep(0.02)
            log.seek(0)
            lines = [line for line in log.read().splitlines() if line.startswith("shop: ")]
        if number == signal.SIGKILL and victim == "the driver":
            check("no last words", lines, [])
        else:
            check("one line of error", len(lines), 1)
            say(" ", lines[0])
        half_books()
    say("run again: it starts over")
    out, _ = shop("--url", f"sqlite:{WORK}/killed.db", "--orders", 200, "--json", "--write-ledger",
                  WORK / "again.csv")
    compare(out, read_ledger(WORK / "again.csv"), "sqlite", 4)


def check_twice():
    """An order that is there is known by its primary key, also when it took the last pieces: only so can the order
    service enter it again after a lost reply to COMMIT."""
    say("an order is entered a second time")
    shop("--url", f"sqlite:{WORK}/twice.db", "--orders", 30, "--shards", 1)
    db = sqlite3.connect(WORK / "twice_0.db")
    before = list(db.iterdump())
    invoice, line, sku, quantity, price = db.execute(
        "SELECT l.invoice_no, line_no, l.sku, quantity, price_micros FROM order_lines l JOIN stock s ON s.sku = l.sku"
        " WHERE s.on_hand = 0 AND quantity > 0 LIMIT 1").fetchone()
    customer, = db.execute("SELECT COALESCE(customer_id, '') FROM orders WHERE invoice_no = ?", [invoice]).fetchone()
    records = (f"order\t{invoice}\t0\t{customer}\tUK\t\t1\n"
               f"line\t{line}\t{sku}\tagain\t{quantity}\t{price}\nfinish\n")
    done = subprocess.run([str(pathlib.Path(PROGRAM).parent / "shop_order")], input=records, text=True, timeout=60,
                          capture_output=True, check=False,
                          env={**os.environ, "SHOP_URL": f"sqlite:{WORK}/twice_0.db"})
    answer = done.stdout.rstrip("\n").split("\n")[-1]
    say(" ", answer)
    check("the answer", (answer[:6], "UNIQUE" in answer, done.returncode), ("error\t", True, 1))
    check("the tables", list(db.iterdump()), before)
    db.close()


def main():
    global PROGRAM, WORK
    PROGRAM, what = sys.argv[1:]
    tests = {"sqlite": test_sqlite, "mixed": test_mixed, "failures": test_failures}
    with tempfile.TemporaryDirectory(prefix="dal-shop-test-") as directory:
        WORK = pathlib.Path(directory)
        os.environ["TMPDIR"] = directory
        tests.get(what, lambda: test_server(what))()
        check("no temporary directory is left", list(WORK.glob("dal-shop-*")), [])
    say("ok")


if __name__ == "__main__":
    main()
