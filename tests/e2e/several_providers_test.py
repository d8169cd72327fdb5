#!/usr/bin/python3
"""One store on three providers with the real binary: killed, one corrupted, one emptied, one gone; repair, restore from
each, one more, one less."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import rig

if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 2 << 30:
    tempfile.tempdir = "/dev/shm"
ROWS = "".join(f"put\tt\tkey {i}\tvalue {i}\n" for i in range(3000)).encode()


class SeveralProviders(rig.TestCase):
    def three(self, *more, name="d"):
        d = self.deployment(name, init=False)
        d.urls = [f"dir:{self.root}/{name}-a", f"dir:{self.root}/{name}-b", f"sqlite:{self.root}/{name}-c/store"]
        stores = [x for url in d.urls for x in ("--store", url)]
        d.init(*stores, *more)
        return d

    def filled(self, *more):
        d = self.three(*more).start()
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("batch", "-", stdin=ROWS))
        self.ok(d.admin("save-state"))
        self.ok(d.kv("put", "t", "last", "one"))
        return d

    def provider(self, d, *arguments):
        return rig.run("provider", *arguments, "-c", d.server_yaml, "--passphrase-file", d.passphrase)

    def states(self, d):
        return [json.loads(line) for line in self.ok(self.provider(d, "status", "--json")).decode().splitlines()]

    def wait_current(self, d):
        end = time.monotonic() + rig.DEADLINE_S
        while not all(s["current"] for s in self.states(d)):
            self.assertLess(time.monotonic(), end, self.states(d))
            time.sleep(0.05)

    def segments(self, url):
        return sorted(pathlib.Path(url.split(":", 1)[1], "segments").iterdir())

    def flip(self, path):
        data = bytearray(path.read_bytes())
        for at in range(len(data) // 4, len(data), 512):
            data[at] ^= 0x20
        path.write_bytes(data)

    def test_init_says_what_the_numbers_are_good_for(self):
        d = self.deployment("d", init=False)
        stores = [x for n in "abc" for x in ("--store", f"dir:{self.root}/{n}")]
        out = self.ok(rig.run("init", "--dir", d.directory, "--passphrase-file", d.passphrase, *rig.CHEAP_KDF, *stores))
        self.assertIn(b"3 providers, a write counts on 2: serves without any 1 of them, opens without any 1", out)
        self.refused(rig.run("init", "--dir", self.root / "e", "--passphrase-file", d.passphrase, *stores[:2], *stores[:2]),
                     2, "twice")
        self.refused(rig.run("init", "--dir", self.root / "e", "--passphrase-file", d.passphrase, *stores,
                             "--write-quorum", "4"), 2, "write-quorum")

    def test_the_walkthrough_in_operating_md_does_what_it_says(self):
        text = (rig.SOURCE / "docs/operating.md").read_text()
        script = re.search(r"^## Several providers$.*?^```sh\n(.*?)^```$", text, flags=re.M | re.S)[1]
        d = self.deployment("d", init=False)  # for its passphrase
        for pattern, value in ((r"\bholdfast ", f"{rig.binary} "), (r"(?<=[: ])/(?=disk|elsewhere)", f"{self.root}/"),
                               (r"\bD\b", str(d.directory)), (r"\bF\b", str(d.passphrase)),
                               (r"init --dir", " ".join(["init", *rig.CHEAP_KDF, "--dir"]))):
            script = re.sub(pattern, value, script)
        with open(self.root / "out", "wb") as out:
            shell = subprocess.Popen(["bash", "-c", "set -euo pipefail\n" + script], stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=out, env=rig.environment(), start_new_session=True)
            try:
                code = shell.wait(rig.DEADLINE_S)
            finally:
                try:
                    os.killpg(shell.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        said = (self.root / "out").read_text()
        self.assertEqual(code, 0, said + script)
        for text in ("3 providers, a write counts on 2", "value3 providers", "1  current", "verified", "fresh to index"):
            self.assertIn(text, said)

    def test_killed_one_emptied_one_gone_everything_is_there(self):
        d = self.filled()
        rows = self.ok(d.kv("dump"))
        d.kill()
        shutil.rmtree(d.urls[0].split(":", 1)[1])  # the first one, from which everything is read first
        os.mkdir(d.urls[0].split(":", 1)[1])
        d.start()
        self.assertEqual(self.ok(d.kv("dump")), rows)
        self.wait_current(d)
        self.ok(d.kv("put", "t", "while", "repairing"))
        rows = self.ok(d.kv("dump"))
        d.stop()
        self.assertIn(b"verified", self.ok(d.verify("--require-fresh")))
        shutil.rmtree(self.root / "d-c")  # and one that is not even a provider any more
        d.start()
        self.assertIn("provider 3 does not answer", d.log())
        self.assertEqual(self.ok(d.kv("dump")), rows)
        self.ok(d.kv("put", "t", "without", "the third"))
        self.assertFalse(self.states(d)[2]["current"])
        rows = self.ok(d.kv("dump"))
        d.stop()
        self.assertIn(b"does not answer", d.verify().stderr)
        self.ok(self.provider(d, "repair"))
        self.assertTrue(all(s["current"] for s in self.states(d)))
        self.assertIn(b"verified", self.ok(d.verify("--require-fresh")))
        # Any two of them serve, and each of them alone is enough to restore from.
        for i, url in enumerate(d.urls):
            to = f"dir:{self.root}/restored-{i}"
            self.ok(rig.run("restore", "--from", url, "--to", to, "--passphrase-file", d.passphrase))
            e = self.deployment(f"e{i}", init=False)
            e.init("--adopt", "--store", to)
            e.start()
            self.assertEqual(self.ok(e.kv("dump")), rows, url)
            e.stop()

    def test_too_few_are_refused_and_nothing_is_changed(self):
        d = self.filled()
        d.stop()
        for name in ("d-a", "d-c"):
            os.rename(self.root / name, self.root / f"{name}-away")
        r = rig.run("serve", "-c", d.server_yaml, "--passphrase-file", d.passphrase)
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn(b"too few of the store's providers answer", r.stderr)
        for name in ("d-a", "d-c"):
            os.rename(self.root / f"{name}-away", self.root / name)
        d.start()
        self.ok(d.kv("get", "t", "last"), b"one")

    def test_a_liar_is_named_never_believed_and_repaired(self):
        d = self.filled()
        rows = self.ok(d.kv("dump"))
        d.stop()
        for path in self.segments(d.urls[0]):
            self.flip(path)
        r = d.verify()
        self.assertEqual(r.returncode, 3)
        self.assertIn(b"changed  provider 1: segments/", r.stdout)
        self.assertNotIn(b"provider 2", r.stdout)
        d.start()
        self.assertEqual(self.ok(d.kv("dump")), rows)
        self.ok(self.provider(d, "repair"))
        states = self.states(d)
        self.assertGreater(states[0]["bad_objects"], 0, states)
        self.assertGreater(states[0]["repaired"], 0, states)
        self.assertIn("kProviderLies", d.log())
        self.assertEqual(self.ok(d.kv("dump")), rows)
        self.assertIn(b"last index", self.ok(d.verify()))  # through the server
        d.stop()
        self.assertIn(b"verified", self.ok(d.verify()))

    def test_one_more_and_one_less(self):
        d = self.deployment("d").start()
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("batch", "-", stdin=ROWS))
        rows = self.ok(d.kv("dump"))
        more = [f"sqlite:{self.root}/second/store", f"dir:{self.root}/third"]
        self.refused(self.provider(d, "add", more[0]), 1, "stop the server")
        d.stop()
        for url in more:
            self.ok(self.provider(d, "add", url))
        d.start()
        self.assertEqual(len(self.states(d)), 3)
        self.assertEqual(self.ok(d.kv("dump")), rows)
        self.ok(d.kv("put", "t", "on", "three"))
        rows = self.ok(d.kv("dump"))
        d.kill()
        self.ok(self.provider(d, "remove", "1"))
        shutil.rmtree(d.store)
        d.start()
        self.assertEqual(self.ok(d.kv("dump")), rows)
        d.stop()
        self.ok(self.provider(d, "remove", more[0]))
        d.start()
        self.assertEqual(self.ok(d.kv("dump")), rows)
        d.stop()
        self.assertIn(b"verified", self.ok(d.verify("--require-fresh")))


if __name__ == "__main__":
    rig.main()
