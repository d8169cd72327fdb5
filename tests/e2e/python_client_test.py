#!/usr/bin/python3
"""A program in another language, with nothing but the .proto files and Debian's grpcio: mutual TLS, every kind of call."""
import importlib
import queue
import subprocess
import sys
import threading

import grpc

import rig


class PythonClient(rig.TestCase):
    @classmethod
    def setUpClass(cls):
        import tempfile
        cls.stubs = tempfile.TemporaryDirectory(prefix="holdfast-stubs-")
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={rig.SOURCE / 'api'}",
                        f"--python_out={cls.stubs.name}", f"--grpc_python_out={cls.stubs.name}",
                        "holdfast/v1/kv.proto", "holdfast/v1/admin.proto"], check=True, timeout=rig.DEADLINE_S)
        sys.path.insert(0, cls.stubs.name)
        cls.kv = importlib.import_module("holdfast.v1.kv_pb2")
        cls.kv_grpc = importlib.import_module("holdfast.v1.kv_pb2_grpc")
        cls.admin = importlib.import_module("holdfast.v1.admin_pb2")
        cls.admin_grpc = importlib.import_module("holdfast.v1.admin_pb2_grpc")

    @classmethod
    def tearDownClass(cls):
        cls.stubs.cleanup()

    def setUp(self):
        super().setUp()
        self.d = self.deployment().start()
        self.channel = self.open_channel("user")
        self.stub = self.kv_grpc.KvStub(self.channel)
        self.stub.CreateTable(self.kv.CreateTableRequest(table="t"), timeout=20)

    def tearDown(self):
        self.channel.close()
        super().tearDown()

    def store_name(self):
        for line in self.d.client_yaml.read_text().splitlines():
            if "StoreId" in line:
                return line.split("'")[1] + ".holdfast"
        raise AssertionError("no StoreId")

    def open_channel(self, port, with_client=True):
        pem = (self.d.directory / "client/admin.pem").read_bytes() if with_client else None
        at = pem.index(b"-----BEGIN PRIVATE KEY") if pem else 0
        credentials = grpc.ssl_channel_credentials((self.d.directory / "client/ca.pem").read_bytes(),
                                                   pem[at:] if pem else None, pem[:at] if pem else None)
        return grpc.secure_channel(f"127.0.0.1:{self.d.port(port)}", credentials,
                                   [("grpc.ssl_target_name_override", self.store_name()),
                                    ("grpc.max_receive_message_length", 20 << 20)])

    def put(self, key, value):
        return self.stub.Put(self.kv.PutRequest(table="t", key=key, value=value), timeout=20)

    def get(self, key, **more):
        return self.stub.Get(self.kv.GetRequest(table="t", key=key, **more), timeout=20)

    def failure(self, call, *arguments, **more):
        with self.assertRaises(grpc.RpcError) as caught:
            result = call(*arguments, timeout=20, **more)
            for _ in result if hasattr(result, "__iter__") else ():
                pass
        return caught.exception

    def test_put_get_delete(self):
        first = self.put(b"k", b"\x00\xff")
        self.assertEqual(first.reached, self.kv.WAIT_DURABLE)
        self.assertEqual(self.get(b"k").value, b"\x00\xff")
        second = self.put(b"k", b"new")
        self.assertGreater(second.index, first.index)
        self.assertEqual(self.get(b"k", at_least=second.index).value, b"new")
        self.stub.Delete(self.kv.DeleteRequest(table="t", key=b"k"), timeout=20)
        self.assertFalse(self.get(b"k").found)

    def test_scan_batch_and_conflict(self):
        operations = [self.kv.Operation(table="t", key=b"%03d" % i, put=b"v%d" % i) for i in range(500)]
        self.stub.Batch(self.kv.BatchRequest(operations=operations), timeout=20)
        replies = list(self.stub.Scan(self.kv.ScanRequest(table="t", prefix=b"1"), timeout=20))
        rows = [(r.key, r.value) for reply in replies for r in reply.rows]
        self.assertEqual(rows, [(b"%03d" % i, b"v%d" % i) for i in range(100, 200)])
        self.assertEqual(len({reply.index for reply in replies}), 1)
        error = self.failure(self.stub.Batch, self.kv.BatchRequest(
            compares=[self.kv.Compare(table="t", key=b"000", present=True), self.kv.Compare(table="t", key=b"000", absent=True)],
            operations=[self.kv.Operation(table="t", key=b"000", put=b"x")]))
        trailers = dict(error.trailing_metadata())
        self.assertEqual(trailers["holdfast-code"], "500")
        self.assertEqual(trailers["holdfast-detail"], "1")
        self.assertIn("kConflict", error.details())
        self.assertEqual(self.get(b"000").value, b"v0")

    def test_watch(self):
        begin = self.stub.Sync(self.kv.SyncRequest(), timeout=20).index
        watch = self.stub.Watch(self.kv.WatchRequest(table="t", prefix=b"w", **{"from": begin + 1}), timeout=30)
        self.put(b"w1", b"one")
        self.put(b"other", b"-")
        self.stub.Delete(self.kv.DeleteRequest(table="t", key=b"w1"), timeout=20)
        seen = []
        for reply in watch:
            seen += [(e.key, e.WhichOneof("kind")) for e in reply.events if e.WhichOneof("kind") != "mark"]
            if len(seen) >= 2:
                break
        watch.cancel()
        self.assertEqual(seen, [(b"w1", "put"), (b"w1", "deleted")])

    def test_session_reads_its_own_writes_and_a_repeated_write_happens_once(self):
        requests = queue.Queue()
        replies = self.stub.Session(iter(requests.get, None), timeout=30)
        operation = self.kv.SessionOperation

        def ask(*operations):
            requests.put(self.kv.SessionRequest(operations=operations))
            got = {}
            while len(got) < len(operations):
                got.update({r.id: r for r in next(replies).results})
            return [got[o.id] for o in operations]
        session = ask(operation(id=1, open=self.kv.OpenSession()))[0].session
        self.assertGreater(session, 0)
        write = operation(id=2, sequence=1, put=self.kv.PutRequest(table="t", key=b"s", value=b"1"))
        put, get = ask(write, operation(id=3, get=self.kv.GetRequest(table="t", key=b"s")))
        self.assertEqual((put.code, get.get.value), (0, b"1"))
        requests.put(None)
        list(replies)

        # The same write again, over a new stream, after somebody else has written: it must not happen twice.
        self.put(b"s", b"by another")
        again = queue.Queue()
        replies = self.stub.Session(iter(again.get, None), timeout=30)
        again.put(self.kv.SessionRequest(operations=[operation(id=1, open=self.kv.OpenSession(session=session))]))
        self.assertEqual(next(replies).results[0].code, 0)
        again.put(self.kv.SessionRequest(operations=[write]))
        repeated = next(replies).results[0]
        self.assertEqual(repeated.code, 0)
        again.put(None)
        list(replies)
        self.assertEqual(self.get(b"s").value, b"by another")

    def test_a_caller_without_a_certificate_gets_nothing(self):
        with self.open_channel("user", with_client=False) as channel:
            error = self.failure(self.kv_grpc.KvStub(channel).Get, self.kv.GetRequest(table="t", key=b"k"))
            self.assertIn(error.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED))

    def test_the_admin_service_is_on_the_admin_port_only(self):
        with self.open_channel("admin") as channel:
            status = self.admin_grpc.AdminStub(channel).Status(self.admin.StatusRequest(), timeout=20)
            self.assertEqual(status.store.hex().upper() + ".holdfast", self.store_name())
            self.assertGreater(self.admin_grpc.AdminStub(channel).SaveState(self.admin.SaveStateRequest(), timeout=60).index, 0)
        error = self.failure(self.admin_grpc.AdminStub(self.channel).Status, self.admin.StatusRequest())
        self.assertIn(error.code(), (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED))

    def test_many_threads_share_one_channel(self):
        failures = []

        def work(n):
            try:
                for i in range(20):
                    self.put(b"%d-%d" % (n, i), b"v")
            except grpc.RpcError as e:
                failures.append(e)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failures, [])
        rows = [r for reply in self.stub.Scan(self.kv.ScanRequest(table="t"), timeout=20) for r in reply.rows]
        self.assertEqual(len(rows), 160)


if __name__ == "__main__":
    rig.main()
