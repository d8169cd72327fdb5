#!/usr/bin/python3
"""`kv dump` and `kv load`: every byte there and back in each format, one snapshot, and going on after a break."""
import base64
import csv
import io
import json
import os
import random
import resource
import subprocess
import time

import rig

FORMATS = {"tsv": ["tsv"], "jsonl": ["jsonl"], "jsonl64": ["jsonl", "--base64"], "csv": ["csv", "--base64"]}
TEXT_ROWS = {"plain": "text", "comma": "a,b", "quote": '"', "quotes": 'he said ""', "lines": "a\r\nb\nc\r", "tab\t": "\\t\\",
             " space": " ", "nul": "\0\x1b[31m", "empty": "", "žluťoučký": "漢字 🙂 \u0085\u2028", "\ufeffmark": "\ufeff", "key,value": "x"}
MIB = 1 << 20


def hostile_rows():
    rng = random.Random("dump and load")
    rows = {bytes([i]): bytes([i]) for i in range(256)}
    rows |= {rng.randbytes(rng.randint(1, 1024)): rng.randbytes(rng.choice([0, 1, 30, 3000])) for _ in range(300)}
    rows |= {k.encode(): v.encode() for k, v in TEXT_ROWS.items()}
    return rows


def json_lines(rows):
    return b"".join(json.dumps({"key": rig.b64(k), "value": rig.b64(v)}).encode() + b"\n" for k, v in rows.items())


class DumpLoad(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.d = self.deployment().start()

    def dump(self, table, *more):
        """Standard output; what it says on stderr is in self.said."""
        r = self.d.kv("dump", table, *more)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.said = r.stderr.decode()
        return r.stdout

    def spawn(self, *arguments, **more):
        return subprocess.Popen([str(rig.binary), "kv", "-c", str(self.d.client_yaml), *map(str, arguments)],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=rig.environment(), **more)

    def rows_file(self, name, rows):
        path = self.root / name
        path.write_text("".join(f"key {i:07d}\tvalue {i}\n" for i in range(rows)))
        return path

    def broken_load(self, rows):
        """A load that was killed -9 after some rows, with its progress."""
        progress = rows.with_name(rows.name + ".progress")
        loader = self.spawn("load", "t", rows, "--create", "--resume", "--batch", "10")
        end = time.monotonic() + rig.DEADLINE_S
        while not progress.exists() and loader.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        loader.kill()
        _, err = loader.communicate(timeout=rig.DEADLINE_S)
        self.assertEqual(loader.returncode, -9, err)
        return progress

    def test_every_byte_goes_there_and_back_in_each_format(self):
        rows = hostile_rows()
        self.ok(self.d.kv("load", "t", "-", "--create", stdin=json_lines(rows)), b"loaded %d records\n" % len(rows))
        for name, how in FORMATS.items():
            path = self.root / name
            self.assertEqual(self.dump("t", "--format", *how, "--out", path), b"")
            self.assertRegex(self.said, rf"^dumped {len(rows)} rows of t at index \d+\n$")
            self.assertFalse(path.with_name(name + ".part").exists())
            self.ok(self.d.kv("load", name, path, "--create", "--format", how[0]), b"loaded %d records\n" % len(rows))
            self.assertEqual(self.dump(name, "--format", *how), path.read_bytes())
        found = {}
        for line in (self.root / "jsonl").read_bytes().splitlines():
            row = {k: v.encode() if not k.endswith("64") else base64.b64decode(v) for k, v in json.loads(line).items()}
            found[row.get("key", row.get("key_base64"))] = row.get("value", row.get("value_base64"))
        self.assertEqual(found, rows)

    def test_a_value_of_16_mib_goes_there_and_back(self):
        self.ok(self.d.kv("table", "create", "t"))
        self.ok(self.d.kv("put", "t", "largest", "-", stdin=random.Random(16).randbytes(16 * MIB)))
        path = self.root / "t.csv"
        self.dump("t", "--format", "csv", "--base64", "--out", path)
        self.ok(self.d.kv("load", "copy", path, "--create"), b"loaded 1 records\n")
        self.assertEqual(self.dump("copy", "--format", "csv", "--base64"), path.read_bytes())

    def test_csv_of_text_is_what_others_read_and_bytes_that_are_none_are_refused(self):
        rows = {k.encode(): v.encode() for k, v in TEXT_ROWS.items()}
        self.ok(self.d.kv("load", "t", "-", "--create", stdin=json_lines(rows)))
        text = self.dump("t", "--format", "csv")
        self.assertTrue(text.startswith(b"key,value\r\n"))
        read = list(csv.reader(io.StringIO(text.decode(), newline="")))
        self.assertEqual(dict(read[1:]), TEXT_ROWS)
        self.ok(self.d.kv("load", "copy", "-", "--create", stdin=text), b"loaded %d records\n" % len(rows))  # guessed
        self.assertEqual(self.dump("copy", "--format", "csv"), text)
        some = self.dump("t", "--format", "tsv", "--from", "l", "--until", "q")
        self.assertEqual([line.split(b"\t")[0] for line in some.splitlines()], [b"lines", b"nul", b"plain"])
        self.ok(self.d.kv("load", "t", "-", stdin=b"bytes\t\\xFF\n"))
        out = self.root / "t.csv"
        out.write_bytes(b"as it was")
        self.refused(self.d.kv("dump", "t", "--format", "csv", "--out", out), 1, "not UTF-8", "--base64")
        self.assertEqual(sorted(p.name for p in self.root.glob("t.csv*")), ["t.csv"])
        self.assertEqual(out.read_bytes(), b"as it was")
        jsonl = self.root / "t.jsonl"
        self.dump("t", "--format", "jsonl", "--out", jsonl)
        self.refused(self.d.kv("load", "copy", jsonl), 2, "--format jsonl")

    def test_a_dump_is_one_snapshot_whatever_is_written_while_it_is_read(self):
        def write(generation):
            value = generation * (64 << 10)
            self.ok(self.d.kv("batch", "-", stdin=b"".join(b"put\tt\tk%03d\t%s\n" % (i, value) for i in range(200))))
        self.ok(self.d.kv("table", "create", "t"))
        write(b"a")
        dump = self.spawn("dump", "t", "--format", "tsv")
        first = dump.stdout.readline()
        write(b"b")
        rest, err = dump.stdout.read(), dump.stderr.read()
        dump.stdout.close()
        dump.stderr.close()
        self.assertEqual(dump.wait(rig.DEADLINE_S), 0, err)
        values = {line.split(b"\t")[1] for line in (first + rest).splitlines()}
        self.assertEqual([v[:1] for v in values], [b"a"])
        self.assertIn(b"dumped 200 rows of t at index ", err)

    def test_a_broken_dump_of_a_tag_goes_on_and_any_other_begins_again(self):
        rng = random.Random("broken dump")
        rows = {b"k%02d" % i: rng.randbytes(MIB // 2) for i in range(16)}
        self.ok(self.d.kv("load", "t", "-", "--create", stdin=json_lines(rows)))
        self.ok(rig.run("tag", "-c", self.d.server_yaml, "create", "then"))
        whole = self.dump("t", "--format", "jsonl")
        out, point = self.root / "out", self.root / "out.part.progress"
        how = ["dump", "t", "--format", "jsonl", "--out", out, "--resume"]
        self.refused(self.d.kv(*how), 2, "--resume needs a tag")
        # The kernel kills it as it writes its six millionth byte.
        limit = (6_000_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        broken = self.spawn(*how, "--tag", "then", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
        broken.communicate(timeout=rig.DEADLINE_S)
        self.assertLess(broken.returncode, 0)
        self.assertGreaterEqual(json.loads(point.read_text())["rows"], 6)
        self.ok(self.d.kv("put", "t", "k99", "is not of the tag"))
        self.refused(self.d.kv(*how, "--tag", "then", "--base64"), 1, "not of this dump")
        again = self.d.kv(*how, "--tag", "then")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn(b"going on behind ", again.stderr)
        self.assertEqual(out.read_bytes(), whole)
        self.assertEqual(sorted(p.name for p in self.root.glob("out*")), ["out"])

    def test_a_load_that_was_killed_goes_on_behind_what_was_acknowledged(self):
        rows = self.rows_file("rows.tsv", 60_000)
        progress = self.broken_load(rows)
        done = json.loads(progress.read_text())["rows"]
        self.assertTrue(0 < done < 60_000, done)
        again = self.d.kv("load", "t", rows, "--resume", "--progress")
        self.assertEqual((again.returncode, again.stdout), (0, b"loaded %d records\n" % (60_000 - done)), again.stderr)
        self.assertIn(b"going on at line %d, behind %d records" % (done + 1, done), again.stderr)
        self.assertIn(b"load t 60,000 of 60,000 100%", again.stderr)
        self.assertEqual(self.dump("t"), rows.read_bytes())
        self.assertFalse(progress.exists())

    def test_a_changed_input_is_refused_and_so_is_another_table(self):
        rows = self.rows_file("rows.tsv", 60_000)
        progress = self.broken_load(rows)
        was, stat = rows.read_bytes(), rows.stat()
        offset = json.loads(progress.read_text())["offset"]
        for changed in (was + b"more\trows\n", was[:-1], was[:offset - 2] + b"#" + was[offset - 1:]):
            rows.write_bytes(changed)
            os.utime(rows, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            self.refused(self.d.kv("load", "t", rows, "--resume"), 1, "the input has changed since")
        rows.write_bytes(was)
        self.refused(self.d.kv("load", "t", rows, "--resume"), 1, "the input has changed since")
        os.utime(rows, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.refused(self.d.kv("load", "u", rows, "--resume", "--create"), 1, "another table")
        self.refused(self.d.kv("load", "t", rows, "--resume", "--format", "tsv"), 1, "another --format")
        self.refused(self.d.kv("load", "t", "-", "--resume"), 2, "a pipe cannot be read again")
        self.ok(self.d.kv("table", "drop", "t"))
        self.refused(self.d.kv("load", "t", rows, "--resume", "--create"), 1, "the table was made anew since")
        progress.write_text("{}")
        self.refused(self.d.kv("load", "t", rows, "--resume"), 1, "not the progress of a load")

    def test_a_bad_line_is_named_and_nothing_of_its_batch_is_written(self):
        good = {"tsv": b"k%02d\tv\n", "json": b'{"key_text":"k%02d","value":""}\n', "jsonl": b'{"key":"k%02d","value":""}\n',
                "csv": b'k%02d,"v"\r\n'}
        bad = {"tsv": (b"no tab\n", b"a\t\\q\n", b"\tno key\n", b"k" * 1025 + b"\tv\n"),
               "json": (b'{"key":"a","value":""}\n', b"[]\n"),
               "jsonl": (b'{"key":"a"}\n', b'{"key":"a","key_base64":"YQ==","value":""}\n', b'{"key":"\xff","value":""}\n'),
               "csv": (b"a\n", b"a,b,c\n", b'a,"b" c\n', b'a,b"\n', b'a,"b\n')}
        for form, lines in bad.items():
            header = b"key,value\r\n" if form == "csv" else b""
            for line in lines:
                text = header + b"".join(good[form] % i for i in range(25)) + line
                (self.root / "rows").write_bytes(text + good[form] % 99)
                table = f"{form}{lines.index(line)}"
                r = self.d.kv("load", table, self.root / "rows", "--create", "--batch", "10", "--format", form)
                self.refused(r, 1, f"rows line {26 + len(header.splitlines())}: ", "; acknowledged 20 of ")
                self.assertEqual(len(self.ok(self.d.kv("scan", table)).splitlines()), 20)


if __name__ == "__main__":
    rig.main()
