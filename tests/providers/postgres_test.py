#!/usr/bin/python3
"""postgres: against a PostgreSQL cluster of its own.

    python3 tests/providers/postgres_test.py --conformance build/release/bin/remote_conformance [unittest arguments]
"""
import subprocess

import conformance
import servers


class Postgres(conformance.TestCase):
    def sql(self, server, text):
        return subprocess.run([server.bin / "psql", "-h", "127.0.0.1", "-p", str(server.port), "-U", server.user, "-XAtq", "-d", "postgres",
                               "-c", text], capture_output=True, text=True, check=True).stdout.strip()

    def test_the_suite_holds_on_tcp_and_on_a_socket(self):
        with servers.Postgres() as server:
            self.suite(f"{server.url}?table={{}}", {}, conformance.MOST)
            self.suite(f"postgres://{server.user}@:{server.port}/postgres?host={server.root}&table=socket{{}}", {},
                       "--gtest_filter=RemoteOpening.*:*HoldsALarge*/Plain")
            self.assertIn("kNoStore", self.opening(f"postgres://hf@127.0.0.1:{server.port}/nonesuch?table={{}}", {}))

    def test_the_suite_holds_while_connections_are_cut(self):
        with servers.Postgres() as server:
            # Every few hundred milliseconds the server ends all sessions of ours that hold no lock.
            killer = subprocess.Popen([server.bin / "psql", "-h", "127.0.0.1", "-p", str(server.port), "-U", server.user, "-XAtq", "-d",
                                       "postgres"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
            try:
                killer.stdin.write("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast' "
                                   "AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory') \\watch 0.3\n")
                killer.stdin.flush()
                self.suite(f"{server.url}?table={{}}", {}, conformance.ROUGH)
            finally:
                killer.kill()
                killer.wait(10)
                killer.stdin.close()

    def test_a_writer_that_was_overtaken_is_fenced_even_without_its_lock(self):
        with servers.Postgres() as server:
            r = self.run_suite(f"{server.url}?table={{}}", {"HF_REMOTE_CUT": f"{server.bin}/psql -h 127.0.0.1 -p {server.port} -U {server.user} "
                               "-XAtq -d postgres -c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                               "'holdfast'\" >/dev/null"}, "--gtest_filter=RemoteOpening.AWriterThatLostItsLockIsFenced")
            self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
            self.assertIn("[       OK ]", r.stdout)

    def test_a_server_that_does_not_sync_is_refused(self):
        with servers.Postgres("-c", "fsync=off") as server:
            self.assertIn("kUnsupported", self.opening(f"{server.url}?table={{}}", {}))

    def test_nobody_there_is_unreachable_within_seconds(self):
        self.assertIn("kUnreachable", self.opening(f"postgres://hf@127.0.0.1:{servers.free_port()}/postgres?table={{}}", {}))


if __name__ == "__main__":
    conformance.main()
