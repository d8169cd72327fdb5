#!/usr/bin/python3
"""A data directory on a file system that is mounted read-only (root is refused too), and who has the store already."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import mount_namespace  # noqa: E402
import rig  # noqa: E402


def contents(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


class ReadOnly(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.mounted = []
        self.d = self.deployment().start()
        self.ok(self.d.kv("table", "create", "t"))
        self.ok(self.d.kv("put", "t", "k", "v"))

    def tearDown(self):
        for d in self.deployments:
            d.kill()
        for path in self.mounted:
            mount_namespace.unmount(path)
        super().tearDown()

    def make_read_only(self, path):
        mount_namespace.mount("--bind", path, path)
        self.mounted.append(path)
        mount_namespace.mount("-o", "remount,ro,bind", path)

    def serve(self):
        return rig.run("serve", "-c", self.d.server_yaml, "--passphrase-file", self.d.passphrase)

    def refused_unchanged_and_readable(self, read_only):
        before = contents(self.d.store)
        self.make_read_only(read_only)
        self.refused(self.serve(), 1, str(self.d.store), "read-only")
        self.ok(self.d.verify("--require-fresh"))
        # What only reads, works: a copy elsewhere.
        to = self.root / "copy"
        self.ok(rig.run("restore", "--from", f"dir:{self.d.store}", "--to", f"dir:{to}", "--passphrase-file", self.d.passphrase))
        self.assertEqual(contents(self.d.store), before)
        mount_namespace.unmount(self.mounted.pop())
        self.d.start()
        self.ok(self.d.kv("get", "t", "k"), b"v")

    def test_RuleI2_serve_refuses_a_read_only_mount_in_one_line_and_verify_reads_it(self):
        self.d.stop()
        self.refused_unchanged_and_readable(self.d.store)

    def test_RuleI2_the_same_after_a_kill(self):
        self.d.kill()
        self.refused_unchanged_and_readable(self.d.store)

    def test_RuleI2_the_same_when_the_whole_deployment_is_read_only(self):
        self.d.stop()
        self.refused_unchanged_and_readable(self.d.directory)

    def test_RuleI2_a_directory_for_temporary_files_that_is_read_only_is_named(self):
        self.d.stop()
        before = contents(self.d.store)
        self.make_read_only(self.d.directory / "temp")
        self.refused(self.serve(), 1, str(self.d.directory / "temp"))
        self.assertEqual(contents(self.d.store), before)

    def test_RuleC1_the_lock_holds_whatever_name_the_directory_is_reached_by(self):
        other_name = self.root / "other-name"
        other_name.mkdir()
        mount_namespace.mount("--bind", self.d.store, other_name)
        self.mounted.append(other_name)
        (self.root / "link").symlink_to(self.d.store)
        for path in (other_name, self.root / "link"):
            yaml = self.d.directory / f"{path.name}.yaml"
            temp = self.root / f"{path.name}.temp"
            yaml.write_text(f"Service:\n  DataStore: 'dir:{path}'\n  TemporaryPath: {temp}\n")
            with self.subTest(path=path):
                self.refused(rig.run("serve", "-c", yaml, "--passphrase-file", self.d.passphrase), 1,
                             f"in use by pid {self.d.process.pid}")
                self.refused(rig.run("verify", "--store", f"dir:{path}", "--passphrase-file", self.d.passphrase), 1,
                             f"in use by pid {self.d.process.pid}")
        self.ok(self.d.kv("put", "t", "k", "still here"))
        self.d.kill()  # no lock outlives its owner
        yaml = self.d.directory / "other-name.yaml"
        self.ok(rig.run("verify", "-c", yaml, "--passphrase-file", self.d.passphrase))
        self.d.start()
        self.ok(self.d.kv("get", "t", "k"), b"still here")


if __name__ == "__main__":
    mount_namespace.enter()
    rig.main()
