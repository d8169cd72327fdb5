#!/usr/bin/python3
"""dynamodb: against dynalite, azure-table: against azurite, firestore: and webhdfs: against stubs of our own.

    python3 tests/providers/others_test.py --conformance build/release/bin/remote_conformance [unittest arguments]
"""
import conformance
import servers
from firestore_stub import TOKEN, FirestoreStub
from stub import Faults
from webhdfs_stub import WebhdfsStub

BOTH_OPENERS = "[       OK ] RemoteOpening.TwoOpenersCannotBothCreateOneObject"
ROUGH = {"unavailable": 23, "lost": 29, "dropped": 31, "short": 37}


class Dynamodb(conformance.TestCase):
    def test_the_suite_holds_against_dynalite(self):
        with servers.Dynalite() as server:
            out = self.suite(f"dynamodb://table-{{}}?endpoint={server.url}", server.environment, conformance.MOST)
            self.assertIn(BOTH_OPENERS, out)
            self.suite(f"dynamodb://alone-{{}}?endpoint={server.url}&single-writer=true", server.environment,
                       "--gtest_filter=*HoldsALarge*/Plain:*WhatIsBehind*/Plain:*AReaderNeverSees*/Plain")

    def test_without_credentials_nothing_is_sent(self):
        self.assertIn("kNoCredentials", self.opening("dynamodb://table-{}?endpoint=http://127.0.0.1:1", {}))


class AzureTable(conformance.TestCase):
    def test_the_suite_holds_against_azurite_which_checks_signatures(self):
        with servers.Azurite() as server:
            url = f"azure-table://{server.account}/t{{}}?endpoint={server.url}"
            self.assertIn(BOTH_OPENERS, self.suite(url, server.environment, conformance.SLOW))
            wrong = {"AZURE_STORAGE_KEY": server.key.replace("E", "F", 1)}
            self.assertIn("kRefusedByProvider", self.opening(url, wrong))
            self.assertIn("kNoCredentials", self.opening(url, {}))


class Firestore(conformance.TestCase):
    ENV = {"FIRESTORE_ACCESS_TOKEN": TOKEN}

    def url(self, server, more=""):
        return f"firestore://project/c{{}}?endpoint={server.url}{more}"

    def test_the_suite_holds(self):
        with FirestoreStub() as server:
            self.assertIn(BOTH_OPENERS, self.suite(self.url(server), self.ENV, conformance.MOST))

    def test_the_suite_holds_on_a_rough_service_and_lost_answers_are_found_out(self):
        with FirestoreStub(faults=Faults(**ROUGH)) as server:
            self.suite(self.url(server), self.ENV, conformance.ROUGH)
            self.assertTrue(all(n > 20 for n in server.faults.done.values()), server.faults.done)

    def test_the_token_is_read_again_when_it_is_not_accepted_any_more(self):
        with FirestoreStub() as server:
            self.assertIn("kRefusedByProvider", self.opening(self.url(server), {"FIRESTORE_ACCESS_TOKEN": "old"}))
            token = self.file(f"access_token = {TOKEN}\n", 0o600)
            self.suite(self.url(server, f"&credentials={token}"), {}, "--gtest_filter=*AReaderWritesNothing*")


class Webhdfs(conformance.TestCase):
    def url(self, server, more=""):
        return f"webhdfs://127.0.0.1:{server.port}/store/{{}}?user=hf{more}"

    def test_the_suite_holds_and_every_file_is_written_whole(self):
        with WebhdfsStub(user="hf") as server:
            self.suite(self.url(server), {}, conformance.MOST)
            self.assertEqual(set(server.operations), {"MKDIRS", "LISTSTATUS", "GETFILESTATUS", "CREATE", "OPEN", "DELETE"},
                             "no append, rename or truncate")

    def test_the_suite_holds_on_a_rough_service(self):
        with WebhdfsStub(user="hf", faults=Faults(**ROUGH)) as server:
            # An empty file says not whose it is: after a lost answer "exists" is all that can be known.
            self.suite(self.url(server), {}, conformance.ROUGH)
            self.assertTrue(all(n > 20 for n in server.faults.done.values()), server.faults.done)

    def test_another_user_is_refused(self):
        with WebhdfsStub(user="somebody") as server:
            self.assertIn("kPermission", self.opening(self.url(server), {}))


if __name__ == "__main__":
    conformance.main()
