#!/usr/bin/python3
"""The core's process from outside: what it may call, what of it the host can see, how it ends, what it costs when idle."""
import os
import pathlib
import re
import resource
import signal
import subprocess
import threading
import time
import unittest

import rig

TABLE = "confinedtable-Hs72ke"
KEY = "confinedkey-Xw20pd"
VALUE = "confinedvalue-Bn63ro"
PASSPHRASE = "confinedpassphrase-Ty48qa of the store"
TEXTS = (TABLE, KEY, VALUE, PASSPHRASE)
CALLS_ALLOWED = rig.SOURCE / "src/box/filter.cc"
# Whatever the table says: none of these, ever.
CALLS_NEVER = {"socket", "connect", "bind", "listen", "accept", "accept4", "execve", "execveat", "fork", "vfork", "ptrace",
               "process_vm_readv", "process_vm_writev", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mount",
               "pidfd_getfd", "memfd_create", "io_uring_setup", "bpf", "keyctl", "ioctl", "kill"}
IDLE_SECONDS = 10
IDLE_SHARE_MAX = 0.01
ROOT = os.geteuid() == 0


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def core_of(deployment):
    found = [p for p in children(deployment.process.pid)
             if pathlib.Path(f"/proc/{p}/comm").read_text().startswith("holdfast-core")]
    assert len(found) == 1, found
    return found[0]


def gone(pid, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid):
    """Everything that process can read of its own memory, the rings' mapping included, piece by piece."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            bounds, rights = line.split()[:2]
            if "r" not in rights or "[vvar" in line or "[vsyscall]" in line:
                continue
            low, high = (int(x, 16) for x in bounds.split("-"))
            tail = b""
            for at in range(low, high, 4 << 20):
                try:
                    mem.seek(at)
                    piece = mem.read(min(4 << 20, high - at))
                except (OSError, ValueError, OverflowError):
                    break
                yield line.strip(), tail + piece
                tail = piece[-256:]


def search(pid, texts=TEXTS):
    hits, read = {}, 0
    patterns = {t: (t.encode(), t.encode("utf-16-le")) for t in texts}
    for where, piece in memory_of(pid):
        read += len(piece)
        for text, forms in patterns.items():
            if any(form in piece for form in forms):
                hits.setdefault(text, where)
    return hits, read


class Confinement(rig.TestCase):
    def marked(self):
        d = self.deployment(init=False)
        d.passphrase.write_text(PASSPHRASE)
        return d.init()

    def work(self, d, n=20):
        self.ok(d.kv("put", TABLE, KEY, VALUE))
        lines = "".join(f"put\t{TABLE}\t{KEY}{i}\t{VALUE}{i}\n" for i in range(n))
        self.ok(d.kv("batch", "-", stdin=lines.encode()))
        self.ok(d.kv("get", TABLE, KEY), VALUE.encode())
        self.ok(d.kv("scan", TABLE))

    def test_a_full_session_calls_only_what_the_table_allows(self):
        d = self.marked()
        traces = self.root / "traces"
        traces.mkdir()
        argv = ["strace", "-ff", "-qq", "-o", str(traces / "t"), str(rig.binary), "serve", "-c", str(d.server_yaml),
                "--passphrase-file", str(d.passphrase)]
        with open(d.log_path, "ab") as log:
            d.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=rig.environment(),
                                         start_new_session=True)
        d.wait_ready()
        self.ok(d.kv("table", "create", TABLE))
        self.work(d)
        self.ok(d.kv("put", TABLE, "large", "-", stdin=b"x" * 3_000_000))
        self.ok(d.admin("save-state"))
        self.ok(d.admin("client", "add", "someone", "--out", self.root / "out"))
        self.ok(d.verify())
        self.ok(d.admin("status", "--json"))
        server = [p for p in children(d.process.pid)][0]
        os.kill(server, signal.SIGTERM)
        self.assertEqual(d.process.wait(rig.DEADLINE_S), 0, d.log())
        d.process = None

        allowed = set(re.findall(r'^    \{"(\w+)",', CALLS_ALLOWED.read_text(), re.M))
        self.assertGreater(len(allowed), 30)
        text = {p: p.read_text(errors="replace") for p in traces.iterdir()}
        core = [p for p, t in text.items() if re.search(r'^execve\("[^"]*/holdfast-core", ', t, re.M)]
        main = [p for p in core if re.search(r"^seccomp\(|SECCOMP_SET_MODE_FILTER", text[p], re.M)]
        self.assertEqual(len(main), 1, core)
        # The main thread until the filter, then it and every thread that it or its threads made.
        installed = [m.end() for m in re.finditer(r"^seccomp\(SECCOMP_SET_MODE_FILTER.* = 0$", text[main[0]], re.M)]
        self.assertTrue(installed)
        behind = [text[main[0]][installed[-1]:]]
        todo, seen = [text[main[0]]], set()
        while todo:
            for tid in re.findall(r"^clone\(.*CLONE_THREAD.*\) = (\d+)$", todo.pop(), re.M):
                path = traces / f"t.{tid}"
                if path in text and path not in seen:
                    seen.add(path)
                    behind.append(text[path])
                    todo.append(text[path])
        self.assertGreater(len(behind), 8, "the core's threads were not followed: the test proves nothing")
        called = {}
        for trace in behind:
            for line, name in re.findall(r"^((\w+)\(.*)$", trace, re.M):
                called.setdefault(name, line)
                if name in ("open", "openat", "openat2"):
                    self.assertRegex(line, r"= -1 (EPERM|ENOENT|EACCES)|<unfinished", "a file was opened")
                if name == "socketpair":
                    self.assertIn("AF_UNIX", line)
                if name in ("mmap", "mprotect"):
                    self.assertNotIn("PROT_EXEC", line)
        self.assertEqual(set(called) - allowed, set(), {n: called[n] for n in set(called) - allowed})
        self.assertEqual(set(called) & CALLS_NEVER, set())
        for must in ("recvmsg", "sendmsg", "futex", "poll", "write"):
            self.assertIn(must, called, "the session that was traced did nothing")

    @unittest.skipUnless(ROOT, "reading the memory of a process that is not dumpable needs root")
    def test_planted_texts_are_in_no_byte_of_the_host_nor_of_the_rings(self):
        d = self.marked().start()
        self.ok(d.kv("table", "create", TABLE))
        done, failed = threading.Event(), []

        def traffic():
            while not done.is_set():
                try:
                    self.work(d, 200)
                except AssertionError as e:
                    failed.append(e)
                    return

        worker = threading.Thread(target=traffic)
        worker.start()
        try:
            host, core = d.process.pid, core_of(d)
            mapped = pathlib.Path(f"/proc/{host}/maps").read_text()
            self.assertIn("holdfast-channel", mapped, "the rings are not where they are looked for")
            for _ in range(3):
                hits, read = search(host)
                self.assertEqual(hits, {}, "in the host's memory")
                self.assertGreater(read, 10 << 20)
            inside, _ = search(core)
            self.assertIn(VALUE, inside, "not even the core holds it: the search proves nothing")
        finally:
            done.set()
            worker.join()
        self.assertEqual(failed, [])
        self.ok(d.admin("save-state"))
        self.assertEqual(search(d.process.pid)[0], {})
        d.stop()

    def test_neither_process_leaves_a_core_file_nor_a_marker_when_it_aborts(self):
        for victim in ("core", "host"):
            d = self.deployment("of-" + victim, init=False)
            d.passphrase.write_text(PASSPHRASE)
            d.init()
            old = resource.getrlimit(resource.RLIMIT_CORE)
            here = os.getcwd()
            os.chdir(self.root)  # where a plain core_pattern would put it
            try:
                resource.setrlimit(resource.RLIMIT_CORE, (old[1], old[1]))
                d.start()
            finally:
                os.chdir(here)
                resource.setrlimit(resource.RLIMIT_CORE, old)
            self.ok(d.kv("table", "create", TABLE))
            self.work(d)
            core = core_of(d)
            os.kill(core if victim == "core" else d.process.pid, signal.SIGABRT)
            d.process.wait(rig.DEADLINE_S)
            d.process = None
            self.assertTrue(gone(core, 5))
            for path in self.root.rglob("*"):
                if not path.is_file() or path == d.passphrase:
                    continue
                data = path.read_bytes()
                self.assertFalse(data.startswith(b"\x7fELF"), f"a core file: {path}")
                for text in TEXTS:
                    self.assertNotIn(text.encode(), data, path)
            d.start()
            self.ok(d.kv("get", TABLE, KEY), VALUE.encode())
            d.stop()

    def test_the_core_ends_with_the_host_and_the_host_with_the_core(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("put", "t", "k", "v"))
        core = core_of(d)
        os.kill(core, signal.SIGKILL)
        self.assertEqual(d.process.wait(10), 1)
        d.process = None
        self.assertIn("killed by signal 9", d.log())
        self.assertFalse((d.directory / "temp/server-user.port").exists())
        d.start()
        self.ok(d.kv("get", "t", "k"), b"v")
        core = core_of(d)
        d.kill()
        self.assertTrue(gone(core, 5), "the core has outlived its host")
        d.start()
        self.ok(d.kv("get", "t", "k"), b"v")
        d.stop()

    def test_a_missing_program_is_one_clear_line(self):
        d = self.deployment()
        alone = self.root / "alone"
        alone.mkdir()
        (alone / "holdfast").hardlink_to(rig.binary) if rig.binary.stat().st_dev == alone.stat().st_dev else \
            (alone / "holdfast").write_bytes(rig.binary.read_bytes())
        (alone / "holdfast").chmod(0o755)
        r = subprocess.run([str(alone / "holdfast"), "serve", "-c", str(d.server_yaml), "--passphrase-file", str(d.passphrase)],
                           capture_output=True, env=rig.environment(), timeout=rig.DEADLINE_S, check=False)
        self.refused(r, 1, "holdfast-core", "cannot be started")
        r = subprocess.run([str(rig.binary.parent / "holdfast-core")], capture_output=True, timeout=rig.DEADLINE_S, check=False)
        self.assertEqual(r.returncode, 2)
        self.assertIn(b"is started by holdfast serve", r.stderr)

    def test_what_confines_the_core_is_what_the_kernel_says(self):
        d = self.deployment().start()
        core = core_of(d)
        status = dict(re.findall(r"^(\w+):\s+(.*)$", pathlib.Path(f"/proc/{core}/status").read_text(), re.M))
        self.assertEqual(status["Seccomp"], "2")
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(int(status["CapEff"], 16), 0)
        self.assertEqual(int(status["CapBnd"], 16), 0)
        for tid in os.listdir(f"/proc/{core}/task"):
            text = pathlib.Path(f"/proc/{core}/task/{tid}/status").read_text()
            self.assertIn("Seccomp:\t2", text, "a thread without the filter")
        if ROOT:
            limits = pathlib.Path(f"/proc/{core}/limits").read_text()
            self.assertRegex(limits, r"Max core file size\s+0\s+0")
            self.assertEqual(os.listdir(f"/proc/{core}/root"), [])
            self.assertEqual(pathlib.Path(f"/proc/{core}/environ").read_bytes(), b"")
            for name in ("net", "mnt", "ipc", "uts"):
                self.assertNotEqual(os.readlink(f"/proc/{core}/ns/{name}"), os.readlink(f"/proc/{d.process.pid}/ns/{name}"))
            for fd in os.listdir(f"/proc/{core}/fd"):
                if int(fd) > 2:
                    self.assertRegex(os.readlink(f"/proc/{core}/fd/{fd}"), r"^(socket:|pipe:|anon_inode:\[event|/dev/null)")
        d.stop()

    def test_in_process_is_possible_and_says_so(self):
        d = self.deployment().start("--core", "in-process")
        self.assertEqual(children(d.process.pid), [])
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("put", "t", "k", "v"))
        self.ok(d.kv("get", "t", "k"), b"v")
        d.stop()

    def test_an_idle_server_uses_less_than_a_hundredth_of_a_core(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("put", "t", "k", "v"))
        pids = (d.process.pid, core_of(d))
        time.sleep(1)  # the connection's end, not part of idling
        before, began = sum(map(processor_seconds, pids)), time.monotonic()
        time.sleep(IDLE_SECONDS)
        used, passed = sum(map(processor_seconds, pids)) - before, time.monotonic() - began
        self.assertLess(used / passed, IDLE_SHARE_MAX, f"{used:.2f} s of processor time in {passed:.1f} s")
        d.stop()


if __name__ == "__main__":
    rig.main()
