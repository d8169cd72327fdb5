#!/usr/bin/python3
"""s3: against s3rver (foreign, knows no conditions) and a strict stub (checks signatures, keeps conditions, fails on request).

    python3 tests/providers/s3_test.py --conformance build/release/bin/remote_conformance [unittest arguments]
"""
import os
import pathlib
import ssl
import subprocess
import unittest

import conformance
import servers
from s3_stub import KEYS, S3Stub
from stub import Faults

STUB_ENV = {"AWS_ACCESS_KEY_ID": "STUBKEY", "AWS_SECRET_ACCESS_KEY": KEYS["STUBKEY"]}


class S3(conformance.TestCase):
    def url(self, server, more=""):
        return f"s3://hf/store/{{}}?endpoint={server.url}{more}"

    def test_the_suite_holds_against_s3rver(self):
        with servers.S3rver() as server:
            # Names of 255 bytes end s3rver: it keeps an object in a file of a longer name. And it lists in the order of
            # those files: "a/b-c" before "a/b". And who reads what is being replaced gets the size of one and the bytes of the other.
            out = self.suite(self.url(server), server.environment,
                             "--gtest_filter=-*RefusesNamesThatBreakTheRule*:*ListsInByteOrderOfWholeNames*:*AReaderNeverSees*:" + conformance.MOST.partition("=-")[2])
            self.assertIn("[  SKIPPED ] RemoteOpening.TwoOpenersCannotBothCreateOneObject", out, "s3rver ignores If-None-Match")
            self.assertFalse(list((server.root / "objects").rglob("*probe*")), "the probe leaves nothing")

    def test_the_suite_holds_where_conditions_are_kept_and_signatures_checked(self):
        with S3Stub(page_max=300) as server:
            out = self.suite(self.url(server), STUB_ENV)
            self.assertIn("[       OK ] RemoteOpening.TwoOpenersCannotBothCreateOneObject", out)
            self.assertIn("[       OK ] Remote/StorageConformance.PutIfVersionReplacesOnlyWhatItExpects/Plain", out)
            self.assertEqual(server.refused, 0, "every request was signed")
            self.assertFalse([k for k in server.objects if ".holdfast" in k])

    def test_the_suite_holds_on_a_rough_service_and_lost_answers_are_found_out(self):
        with S3Stub(faults=Faults(unavailable=23, lost=29, dropped=31, short=37)) as server:
            self.suite(self.url(server), STUB_ENV, conformance.ROUGH)
            self.assertTrue(all(n > 20 for n in server.faults.done.values()), server.faults.done)

    def test_calls_run_side_by_side(self):
        with S3Stub(faults=Faults(delay=0.05)) as server:
            self.suite(self.url(server), {**STUB_ENV, "HF_REMOTE_DELAY_MS": "50"}, "--gtest_filter=*SideBySide")

    def test_a_wrong_key_is_named_and_its_secret_is_not(self):
        with S3Stub() as server:
            said = self.opening(self.url(server), {**STUB_ENV, "AWS_SECRET_ACCESS_KEY": "not/the/secret"})
            self.assertIn("kRefusedByProvider", said)
            self.assertNotIn("not/the/secret", said)
            self.assertIn("kNoCredentials", self.opening(self.url(server), {}))
            self.assertIn("kNoStore", self.opening(self.url(server).replace("//hf/", "//other/"), STUB_ENV))
            self.assertIn("kCredentialsFileMode", self.opening(self.url(server, f"&credentials={self.file('x', 0o644)}"), STUB_ENV))
            keys = f"aws_access_key_id = STUBKEY\naws_secret_access_key = {KEYS['STUBKEY']}\n"
            self.suite(self.url(server, f"&credentials={self.file(keys, 0o600)}"), {}, "--gtest_filter=*AReaderWritesNothing*")

    def test_tls_takes_the_authority_it_was_given_and_no_other(self):
        cert, key = self.root / "cert.pem", self.root / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-keyout", key, "-out", cert, "-subj", "/CN=stub", "-addext", "subjectAltName=IP:127.0.0.1"],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        with S3Stub(tls=context) as server:
            self.suite(self.url(server, f"&ca={cert}"), STUB_ENV, "--gtest_filter=*AReaderWritesNothing*:*HoldsALarge*/Plain")
            self.assertIn("kUnreachable", self.opening(self.url(server), STUB_ENV))
            self.assertIn("kUnreachable", self.opening(self.url(server, f"&ca={cert}").replace("127.0.0.1", "localhost"), STUB_ENV))

    def test_nobody_there_is_unreachable_within_seconds(self):
        self.assertIn("kUnreachable", self.opening(f"s3://hf/{{}}?endpoint=http://127.0.0.1:{servers.free_port()}", STUB_ENV))


if __name__ == "__main__":
    conformance.main()
