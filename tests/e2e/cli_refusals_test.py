#!/usr/bin/python3
"""What the command line refuses: the exit code, one clear line, and nothing made or changed by accident."""
import json
import os
import shutil
import subprocess

import rig


def tree(path):
    return {str(p.relative_to(path)): (p.stat().st_size, p.read_bytes() if p.is_file() else None)
            for p in sorted(path.rglob("*"))}


class Usage(rig.TestCase):
    def test_wrong_usage_is_exit_2_with_one_line(self):
        for arguments in (["nonsense"], ["init"], ["kv", "put", "t"], ["serve"], ["init", "--dir"], ["verify"],
                          ["verify", "--store", "dir:x", "-c", "y"], ["kv", "get", "t", "k"], ["init", "--dir", "d", "--bad"],
                          ["kv", "put", "t", "k", "v", "--wait", "maybe"], ["restore", "--from", "dir:x"], []):
            with self.subTest(arguments=arguments):
                self.refused(rig.run(*arguments, cwd=self.root), 2)
        self.assertEqual(list(self.root.iterdir()), [])

    def test_every_command_has_help_with_an_example(self):
        for command in (["init"], ["serve"], ["verify"], ["restore"], ["passphrase"], ["admin"], ["admin", "save-state"],
                        ["admin", "status"], ["admin", "client"], ["admin", "client", "add"], ["admin", "client", "revoke"],
                        ["admin", "client", "list"], ["bench"], ["bench", "engine"], ["bench", "server"], ["kv"], ["kv", "table"], ["kv", "table", "create"],
                        ["kv", "table", "drop"], ["kv", "table", "list"],
                        *(["kv", c] for c in ("put", "get", "del", "scan", "cas", "batch", "load", "dump", "watch", "sync"))):
            with self.subTest(command=command):
                r = rig.run(*command, "--help")
                self.assertEqual((r.returncode, r.stderr), (0, b""))
                self.assertIn(b"Example:\n  holdfast " + " ".join(command[:1]).encode(), r.stdout)
        self.assertIn(b"holdfast 0.", self.ok(rig.run("--version")))

    def test_a_store_url_that_is_not_understood_is_wrong_usage(self):
        d = self.deployment(init=False)
        for url in ("nonsense", "ftp:/x", "dir:", "dir:/x?what=1"):
            with self.subTest(url=url):
                self.refused(rig.run("verify", "--store", url, "--passphrase-file", d.passphrase), 2, url)
        self.refused(rig.run("verify", "--store", "s3://b/p", "--passphrase-file", d.passphrase), 1, "credentials for the provider are missing")


class Passphrases(rig.TestCase):
    def test_RuleG2_a_wrong_passphrase_is_said_so_and_is_no_tampering(self):
        d = self.deployment()
        wrong = self.root / "wrong"
        wrong.touch(mode=0o600)
        wrong.write_text("another passphrase\n")
        before = tree(d.store)
        self.refused(rig.run("serve", "-c", d.server_yaml, "--passphrase-file", wrong), 1, "wrong passphrase")
        self.refused(rig.run("verify", "-c", d.server_yaml, "--passphrase-file", wrong), 1, "wrong passphrase")
        self.refused(rig.run("passphrase", "-c", d.server_yaml, "--passphrase-file", wrong, "--new-passphrase-file", wrong,
                             *rig.CHEAP_KDF), 1, "wrong passphrase")
        self.assertEqual(tree(d.store), before)

    def test_RuleI2_a_passphrase_file_that_others_can_read_is_refused(self):
        d = self.deployment()
        d.passphrase.chmod(0o644)
        for command in (["serve", "-c", d.server_yaml], ["verify", "-c", d.server_yaml],
                        ["init", "--dir", self.root / "new"],
                        ["restore", "--from", f"dir:{d.store}", "--to", f"dir:{self.root / 'to'}"]):
            with self.subTest(command=command):
                self.refused(rig.run(*command, "--passphrase-file", d.passphrase), 1, "readable by group or others")
        self.assertFalse((self.root / "new").exists())
        self.assertFalse((self.root / "to").exists())

    def test_no_terminal_and_no_file_is_refused_and_the_environment_is_heard(self):
        d = self.deployment()
        self.refused(rig.run("verify", "-c", d.server_yaml), 1, "no passphrase given")
        env = rig.environment() | {"HOLDFAST_PASSPHRASE_FILE": str(d.passphrase)}
        self.ok(rig.run("verify", "-c", d.server_yaml, env=env))
        env["HOLDFAST_PASSPHRASE_FILE"] = "/nonexistent"
        self.refused(rig.run("verify", "-c", d.server_yaml, env=env), 1, "/nonexistent", "not found")
        self.ok(rig.run("verify", "-c", d.server_yaml, "--passphrase-file", d.passphrase, env=env))

    def test_a_new_passphrase_opens_and_the_old_one_no_longer(self):
        d = self.deployment()
        new = self.root / "new"
        new.touch(mode=0o600)
        new.write_text("quite another passphrase 42")
        r = rig.run("passphrase", "-c", d.server_yaml, "--passphrase-file", d.passphrase, "--new-passphrase-file", new,
                    *rig.CHEAP_KDF)
        self.assertIn(b"passphrase changed", self.ok(r))
        self.refused(d.verify(), 1, "wrong passphrase")
        self.ok(rig.run("verify", "-c", d.server_yaml, "--passphrase-file", new))

    def test_passphrases_are_added_listed_and_removed_served_or_not(self):
        d = self.deployment()
        mine, yours = d.passphrase, self.root / "yours"
        yours.touch(mode=0o600)
        yours.write_text("quite another passphrase 42")

        def passphrase(*arguments):
            return rig.run("passphrase", "-c", d.server_yaml, *arguments)
        self.assertIn(b"added", self.ok(passphrase("--passphrase-file", mine, "--add", "--new-passphrase-file", yours, *rig.CHEAP_KDF)))
        self.assertEqual(len(self.ok(passphrase("--list")).splitlines()), 2)
        for each in (mine, yours):
            self.ok(rig.run("verify", "-c", d.server_yaml, "--passphrase-file", each))
        self.refused(passphrase("--passphrase-file", mine, "--remove", "1"), 2)
        self.refused(passphrase("--passphrase-file", mine, "--remove", "3"), 1, "not found")
        self.refused(passphrase("--passphrase-file", mine, "--add", "--remove", "2"), 2)
        self.refused(passphrase("--passphrase-file", mine, "--add", "--new-passphrase-file", yours), 1, "exists already")
        d.start()
        listed = [json.loads(line) for line in self.ok(passphrase("--list", "--json")).splitlines()]
        self.assertEqual([u["number"] for u in listed], [1, 2])
        self.assertIn(b"removed", self.ok(passphrase("--passphrase-file", mine, "--remove", "2")))
        d.stop()
        self.refused(rig.run("verify", "-c", d.server_yaml, "--passphrase-file", yours), 1, "wrong passphrase")
        self.ok(d.verify())

    def test_weak_passphrases_are_remarked_upon(self):
        weak = self.root / "weak"
        weak.touch(mode=0o600)
        weak.write_text("secret\n")
        r = rig.run("init", "--dir", self.root / "w", "--passphrase-file", weak, *rig.CHEAP_KDF)
        self.assertEqual(r.returncode, 0)
        self.assertIn(b"warning: weak passphrase", r.stderr)


class Configuration(rig.TestCase):
    def test_an_unknown_key_is_refused_by_its_name(self):
        d = self.deployment()
        text = d.server_yaml.read_text()
        d.server_yaml.write_text(text + "Sevrer:\n  Port: 1\n")
        self.refused(rig.run("serve", "-c", d.server_yaml, "--passphrase-file", d.passphrase), 1, "unknown key 'Sevrer'")
        d.server_yaml.write_text(text.replace("StateSavePeriod", "StateSavePeroid"))
        self.refused(rig.run("serve", "-c", d.server_yaml, "--passphrase-file", d.passphrase), 1,
                     "unknown key 'Service.StateSavePeroid'", str(d.server_yaml))
        d.client_yaml.write_text(d.client_yaml.read_text().replace("PortFile", "PortFlie"))
        self.refused(d.kv("get", "t", "k"), 1, "PortFlie", str(d.client_yaml))

    def test_a_configuration_that_cannot_be_read_is_named(self):
        d = self.deployment()
        missing = d.directory / "missing.yaml"
        self.refused(rig.run("serve", "-c", missing, "--passphrase-file", d.passphrase), 1, str(missing))
        self.refused(rig.run("kv", "-c", missing, "get", "t", "k"), 1, str(missing))
        d.server_yaml.write_text("Server: {Port: [")
        self.refused(rig.run("serve", "-c", d.server_yaml, "--passphrase-file", d.passphrase), 1, str(d.server_yaml))
        d.server_yaml.unlink()
        d.server_yaml.mkdir()
        self.refused(rig.run("serve", "-c", d.server_yaml, "--passphrase-file", d.passphrase), 1, str(d.server_yaml))

    def test_no_server_is_a_clear_answer(self):
        d = self.deployment()
        self.refused(d.kv("get", "t", "k"), 1, "server is unreachable")
        self.refused(d.admin("status"), 1, "server is unreachable")


class Stores(rig.TestCase):
    def test_an_absent_store_is_never_silently_created(self):
        d = self.deployment()
        shutil.move(d.store, self.root / "away")
        self.refused(rig.run("serve", "-c", d.server_yaml, "--passphrase-file", d.passphrase), 1, "no store here")
        self.assertFalse(d.store.exists())
        d.store.mkdir()
        self.refused(rig.run("serve", "-c", d.server_yaml, "--passphrase-file", d.passphrase), 1, "no store here")
        self.assertEqual(list(d.store.iterdir()), [])
        self.refused(d.verify(), 1, "no store here")
        self.refused(rig.run("init", "--adopt", "--dir", self.root / "a", "--store", f"dir:{d.store}", "--passphrase-file",
                             d.passphrase), 1, "no store here")
        self.assertFalse((self.root / "a").exists())
        self.assertEqual(list(d.store.iterdir()), [])

    def test_init_replaces_nothing(self):
        d = self.deployment()
        before = tree(d.directory)
        again = ["--passphrase-file", d.passphrase, *rig.CHEAP_KDF]
        self.refused(rig.run("init", "--dir", d.directory, *again), 1, "exists already")
        self.refused(rig.run("init", "--dir", self.root / "other", "--store", f"dir:{d.store}", *again), 1, "not empty")
        self.refused(rig.run("restore", "--from", f"dir:{d.store}", "--to", f"dir:{d.store}", "--passphrase-file",
                             d.passphrase), 1)
        self.assertEqual(tree(d.directory), before)

    def test_RuleC1_a_store_in_use_is_named_with_its_pid_and_has_one_server(self):
        d = self.deployment().start()
        pid = f"in use by pid {d.process.pid}"
        self.refused(rig.run("serve", "-c", d.server_yaml, "--passphrase-file", d.passphrase), 1, pid)
        self.refused(rig.run("verify", "--store", f"dir:{d.store}", "--passphrase-file", d.passphrase), 1, pid)
        self.refused(rig.run("restore", "--from", f"dir:{d.store}", "--to", f"dir:{self.root / 'to'}", "--passphrase-file",
                             d.passphrase), 1, pid)
        self.refused(rig.run("passphrase", "--store", f"dir:{d.store}", "--passphrase-file", d.passphrase,
                             "--new-passphrase-file", d.passphrase), 1, pid)
        # The one that serves has not been disturbed, and its port files are its own.
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("put", "t", "k", "v"))
        d.stop()
        self.ok(d.verify())

    def test_RuleC1_verify_and_restore_write_nothing_into_what_they_read(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t"))
        d.stop()
        before = tree(d.store)
        self.ok(d.verify())
        self.ok(rig.run("restore", "--from", f"dir:{d.store}", "--to", f"dir:{self.root / 'to'}", "--passphrase-file",
                        d.passphrase))
        self.assertEqual(tree(d.store), before)

    def test_two_stores_side_by_side_do_not_see_each_other(self):
        a, b = self.deployment("a").start(), self.deployment("b").start()
        for d, value in ((a, "of a"), (b, "of b")):
            self.ok(d.kv("table", "create", "t"))
            self.ok(d.kv("put", "t", "k", value))
        self.ok(a.kv("get", "t", "k"), b"of a")
        self.ok(b.kv("get", "t", "k"), b"of b")
        # A client of one store does not get into the other: neither side accepts the other's certificate.
        b.client_yaml.write_text(b.client_yaml.read_text().replace("temp/server-user.port", str(a.directory / "temp/server-user.port")))
        self.assertEqual(b.kv("get", "t", "k").returncode, 1)
        a.stop()
        b.stop()

    def test_RuleI2_a_read_only_directory_is_refused_and_left_alone(self):
        if os.geteuid() == 0 and subprocess.run(["setpriv", "--version"], capture_output=True, check=False).returncode != 0:
            self.skipTest("root may write everywhere, and there is no setpriv")
        d = self.deployment()
        for path in [d.directory, *d.directory.rglob("*"), self.root, d.passphrase]:
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)
        d.store.chmod(0o555)
        for path in d.store.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        command = [str(rig.binary), "serve", "-c", str(d.server_yaml), "--passphrase-file", str(d.passphrase)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        before = tree(d.store)
        r = subprocess.run(command, capture_output=True, timeout=rig.DEADLINE_S, env=rig.environment(), check=False,
                           stdin=subprocess.DEVNULL)
        self.refused(r, 1)
        self.assertEqual(tree(d.store), before)


if __name__ == "__main__":
    rig.main()
