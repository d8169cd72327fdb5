#!/usr/bin/python3
"""`holdfast kv` and `holdfast admin` against a real server: outputs, escapes and exit codes are a contract."""
import json
import subprocess
import threading
import time

import rig

ODD_KEY = b"tab\there"
ODD_VALUE = b"line\nbreak \\ \xff\x00 \xc3\xa4"
ODD_LINE = b"tab\\there\tline\\nbreak \\\\ \\xFF\\x00 \xc3\xa4\n"


class Kv(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.d = self.deployment().start()
        self.ok(self.d.kv("table", "create", "t"))

    def test_get_gives_the_raw_bytes_and_absent_is_exit_1_in_silence(self):
        self.ok(self.d.kv("put", "t", "k", "-", stdin=ODD_VALUE), b"")
        self.ok(self.d.kv("get", "t", "k"), ODD_VALUE)
        self.ok(self.d.kv("put", "t", "empty", ""))
        self.ok(self.d.kv("get", "t", "empty"), b"")
        for odd in ("{}", "[a,b]", "-1", "%%", "a b"):
            self.ok(self.d.kv("put", "t", "odd", "--", odd))
            self.ok(self.d.kv("get", "t", "odd"), odd.encode())
        absent = self.d.kv("get", "t", "none")
        self.assertEqual((absent.returncode, absent.stdout, absent.stderr), (1, b"", b""))
        self.ok(self.d.kv("del", "t", "k"))
        self.ok(self.d.kv("del", "t", "k"))
        self.assertEqual(self.d.kv("get", "t", "k").returncode, 1)
        self.refused(self.d.kv("get", "nowhere", "k"), 1, "no such table")
        self.refused(self.d.kv("put", "t", "", "v"), 1, "keys have 1 to 1,024 bytes")
        self.refused(self.d.kv("put", "t", "k" * 1025, "v"), 1, "keys have 1 to 1,024 bytes")
        self.ok(self.d.kv("put", "t", "k" * 1024, "v"))

    def test_a_value_of_16_mib_goes_in_and_comes_back_and_one_byte_more_does_not(self):
        value = bytes(range(256)) * (16 << 12)
        self.assertEqual(len(value), 16 << 20)
        self.ok(self.d.kv("put", "t", "big", "-", stdin=value))
        self.ok(self.d.kv("get", "t", "big"), value)
        self.assertEqual(self.d.kv("put", "t", "big", "-", stdin=value + b"x").returncode, 1)
        self.ok(self.d.kv("get", "t", "big"), value)

    def test_scan_is_ordered_escaped_and_bounded(self):
        self.ok(self.d.kv("batch", "-", stdin=b"".join(b"put\tt\tk%02d\tv%d\n" % (i, i) for i in range(50))))
        self.ok(self.d.kv("batch", "-", stdin=b"put\tt\t" + ODD_LINE))
        self.ok(self.d.kv("get", "t", ODD_KEY.decode()), ODD_VALUE)
        lines = self.ok(self.d.kv("scan", "t")).splitlines(keepends=True)
        self.assertEqual(lines[:50], [b"k%02d\tv%d\n" % (i, i) for i in range(50)])
        self.assertEqual(lines[50:], [ODD_LINE])
        self.ok(self.d.kv("scan", "t", "--prefix", "k1", "--limit", "2"), b"k10\tv10\nk11\tv11\n")
        self.ok(self.d.kv("scan", "t", "--from", "k48", "--until", "l"), b"k48\tv48\nk49\tv49\n")
        self.ok(self.d.kv("scan", "t", "--prefix", "k", "--reverse", "--limit", "1"), b"k49\tv49\n")
        row = json.loads(self.ok(self.d.kv("scan", "t", "--prefix", "tab", "--json")))
        self.assertEqual(row, {"key": rig.b64(ODD_KEY), "value": rig.b64(ODD_VALUE)})

    def test_dump_and_load_are_inverse(self):
        self.ok(self.d.kv("batch", "-", stdin=b"put\tt\t" + ODD_LINE + b"put\tt\tb\t\n"))
        for flag, name in (([], "rows.tsv"), (["--json"], "rows.json")):
            rows = self.ok(self.d.kv("dump", "t", *flag))
            (self.root / name).write_bytes(rows)
            copy = name.replace(".", "-")
            self.ok(self.d.kv("load", copy, self.root / name, "--create"), b"loaded 2 records\n")
            self.ok(self.d.kv("dump", copy, *flag), rows)
        both = self.ok(self.d.kv("dump"))
        self.assertIn(b"rows-tsv\t" + ODD_LINE, both)
        self.assertIn(b"t\t" + ODD_LINE, both)
        self.refused(self.d.kv("load", "t", self.root / "none"), 1, "not found")
        (self.root / "bad").write_bytes(b"a\t1\nb\n")
        self.refused(self.d.kv("load", "t", self.root / "bad"), 1, "line 2")
        self.refused(self.d.kv("load", "nowhere", self.root / "rows.tsv"), 1, "no such table", "acknowledged 0 of 2")

    def test_cas_and_batch_change_all_or_nothing(self):
        self.ok(self.d.kv("cas", "t", "k", "one", "--absent"))
        self.refused(self.d.kv("cas", "t", "k", "two", "--absent"), 1, "did not hold")
        self.refused(self.d.kv("cas", "t", "k", "two", "--old", "zero"), 1, "did not hold")
        self.ok(self.d.kv("get", "t", "k"), b"one")
        self.ok(self.d.kv("cas", "t", "k", "two", "--old", "one"))
        refused = self.d.kv("batch", "-", stdin=b"put\tt\tx\t1\nequals\tt\tk\ttwo\npresent\tt\tnone\ndel\tt\tk\n")
        self.refused(refused, 1, "compare 2")
        self.assertEqual(self.d.kv("get", "t", "x").returncode, 1)
        self.ok(self.d.kv("cas", "t", "k", "--old", "two", "--delete"))
        self.assertEqual(self.d.kv("get", "t", "k").returncode, 1)
        self.refused(self.d.kv("batch", "-", stdin=b"put\tt\tx\n"), 1, "line 1")
        too_many = b"".join(b"put\tt\t%d\t\n" % i for i in range(10_001))
        self.refused(self.d.kv("batch", "-", stdin=too_many), 1, "at most 10,000")
        self.ok(self.d.kv("batch", "-", stdin=too_many[:too_many.rstrip().rfind(b"\n") + 1]))

    def test_watch_shows_changes_in_order_as_they_become_durable(self):
        index = json.loads(self.ok(self.d.kv("sync", "--json")))["index"]
        self.ok(self.d.kv("put", "t", "a1", "x"))
        self.ok(self.d.kv("put", "t", "b", "not asked for"))
        self.ok(self.d.kv("del", "t", "a1"))
        lines = self.ok(self.d.kv("watch", "t", "--prefix", "a", "--from", str(index + 1), "--limit", "2")).splitlines()
        fields = [line.split(b"\t") for line in lines]
        self.assertEqual([f[1:] for f in fields], [[b"put", b"a1", b"x"], [b"del", b"a1"]])
        self.assertLess(int(fields[0][0]), int(fields[1][0]))
        begun = time.monotonic()
        self.ok(self.d.kv("watch", "t", "--timeout", "0.5"), b"")
        self.assertLess(time.monotonic() - begun, 20)

    def test_a_write_that_waits_for_nothing_is_durable_after_sync(self):
        reply = json.loads(self.ok(self.d.kv("put", "t", "k", "v", "--wait", "none", "--json")))
        self.assertEqual(reply["reached"], "none")
        synced = json.loads(self.ok(self.d.kv("sync", "--json")))
        self.assertEqual(synced["reached"], "durable")
        self.d.kill()
        self.d.start()
        self.ok(self.d.kv("get", "t", "k"), b"v")

    def test_tables_are_created_listed_and_dropped(self):
        self.refused(self.d.kv("table", "create", "t"), 1, "exists already")
        self.ok(self.d.kv("table", "create", "ünïcode table", "--order", "16", "--never-inline"))
        self.assertIn("ünïcode table\t0\tbytes\tbytes\n".encode(), self.ok(self.d.kv("table", "list")))
        names = [json.loads(line)["table"] for line in self.ok(self.d.kv("table", "list", "--json")).splitlines()]
        self.assertEqual(sorted(names), ["t", "ünïcode table"])
        self.ok(self.d.kv("table", "drop", "t"))
        self.refused(self.d.kv("table", "drop", "t"), 1, "no such table")
        self.refused(self.d.kv("table", "create", "n" * 129), 1, "1 to 128 bytes")

    def test_the_client_file_comes_from_the_option_before_the_environment(self):
        env = rig.environment() | {"HOLDFAST_CLIENT": str(self.d.client_yaml)}
        self.assertEqual(rig.run("kv", "put", "t", "k", "v", env=env).returncode, 0)
        self.assertEqual(rig.run("kv", "get", "t", "k", "-c", str(self.d.client_yaml)).stdout, b"v")
        self.refused(rig.run("kv", "-c", self.root / "none.yaml", "get", "t", "k", env=env), 1, "none.yaml")


class Durability(rig.TestCase):
    def test_what_was_acknowledged_is_there_after_kill_9_in_mid_load(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t"))
        rows = self.root / "rows.tsv"
        rows.write_text("".join(f"key {i:07d}\tvalue {i}\n" for i in range(200_000)))
        acked = self.root / "acked"
        acked.touch()
        loader = subprocess.Popen([str(rig.binary), "kv", "-c", str(d.client_yaml), "load", "t", str(rows), "--batch", "10",
                                   "--acked", str(acked)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=rig.environment())
        end = time.monotonic() + rig.DEADLINE_S
        while acked.stat().st_size < 50_000 and time.monotonic() < end and loader.poll() is None:
            time.sleep(0.005)
        d.kill()
        out, err = loader.communicate(timeout=rig.DEADLINE_S)
        self.assertEqual((loader.returncode, out), (1, b""))
        keys = acked.read_bytes().splitlines()
        self.assertIn(b"acknowledged %d of 200000" % len(keys), err)
        d.start()
        present = dict(line.split(b"\t") for line in self.ok(d.kv("scan", "t")).splitlines())
        lost = [k for k in keys if k not in present]
        self.assertEqual(lost, [])
        for key, value in present.items():
            self.assertEqual(int(key.split()[1]), int(value.split()[1]))
        d.stop()
        self.ok(d.verify("--require-fresh"))


class Admin(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.d = self.deployment().start()
        self.ok(self.d.kv("table", "create", "t"))
        self.ok(self.d.kv("put", "t", "k", "v"))

    def test_save_state_makes_a_newer_slot(self):
        before = json.loads(self.ok(self.d.admin("status", "--json")))
        self.assertIn(b"saved up to index", self.ok(self.d.admin("save-state")))
        after = json.loads(self.ok(self.d.admin("status", "--json")))
        self.assertGreater(after["save"], before["save"])
        self.assertGreater(after["saved"], before["saved"])
        self.assertIn(b"freshness", self.ok(self.d.admin("status")))

    def test_verify_of_a_served_store_goes_through_the_server(self):
        self.assertIn(b"verified", self.ok(rig.run("verify", "-c", self.d.server_yaml)))
        self.assertEqual(json.loads(self.ok(rig.run("verify", "-c", self.d.server_yaml, "--json")))["verdict"], "ok")

    def test_a_client_is_added_used_and_revoked(self):
        alice = self.root / "alice"
        serial = json.loads(self.ok(self.d.admin("client", "add", "alice", "--out", alice, "--json")))["serial"]
        self.assertEqual((alice / "client.pem").stat().st_mode & 0o777, 0o600)
        self.ok(rig.run("kv", "-c", alice / "client.yaml", "get", "t", "k"), b"v")
        self.refused(self.d.admin("client", "add", "alice", "--out", alice), 1, "exists already")
        self.assertIn(f"{serial}\tuser\tvalid\talice\n".encode(), self.ok(self.d.admin("client", "list")))
        self.ok(self.d.admin("client", "revoke", serial))
        self.assertIn(f"{serial}\tuser\trevoked\talice\n".encode(), self.ok(self.d.admin("client", "list")))
        self.assertEqual(rig.run("kv", "-c", alice / "client.yaml", "get", "t", "k").returncode, 1)
        self.ok(self.d.kv("get", "t", "k"), b"v")
        self.d.stop()
        self.d.start()
        self.assertEqual(rig.run("kv", "-c", alice / "client.yaml", "get", "t", "k").returncode, 1)

    def test_a_client_without_the_admin_flag_is_no_administrator(self):
        bob = self.root / "bob"
        self.ok(self.d.admin("client", "add", "bob", "--out", bob))
        (bob / "server.yaml").write_text(self.d.server_yaml.read_text())
        self.refused(rig.run("admin", "-c", bob / "server.yaml", "status"), 1)
        carol = self.root / "carol"
        self.ok(self.d.admin("client", "add", "carol", "--out", carol, "--admin"))
        (carol / "server.yaml").write_text(self.d.server_yaml.read_text())
        self.assertIn(b"store", self.ok(rig.run("admin", "-c", carol / "server.yaml", "status")))

    def test_the_passphrase_of_a_served_store_changes_through_the_server(self):
        new = self.root / "new"
        new.touch(mode=0o600)
        new.write_text("quite another passphrase 42")
        self.ok(rig.run("passphrase", "-c", self.d.server_yaml, "--passphrase-file", self.d.passphrase,
                        "--new-passphrase-file", new))
        self.d.stop()
        self.refused(self.d.verify(), 1, "wrong passphrase")
        self.ok(rig.run("verify", "-c", self.d.server_yaml, "--passphrase-file", new))

    def test_an_idle_server_uses_less_than_one_percent_of_a_processor(self):
        def ticks():
            fields = open(f"/proc/{self.d.process.pid}/stat").read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        time.sleep(1)
        before = ticks()
        time.sleep(5)
        self.assertLessEqual(ticks() - before, 5)  # hundredths of a second, of 500

    def test_many_clients_at_once(self):
        failures = []

        def work(n):
            for i in range(5):
                r = self.d.kv("put", "t", f"{n}-{i}", "v")
                if r.returncode != 0:
                    failures.append(r.stderr)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(self.ok(self.d.kv("scan", "t")).splitlines()), 21)


if __name__ == "__main__":
    rig.main()
