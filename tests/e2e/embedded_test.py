#!/usr/bin/python3
"""libholdfast as others get it: installed, built against from outside the tree, killed, opened again.

    tests/e2e/embedded_test.py --binary build/release/bin/holdfast --build build/release [unittest arguments]
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import rig

HERE = pathlib.Path(__file__).resolve().parent
if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30:
    tempfile.tempdir = "/dev/shm"  # a kill leaves there what it leaves on a disk, and a sync costs nothing
KILLS = 3
ROWS_BEFORE_KILL = 300
build = rig.SOURCE / "build/release"


def ran(*arguments, **more):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=120, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Embedded(rig.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-embedded-"))
        cls.addClassCleanup(shutil.rmtree, cls.top, ignore_errors=True)
        cls.prefix = cls.top / "installed"
        ran("cmake", "--install", build, "--prefix", cls.prefix, "--component", "embedded")
        # The example as it was installed, by its own CMakeLists; the worker with pkg-config: both ways work.
        cls.example = cls.top / "example"
        source = cls.prefix / "share/doc/holdfast/examples/embedded"
        ran("cmake", "-S", source, "-B", cls.example, f"-DCMAKE_PREFIX_PATH={cls.prefix}", cwd=cls.top)
        ran("cmake", "--build", cls.example, cwd=cls.top)
        cls.library = next(cls.prefix.rglob("libholdfast.so.0"))
        flags = ran("pkg-config", "--cflags", "--libs", "holdfast",
                    env={**os.environ, "PKG_CONFIG_PATH": str(cls.library.parent / "pkgconfig")}).split()
        cls.worker = cls.top / "worker"
        ran("c++", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-o", cls.worker, HERE / "embedded/worker.cc",
            *flags, f"-Wl,-rpath,{cls.library.parent}", "-pthread")

    def work(self, *arguments):
        return subprocess.run([self.worker, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              check=False)

    def refused_with(self, done, name):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.splitlines()[-1], name)

    def test_the_package_is_one_header_and_one_library_that_shows_its_interface_alone(self):
        self.assertEqual([p.name for p in self.prefix.rglob("*.h")], ["holdfast.h"])
        names = [line.split(maxsplit=2)[2] for line in ran("nm", "-DC", "--defined-only", self.library).splitlines()]
        shown = [n for n in names if n != "HOLDFAST_0"]
        self.assertGreater(len(shown), 40)
        self.assertEqual([n for n in shown if not n.startswith("holdfast::embedded::")], [])
        needed = ran("readelf", "-d", self.library)
        for library in ("grpc", "protobuf", "absl", "libssl"):
            self.assertNotIn(library, needed)

    def test_the_example_does_what_it_says_and_again(self):
        store = self.root / "example.store"
        self.assertEqual(ran(self.example / "example", store, "secret"), "left 11\nright 1\n")
        self.assertEqual(ran(self.example / "example", store, "secret"), "left 10\nright 2\n")
        done = subprocess.run([self.example / "example", store, "wrong"], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (1, "open: wrong passphrase (kWrongPassphrase)\n"))

    def kill_in_the_middle(self, url, acknowledged):
        writer = subprocess.Popen([self.worker, "write", url, rig.PASSPHRASE], stdout=subprocess.PIPE)
        self.addCleanup(writer.wait)
        self.addCleanup(writer.kill)
        for _ in range(ROWS_BEFORE_KILL):
            line = writer.stdout.readline()
            self.assertTrue(line.endswith(b"\n"), "the writer has ended by itself")
            acknowledged.append(line)
        writer.send_signal(signal.SIGKILL)
        # What was said before the kill arrived counts too.
        acknowledged += [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        writer.stdout.close()
        self.assertEqual(writer.wait(), -signal.SIGKILL)

    def test_nothing_that_was_acknowledged_is_lost_by_a_kill_and_no_transaction_is_torn(self):
        for url in (f"{self.root}/one.store", f"dir:{self.root}/directory"):
            acknowledged = []
            for _ in range(KILLS):
                self.kill_in_the_middle(url, acknowledged)
                done = self.work("check", url, rig.PASSPHRASE)
                self.assertEqual(done.returncode, 0, done.stderr)
                lines = done.stdout.splitlines()
                self.assertEqual(lines[-1], "sum right")
                there = set(lines)
                lost = [a for a in acknowledged if "{0}/{1} {1}".format(*a.decode().split()) not in there]
                self.assertEqual(lost, [], url)
        # The same store for the command line.
        passphrase = self.root / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text(rig.PASSPHRASE + "\n")
        self.ok(rig.run("verify", "--store", f"sqlite:{self.root}/one.store", "--passphrase-file", passphrase))

    def test_a_wrong_passphrase_has_its_code(self):
        store = self.root / "s"
        self.assertEqual(self.work("check", store, rig.PASSPHRASE).returncode, 0)
        self.refused_with(self.work("check", store, "wrong"), "kWrongPassphrase")

    def test_a_second_opener_in_this_or_another_process_is_told_that_the_store_is_in_use(self):
        for url in (f"{self.root}/held.store", f"dir:{self.root}/held"):
            holder = subprocess.Popen([self.worker, "hold", url, rig.PASSPHRASE], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
            self.addCleanup(holder.wait)
            self.addCleanup(holder.kill)
            self.assertEqual(holder.stdout.readline(), "held kInUse\n")
            self.refused_with(self.work("check", url, rig.PASSPHRASE), "kInUse")
            holder.stdin.close()
            self.assertEqual(holder.wait(timeout=60), 0)
            holder.stdout.close()
            self.assertIn("held until the end", self.work("check", url, rig.PASSPHRASE).stdout)

    def test_three_stores_at_once_in_one_process(self):
        urls = [f"{self.root}/1.store", f"dir:{self.root}/2", "memory:"]
        done = self.work("stores", rig.PASSPHRASE, *urls)
        self.assertEqual((done.returncode, done.stdout), (0, "used 3\n"), done.stderr)


if __name__ == "__main__":
    if "--build" in sys.argv:
        at = sys.argv.index("--build")
        build = pathlib.Path(sys.argv[at + 1]).resolve()
        del sys.argv[at:at + 2]
    rig.main()
