#!/usr/bin/python3
"""Remote providers with the real binary: s3:, postgres:, dynamodb:, azure-table:, firestore:, webhdfs:. Made, served, killed, verified,
restored elsewhere; damaged behind the provider's back; and nothing secret in what the programs say."""
import base64
import os
import pathlib
import sys

import rig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "providers"))
import firestore_stub  # noqa: E402
import s3_stub  # noqa: E402
import servers  # noqa: E402
import webhdfs_stub  # noqa: E402
from stub import Faults  # noqa: E402

BIG = base64.b64encode(bytes(range(256)) * 3000)  # segments and frames of several parts
STUB_ENV = {"AWS_ACCESS_KEY_ID": "STUBKEY", "AWS_SECRET_ACCESS_KEY": s3_stub.KEYS["STUBKEY"]}
ALONE = "&single-writer=true"


class Remote(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.forget_accounts()

    def walk(self, url, other_url, environment, secrets=()):
        """The whole life of a store at `url`, and its copy at `other_url`."""
        os.environ.update(environment)
        d = self.deployment(init=False)
        d.url = url
        d.init("--store", url)
        d.start()
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("batch", "-", stdin="".join(f"put\tt\tkey {i}\tvalue {i}\n" for i in range(2000)).encode()))
        self.ok(d.kv("put", "t", "big", "-", stdin=BIG))
        self.ok(d.admin("save-state"))
        self.ok(d.kv("put", "t", "last", "one"))
        d.kill()
        self.assertIn(b"fresh to index", self.ok(d.verify("--require-fresh")))
        d.start()
        self.ok(d.kv("get", "t", "last"), b"one")
        self.ok(d.kv("get", "t", "big"), BIG)
        rows = self.ok(d.kv("dump"))
        self.ok(d.verify())  # served
        d.stop()
        passphrase = ["--passphrase-file", d.passphrase]
        self.refused(rig.run("init", "--dir", self.root / "other", "--store", url, *passphrase, *rig.CHEAP_KDF), 1, "not empty")
        there = f"dir:{self.root}/there"
        self.ok(rig.run("restore", "--from", url, "--to", there, *passphrase))
        self.ok(rig.run("restore", "--from", there, "--to", other_url, "--anchor", d.directory / "anchor", "--require-fresh", *passphrase))
        n = self.deployment("n", init=False)
        self.ok(rig.run("init", "--adopt", "--dir", n.directory, "--store", other_url, *passphrase))
        n.start()
        self.assertEqual(self.ok(n.kv("dump")), rows)
        n.stop()
        said = d.log() + n.log() + d.server_yaml.read_text()
        for secret in [*secrets, *(v for k, v in environment.items() if "SECRET" in k or "KEY" in k.replace("KEY_ID", "") or "TOKEN" in k)]:
            self.assertNotIn(secret, said)
        return d

    def test_s3_with_conditions_and_signatures_checked(self):
        with s3_stub.S3Stub() as s:
            d = self.walk(f"s3://hf/one?endpoint={s.url}", f"s3://hf/two/deep?endpoint={s.url}", STUB_ENV)
            self.assertEqual(s.refused, 0)
            # A byte that the provider changed is named, and no value is wrong.
            key = max((k for k in s.objects if k.startswith("one/segments/")), key=lambda k: len(s.objects[k][0]))
            body, etag, metadata = s.objects[key]
            s.objects[key] = (body[:len(body) // 2] + bytes([body[len(body) // 2] ^ 1]) + body[len(body) // 2 + 1:], etag, metadata)
            self.assertEqual(d.verify().returncode, 3)
            del s.objects[key]
            self.assertEqual(d.verify().returncode, 3)

    def test_s3_that_is_rough_serves_on_and_one_that_is_gone_is_said_to_be(self):
        with s3_stub.S3Stub(faults=Faults(unavailable=23, lost=29, dropped=31, short=37)) as s:
            d = self.walk(f"s3://hf/one?endpoint={s.url}", f"s3://hf/two?endpoint={s.url}", STUB_ENV)
        self.refused(d.verify(), 1, "provider is unreachable")

    def test_s3_without_conditions_as_s3rver(self):
        with servers.S3rver() as s:
            self.walk(f"s3://hf/one?endpoint={s.url}{ALONE}", f"s3://hf/two?endpoint={s.url}{ALONE}", s.environment)

    def test_postgres(self):
        with servers.Postgres() as s:
            d = self.walk(f"{s.url}?table=one", f"postgres://{s.user}@:{s.port}/postgres?host={s.root}&table=two", {})
            passphrase = ["--passphrase-file", d.passphrase]
            d.start()
            self.refused(rig.run("serve", "-c", d.server_yaml, *passphrase), 1, "in use")
            self.refused(rig.run("verify", "--store", d.url, *passphrase), 1, "in use")
            d.kill()
            s.restart()
            d.start()
            self.ok(d.kv("get", "t", "last"), b"one")
            d.stop()

    def test_dynamodb(self):
        with servers.Dynalite() as s:
            self.walk(f"dynamodb://one?endpoint={s.url}", f"dynamodb://two?endpoint={s.url}{ALONE}", s.environment)

    def test_azure_table(self):
        with servers.Azurite() as s:
            at = f"azure-table://{s.account}/%s?endpoint={s.url}"
            self.walk(at % "one", at % "two", s.environment)

    def test_firestore(self):
        with firestore_stub.FirestoreStub() as s:
            at = f"firestore://project/%s?endpoint={s.url}"
            self.walk(at % "one", at % "two", {"FIRESTORE_ACCESS_TOKEN": firestore_stub.TOKEN})

    def test_webhdfs(self):
        with webhdfs_stub.WebhdfsStub(user="hf") as s:
            at = f"webhdfs://127.0.0.1:{s.port}/%s?user=hf{ALONE}"
            self.walk(at % "one", at % "stores/two", {})

    def test_credentials_are_needed_and_a_file_that_others_may_read_is_refused(self):
        d = self.deployment(init=False)
        init = ["init", "--dir", d.directory, "--passphrase-file", d.passphrase, *rig.CHEAP_KDF, "--store"]
        at = "s3://hf/one?endpoint=http://127.0.0.1:1"
        self.refused(rig.run(*init, at), 1, "credentials for the provider are missing")
        keys = self.root / "keys"
        keys.write_text("aws_access_key_id = a\naws_secret_access_key = very-secret-thing\n")
        keys.chmod(0o640)
        self.refused(rig.run(*init, f"{at}&credentials={keys}"), 1, "readable by group or others")
        keys.chmod(0o600)
        r = rig.run(*init, f"{at}&credentials={keys}")
        self.refused(r, 1, "provider is unreachable")
        self.assertNotIn(b"very-secret-thing", r.stderr + r.stdout)


if __name__ == "__main__":
    rig.main()
