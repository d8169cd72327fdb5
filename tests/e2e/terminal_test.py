#!/usr/bin/python3
"""What people see on a terminal: prompts without echo, a passphrase made for them, a progress bar on stderr only there."""
import os
import pty
import re
import select
import time

import rig


class Terminal:
    """A process with a terminal of its own; the test plays the person."""

    def __init__(self, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(str(rig.binary), [str(rig.binary), *map(str, arguments)], rig.environment())
        self.seen = b""

    def read_until(self, text, timeout=rig.DEADLINE_S):
        end = time.monotonic() + timeout
        while text not in self.seen:
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            try:
                block = os.read(self.fd, 65536)
            except OSError:  # the other side is closed
                block = b""
            if not block:
                raise AssertionError(f"ended without {text!r}: {self.seen!r}")
            self.seen += block

    def type(self, text):
        os.write(self.fd, text.encode() + b"\n")

    def end(self):
        end = time.monotonic() + rig.DEADLINE_S
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    block = os.read(self.fd, 65536)
                except OSError:
                    block = b""
                self.seen += block
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        raise AssertionError(f"did not end: {self.seen!r}")


class Prompts(rig.TestCase):
    def test_init_makes_a_passphrase_on_request_and_it_opens_the_store(self):
        t = Terminal("init", "--dir", self.root / "d", *rig.CHEAP_KDF)
        t.read_until(b"New passphrase")
        t.type("")
        t.read_until(b"The same again")
        made = re.search(rb"\s((?:[a-z]{5}-){5}[a-z]{5})\s", t.seen).group(1).decode()
        t.type(made)
        self.assertEqual(t.end(), 0, t.seen)
        t = Terminal("verify", "-c", self.root / "d/server.yaml")
        t.read_until(b"Passphrase: ")
        t.type(made)
        self.assertEqual(t.end(), 0, t.seen)
        self.assertNotIn(made.encode(), t.seen, "the passphrase was echoed")
        self.assertIn(b"verified", t.seen)

    def test_two_different_passphrases_make_no_store(self):
        t = Terminal("init", "--dir", self.root / "d", *rig.CHEAP_KDF)
        t.read_until(b"New passphrase")
        t.type("first passphrase 123")
        t.read_until(b"The same again")
        t.type("second passphrase 123")
        self.assertEqual(t.end(), 1, t.seen)
        self.assertIn(b"differ", t.seen)
        self.assertFalse((self.root / "d").exists())

    def test_a_weak_passphrase_is_remarked_upon_and_a_wrong_one_refused(self):
        t = Terminal("init", "--dir", self.root / "d", *rig.CHEAP_KDF)
        t.read_until(b"New passphrase")
        t.type("secret")
        t.read_until(b"weak passphrase")
        t.read_until(b"The same again")
        t.type("secret")
        self.assertEqual(t.end(), 0, t.seen)
        t = Terminal("serve", "-c", self.root / "d/server.yaml")
        t.read_until(b"Passphrase: ")
        t.type("other")
        self.assertEqual(t.end(), 1, t.seen)
        self.assertIn(b"wrong passphrase", t.seen)

    def test_long_work_has_a_bar_on_a_terminal_and_none_elsewhere(self):
        d = self.deployment().start()
        rows = self.root / "rows.tsv"
        rows.write_text("".join(f"key {i}\tvalue {i}\n" for i in range(150_000)))
        t = Terminal("kv", "-c", d.client_yaml, "load", "on", rows, "--create")
        self.assertEqual(t.end(), 0, t.seen)
        self.assertIn(b"[####", t.seen)
        self.assertIn(b"150,000 of 150,000", t.seen)
        self.ok(d.kv("load", "off", rows, "--create"), b"loaded 150000 records\n")


if __name__ == "__main__":
    rig.main()
