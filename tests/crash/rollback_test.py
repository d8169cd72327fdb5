#!/usr/bin/python3
"""Older copies put back, slots and files destroyed, every file cut and flipped: the right data or a refusal that says why,
and never a fresh, empty store.

    rollback_test.py --binary holdfast [--seed N]

Positions are a sample (first, last, middle, some at random); the exhaustive matrix stands beside the store's code.
"""
import json
import pathlib
import random
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import rig  # noqa: E402

SEED = 1
RANDOM_POSITIONS = 10
SLOT_FILES = ("core-enclave", "core-enclave.recovery-key-shares", "key-enclave", "key-enclave.recovery-key-shares",
              "server-state", "state-save-number")


class Store(rig.TestCase):
    """A store with two tables, inline values and blobs, two saves of its own, and a journal behind the newer one."""

    def setUp(self):
        super().setUp()
        self.rng = random.Random(f"rollback {SEED}")
        self.d = self.deployment().start()
        for table in ("t", "u"):
            self.ok(self.d.kv("table", "create", table))
        for n in range(2):
            self.write(n)
            self.ok(self.d.admin("save-state"))
        self.write(2)

    def write(self, n):
        lines = [f"put\tt\tkey {i}\tvalue {n} {i}\n" for i in range(n, 400, n + 1)]
        lines += [f"put\tu\tbig {i}\t{str(n) * 3000}\n" for i in range(3)]
        self.ok(self.d.kv("batch", "-", stdin="".join(lines).encode()))

    def dump(self):
        return self.ok(self.d.kv("dump"))

    def serve(self, *more):
        return rig.run("serve", "-c", self.d.server_yaml, "--passphrase-file", self.d.passphrase, *more)

    def verify_store(self, *more):
        return rig.run("verify", "--store", f"dir:{self.d.store}", "--passphrase-file", self.d.passphrase, *more)

    def copy(self, name):
        """The store and, beside it, the anchor of this moment."""
        to = self.root / name
        shutil.copytree(self.d.store, to)
        shutil.copy(self.d.directory / "anchor", self.root / (name + ".anchor"))
        return to

    def put_back(self, copy, with_anchor=False):
        shutil.rmtree(self.d.store)
        shutil.copytree(copy, self.d.store)
        if with_anchor:
            shutil.copy(copy.parent / (copy.name + ".anchor"), self.d.directory / "anchor")

    def serves_or_refuses(self, rows):
        """True if it served. What it gave is right; where the damage is met only when it is read, that is said."""
        self.d.spawn()
        try:
            self.d.wait_ready()
        except AssertionError as e:
            self.assertIn(self.d.process.returncode, (1, 3), str(e)[-1000:])
            self.d.process = None
            return False
        try:
            dump = self.d.kv("dump")
            if dump.returncode != 0:
                self.refused(dump, 3)
                self.assertEqual(set(dump.stdout.splitlines()) - set(rows.splitlines()), set())
            else:
                self.assertEqual(dump.stdout, rows)
        finally:
            self.d.kill()  # the next one has the same name for it
        return True


class Rollback(Store):
    def test_RuleF1_an_older_copy_is_refused_because_of_the_anchor_and_unproven_without_it(self):
        self.d.stop()
        older = self.copy("older")
        self.d.start()
        old_rows = self.dump()
        self.write(3)
        self.d.stop()
        newer = self.copy("newer")
        self.put_back(older)
        anchor = (self.d.directory / "anchor").read_bytes()
        self.refused(self.serve(), 3, "rolled back")
        self.refused(self.serve("--discard-tail"), 3, "rolled back")  # no option makes an older store the newest
        self.assertEqual(self.d.verify().returncode, 3)
        self.assertEqual((self.d.directory / "anchor").read_bytes(), anchor, "the evidence is kept")
        self.assertEqual(self.verify_store("--anchor", self.d.directory / "anchor").returncode, 3)

        # Without the anchor nobody can tell; that is said, and whoever must know is refused.
        (self.d.directory / "anchor").unlink()
        self.assertIn(b"freshness unproven", self.ok(self.d.verify()))
        r = self.d.verify("--require-fresh")
        self.assertEqual(r.returncode, 3)
        self.assertIn(b"freshness unproven", r.stderr)
        said = len(self.d.log())
        self.d.start()
        self.assertIn("freshness unproven", self.d.log()[said:])
        self.assertEqual(self.dump(), old_rows)
        self.d.stop()

        # That opening went another way than the one the anchor knows: a fork, either way round.
        (self.d.directory / "anchor").write_bytes(anchor)
        self.assertEqual(self.serve().returncode, 3)
        self.put_back(newer)
        self.d.start()
        self.d.stop()

    def test_RuleF1_a_copy_taken_while_it_runs_and_put_back_after_a_kill_is_refused(self):
        older = self.copy("older")
        self.write(3)
        self.ok(self.d.admin("save-state"))
        self.d.kill()
        self.put_back(older)
        self.refused(self.serve(), 3)
        self.assertEqual(self.d.verify().returncode, 3)

    def test_RuleB5_what_lies_behind_the_anchor_can_be_taken_back_unseen_and_that_is_said(self):
        """What cannot be known: the loss of acknowledged frames since the last anchored point looks like a crash."""
        rows = self.dump()
        older = self.copy("older")
        self.ok(self.d.kv("put", "t", "after the last anchor", "x"))
        self.d.kill()
        self.put_back(older)
        self.assertIn(b"later writes unproven", self.ok(self.d.verify("--require-fresh")))
        self.d.start()
        self.assertEqual(self.dump(), rows)

    def test_old_slots_under_a_newer_journal_and_the_reverse_never_serve_older_rows(self):
        self.d.stop()
        older = self.copy("older")
        self.d.start()
        for n in (3, 4, 5):
            self.write(n)
            self.ok(self.d.admin("save-state"))
        rows = self.dump()
        self.d.stop()
        newer = self.copy("newer")
        for part in ("enclave-state", "manifest", "members", "segments"):
            with self.subTest(part_from_the_older_copy=part):
                self.put_back(newer, with_anchor=True)
                shutil.rmtree(self.d.store / part)
                shutil.copytree(older / part, self.d.store / part)
                self.assertEqual(self.d.verify().returncode, 3)
                self.serves_or_refuses(rows)


class Slots(Store):
    def test_RuleD2_slots_destroyed_one_after_the_other(self):
        rows = self.dump()
        self.d.stop()
        whole = self.copy("whole")
        newest = max((0, 1), key=lambda slot: int.from_bytes(
            (whole / f"enclave-state/{slot}/state-save-number").read_bytes()[:8], "little"))
        for first in (0, 1):
            for name in (*SLOT_FILES, None):
                with self.subTest(slot=first, file=name or "all of them"):
                    self.put_back(whole, with_anchor=True)
                    slot = self.d.store / f"enclave-state/{first}"
                    shutil.rmtree(slot) if name is None else (slot / name).unlink()
                    # Without its number a slot is torn by a crash and unused; the rest of it does not matter. But the
                    # newest slot's number was there when the anchor was written: then no crash took it away.
                    unused = name in (None, "state-save-number")
                    if unused:
                        self.ok(self.verify_store())
                    self.assertEqual(self.d.verify().returncode, 0 if unused and first != newest else 3)
                    said = len(self.d.log())
                    self.d.start()
                    self.assertEqual(self.dump(), rows)
                    if not unused:
                        self.assertIn(f"enclave-state/{first}", self.d.log()[said:])
                    # A save makes the slot whole again.
                    self.ok(self.d.admin("save-state"))
                    self.ok(self.d.admin("save-state"))
                    self.d.stop()
                    self.ok(self.d.verify("--require-fresh"))

    def test_RuleD2_without_both_slots_it_refuses_and_makes_no_new_store(self):
        self.d.stop()
        whole = self.copy("whole")
        for name in ("state-save-number", "core-enclave", "server-state", None):
            with self.subTest(file=name or "all of them"):
                self.put_back(whole)
                for slot in (0, 1):
                    path = self.d.store / f"enclave-state/{slot}"
                    shutil.rmtree(path) if name is None else (path / name).unlink()
                before = {p: p.read_bytes() for p in self.d.store.rglob("*") if p.is_file()}
                r = self.serve()
                self.assertIn(r.returncode, (1, 3), r.stderr)
                self.assertIn(self.d.verify().returncode, (1, 3))
                self.assertEqual({p: p.read_bytes() for p in self.d.store.rglob("*") if p.is_file()}, before)


class Bytes(Store):
    def setUp(self):
        super().setUp()
        self.rows = self.dump()
        self.d.stop()
        self.whole = self.copy("whole")
        self.served = self.refusals = 0

    def files(self):
        # What is put aside for a full disk is read by nobody and may be anything.
        return sorted(p.relative_to(self.whole) for p in self.whole.rglob("*") if p.is_file() and p.name != "reserve")

    def positions(self, size):
        some = {0, size - 1, size // 2} | {self.rng.randrange(size) for _ in range(RANDOM_POSITIONS)}
        return sorted(some)

    def attack(self, name, changed, what, serve):
        path = self.d.store / name
        path.write_bytes(changed)
        with self.subTest(file=str(name), what=what):
            self.judge(str(name), changed, serve)
        # Serving may have changed anything.
        if serve:
            self.put_back(self.whole, with_anchor=True)
        else:
            path.write_bytes((self.whole / name).read_bytes())

    def judge(self, name, changed, serve):
        r = self.d.verify("--json")
        # D2: a number that is absent or short is torn, and its slot unused.
        torn = name.endswith("state-save-number") and len(changed) < 72
        self.assertIn(r.returncode, (0, 3) if torn else (3,), r.stdout + r.stderr)
        if r.returncode == 3 and r.stdout:
            bad = [f["object"] for f in json.loads(r.stdout)["findings"] if f["bad"]]
            # The files of a slot are one whole under one digest: any of them may be the one that is named.
            place = name[:len("enclave-state/0/")] if name.startswith("enclave-state/") else name
            # Of a journal file that is gone, or empty, it is the frames that are missed, by the names they are sealed under.
            if name.startswith("members/") and not changed:
                place = name.rpartition("/")[0]
            self.assertTrue(any(o.startswith(place) or name.startswith(o) for o in bad), (name, bad))
        if not serve:
            return
        if self.serves_or_refuses(self.rows):
            self.served += 1
        else:
            self.refusals += 1

    def test_every_file_cut_at_some_bytes_is_named_or_excepted_and_serves_the_right_rows_or_nothing(self):
        for name in self.files():
            data = (self.whole / name).read_bytes()
            positions = self.positions(len(data)) if data else []
            at_once = set(self.rng.sample(positions, min(3, len(positions))))
            for at in positions:
                self.attack(name, data[:at], f"cut at {at}", serve=at in at_once)
            if not data:
                self.attack(name, b"x", "grown", serve=True)
        print(f"served {self.served}, refused {self.refusals}")

    def test_every_file_flipped_at_some_bytes_is_named_and_serves_the_right_rows_or_nothing(self):
        for name in self.files():
            data = (self.whole / name).read_bytes()
            positions = self.positions(len(data)) if data else []
            at_once = set(self.rng.sample(positions, min(3, len(positions))))
            for at in positions:
                changed = bytearray(data)
                changed[at] ^= 1 << self.rng.randrange(8)
                self.attack(name, bytes(changed), f"flipped at {at}", serve=at in at_once)
        print(f"served {self.served}, refused {self.refusals}")

    def test_every_file_removed_is_named_and_serves_the_right_rows_or_nothing(self):
        for name in self.files():
            path = self.d.store / name
            path.unlink()
            with self.subTest(file=str(name)):
                self.judge(str(name), b"", serve=True)
            self.put_back(self.whole, with_anchor=True)
        print(f"served {self.served}, refused {self.refusals}")


if __name__ == "__main__":
    if "--seed" in sys.argv:
        at = sys.argv.index("--seed")
        SEED = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    rig.main()
