#!/usr/bin/python3
"""One store, one real server after another, each killed under load: no acknowledged write is lost, nothing appears that
was not asked for, batches are there whole or not at all, and what is sent again happens once.

    kill9_test.py --binary holdfast [--seed N] [--rounds N]

A seed gives the same choices again; where in them a kill falls is up to the machine. A kill leaves what the kernel
was given: power failures (unsynced writes dropped or torn) are the simulator's part.
"""
import os
import pathlib
import random
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import rig  # noqa: E402
from grpc_client import admin, admin_grpc, grpc, kv, kv_grpc, open_channel  # noqa: E402
from history import LIST, digest  # noqa: E402
from writers import TABLES, SessionWriter, UnaryWriter  # noqa: E402

SEED, ROUNDS = 1, 52
KILLS_MIN = 50           # of more than so many rounds
VERIFY_EVERY = 20
LOAD_ROWS, LOAD_BATCH = 3000, 50
PROGRESS_S = 60          # without an acknowledgement for so long, something hangs


class Progress:
    """What the writers of one run were told. Thread-safe."""

    def __init__(self):
        self.condition = threading.Condition()
        self.acks = self.durable_index = self.again_applied = self.again_lost = 0
        self.failures = []

    def acknowledged(self, durable_index):
        with self.condition:
            self.acks += 1
            self.durable_index = max(self.durable_index, durable_index)
            self.condition.notify_all()

    def sent_again(self, was_applied):
        with self.condition:
            self.again_applied += was_applied
            self.again_lost += not was_applied

    def failed(self, why):
        with self.condition:
            self.failures.append(why)
            self.condition.notify_all()

    def wait_for(self, done):
        with self.condition:
            return self.condition.wait_for(lambda: self.failures or done(), timeout=PROGRESS_S)


class FileLoad:
    """`kv load --acked` in a process of its own: batches of LOAD_BATCH rows, in order."""

    def __init__(self, root):
        self.root = root
        self.expected = {}  # key -> digest, of all earlier loads
        self.file = self.acked = self.process = None

    def rows(self, number):
        return [(f"load/{number:04}/{i:05}", f"row {i} of load {number} " + "x" * (i % 150)) for i in range(LOAD_ROWS)]

    def start(self, d, number):
        self.number, self.file, self.acked = number, self.root / "load.tsv", self.root / "acked"
        self.file.write_text("".join(f"{k}\t{v}\n" for k, v in self.rows(number)))
        self.acked.write_text("")
        self.process = rig.subprocess.Popen(
            [str(rig.binary), "kv", "-c", str(d.client_yaml), "load", "t", str(self.file), "--acked", str(self.acked),
             "--batch", str(LOAD_BATCH)], stdin=rig.subprocess.DEVNULL, stdout=rig.subprocess.DEVNULL,
            stderr=rig.subprocess.DEVNULL, env=rig.environment())

    def end(self):
        if self.process is not None:
            self.process.wait(rig.DEADLINE_S)

    def settle(self, test, found):
        if self.process is not None:
            self.process = None
            count = sum(1 for at in found if at[1].startswith(f"load/{self.number:04}/".encode()))
            acked = self.acked.read_text().split()
            rows = self.rows(self.number)
            test.assertEqual(acked, [k for k, _ in rows[:len(acked)]])
            test.assertGreaterEqual(count, len(acked), "acknowledged rows of kv load are gone")
            test.assertEqual(count % LOAD_BATCH, 0, "a batch of kv load is there in part")
            self.expected.update({("t", k.encode()): digest(v.encode()) for k, v in rows[:count]})
        test.assertEqual(found, self.expected)


class Kill9(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.rng = random.Random(f"kill9 {SEED}")
        self.d = self.deployment()
        text = self.d.server_yaml.read_text()
        self.d.server_yaml.write_text(text.replace("StateSavePeriod: 60s", "StateSavePeriod: 300ms"))
        self.writers = [SessionWriter(f"s{i}") for i in range(3)] + [UnaryWriter("u0")]
        self.load = FileLoad(self.root)
        self.kills = self.startup_kills = self.stops = self.acks = self.again_applied = self.again_lost = self.rolls = 0
        self.start_s = 0.1
        self.durable_index = 0

    # -- the pieces of a round

    def kill_while_it_starts(self):
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            self.d.spawn()
            time.sleep(self.rng.random() * 1.2 * self.start_s)
            self.assertIsNone(self.d.process.poll(), "serve ended by itself: " + self.d.log()[-2000:])
            self.d.kill()
            self.startup_kills += 1

    def start(self):
        began = time.monotonic()
        self.d.start()
        self.start_s = min(1.0, time.monotonic() - began)
        self.channel = open_channel(self.d)

    def everything(self):
        """(index of the first snapshot, {(table, key): digest}); nobody writes now."""
        stub = kv_grpc.KvStub(self.channel)
        tables = [t.table for t in stub.ListTables(kv.ListTablesRequest(), timeout=20).tables]
        found, index = {(LIST, t): digest(t.encode()) for t in tables}, None
        for table in tables:
            for reply in stub.Scan(kv.ScanRequest(table=table), timeout=60):
                index = reply.index if index is None else index
                for row in reply.rows:
                    found[table, row.key] = digest(row.value)
        return index, found

    def check(self):
        index, found = self.everything()
        self.assertGreaterEqual(index, self.durable_index)
        for table in TABLES:
            self.assertIn((LIST, table), found)
            del found[LIST, table]
        for w in self.writers:
            own = {at: found.pop(at) for at in list(found) if w.history.owns(at)}
            w.recover(own, self.durable_index, index)
        self.load.settle(self, found)  # and nothing that nobody submitted

    def end_run(self, how, progress):
        process = self.d.process
        if how == "save":  # in the middle of one
            with open_channel(self.d, "admin") as channel:
                saved = admin_grpc.AdminStub(channel).SaveState.future(admin.SaveStateRequest(), timeout=20)
                time.sleep(self.rng.random() * 0.04)
                process.kill()
                saved.cancel()
        elif how in ("stop", "stop and kill"):
            process.send_signal(signal.SIGTERM)
            if how == "stop and kill":
                time.sleep(self.rng.random() * 0.06)
        if how != "stop":
            process.kill()
        code = process.wait(rig.DEADLINE_S)
        self.d.process = None
        self.kills += code == -signal.SIGKILL
        self.stops += code == 0
        self.assertIn(code, {"stop": (0,), "stop and kill": (0, -signal.SIGKILL)}.get(how, (-signal.SIGKILL,)),
                      self.d.log()[-2000:])

    def journal_files(self):
        return {p.name for p in (self.d.store / "members").glob("*/journal/*")}

    def wait_for_moment(self, progress, heavy):
        if heavy:  # the moment at which the journal rolls
            before, end = self.journal_files(), time.monotonic() + 15
            while not progress.failures and time.monotonic() < end:
                if self.journal_files() - before:
                    self.rolls += 1
                    break
                time.sleep(0.002)
            return
        target = self.rng.randint(1, 300)
        self.assertTrue(progress.wait_for(lambda: progress.acks >= target),
                        f"{progress.acks} writes in {PROGRESS_S} s: " + self.d.log()[-2000:])
        time.sleep(self.rng.random() * 0.01)

    def run_under_load(self, number):
        heavy = number % 25 == 20
        how = self.rng.choices(("kill", "save", "stop", "stop and kill"), (65, 15, 10, 10))[0]
        with_file = self.rng.random() < 0.15
        progress, stop = Progress(), threading.Event()

        def work(writer):
            try:
                writer.run(self.channel, random.Random(f"{SEED} {number} {writer.name}"), stop, progress, heavy)
            except Exception as e:  # a thread's failure is the test's
                progress.failed(repr(e))
        threads = [threading.Thread(target=work, args=(w,)) for w in self.writers]
        for t in threads:
            t.start()
        if with_file:
            self.load.start(self.d, number)
        try:
            self.wait_for_moment(progress, heavy)
            self.end_run(how, progress)
        finally:
            stop.set()
            self.d.kill()
            for t in threads:
                t.join(rig.DEADLINE_S)
            self.load.end()
            self.channel.close()
        self.assertEqual(progress.failures, [], self.d.log()[-2000:])
        self.durable_index = max(self.durable_index, progress.durable_index)
        self.acks += progress.acks
        self.again_applied += progress.again_applied
        self.again_lost += progress.again_lost
        return how

    def verify(self):
        said = self.ok(self.d.verify("--require-fresh"))
        self.assertIn(b"fresh to index", said)
        self.assertIn(b"verified", said)

    def rounds(self):
        self.d.start()
        for table in TABLES:
            with open_channel(self.d) as channel:
                request = kv.CreateTableRequest(table=table, never_inline=table == "u", share_values=table == "u")
                kv_grpc.KvStub(channel).CreateTable(request, timeout=20)
        self.d.kill()
        for number in range(ROUNDS):
            self.kill_while_it_starts()
            self.start()
            self.check()
            how = self.run_under_load(number)
            if number % VERIFY_EVERY == VERIFY_EVERY - 1 or (how == "stop" and number % 2):
                self.verify()
        self.start()
        self.check()
        self.channel.close()
        self.d.stop()
        self.verify()

    def test_no_acknowledged_write_is_lost(self):
        print(f"seed {SEED}, {ROUNDS} rounds", flush=True)
        try:
            self.rounds()
        except BaseException:
            kept = f"/tmp/holdfast-kill9-{SEED}-{os.getpid()}"
            self.d.kill()
            shutil.copytree(self.root, kept)
            print(f"what it left is in {kept}", flush=True)
            raise
        finally:
            print(f"{self.kills} kills under load, {self.startup_kills} while starting, {self.stops} clean stops, "
                  f"{self.rolls} at a new journal file; {self.acks} acknowledged; sent again: {self.again_applied} applied "
                  f"before, {self.again_lost} lost before", flush=True)
        self.assertGreaterEqual(self.kills + self.startup_kills, KILLS_MIN if ROUNDS > KILLS_MIN else ROUNDS * 3 // 4)
        self.assertGreater(self.acks, 20 * ROUNDS)


if __name__ == "__main__":
    for option in ("--seed", "--rounds"):
        if option in sys.argv:
            at = sys.argv.index(option)
            globals()[option[2:].upper()] = int(sys.argv[at + 1])
            del sys.argv[at:at + 2]
    rig.main()
