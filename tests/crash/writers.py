"""Clients that write until the server dies, and remember everything (history.py).

Each operation leaves a state that none before it left: values are never repeated, every batch puts a marker that no
other batch puts, and only what is settled and not being changed is deleted by itself.
"""
import queue

import grpc

from grpc_client import STOPPING, code_of, kv, kv_grpc
from history import History, digest

DEADLINE_S = 60
TABLES = ("t", "u")  # u keeps no value in its leaves
KEYS, BIG_KEYS = 48, 3


class Unexpected(Exception):
    pass


class Writer:
    def __init__(self, name):
        self.name = name
        self.history = History(name)
        self.markers = 0
        self.markers_from = 0

    def key(self, text):
        return f"{self.name}/{text}".encode()

    def value(self, rng, size):
        return f"{self.name} writes {self.history.sequence + 1} ".encode() + rng.randbytes(size)

    def put(self, rng, size, keys="k", count=KEYS, table=None):
        table = table or rng.choice(TABLES)
        key = self.key(f"{keys}{rng.randrange(count):03}")
        value = self.value(rng, size)
        return ("put", table, key, digest(value)), kv.Operation(table=table, key=key, put=value)

    def compose(self, rng, heavy):
        """(changes, what is to be sent: a request)"""
        if heavy:
            change, o = self.put(rng, 600_000, "heavy", 6)
            return [change], kv.PutRequest(table=o.table, key=o.key, value=o.put)
        dice = rng.random()
        if dice < 0.10:
            table, key = rng.choice(TABLES), self.key(f"k{rng.randrange(KEYS):03}")
            if (table, key) in self.history.state and (table, key) not in self.history.touched:
                return [("del", table, key)], kv.DeleteRequest(table=table, key=key)
        if dice < 0.35:
            return self.batch(rng)
        size = rng.randrange(300) if dice < 0.95 else rng.randrange(300, 4000)
        if dice > 0.985:
            change, o = self.put(rng, rng.choice((70_000, 250_000, 250_000, 1_500_000)), "big", BIG_KEYS)
        else:
            change, o = self.put(rng, size)
        wait = kv.WAIT_NONE if rng.random() < 0.2 else kv.WAIT_DURABLE
        return [change], kv.PutRequest(table=o.table, key=o.key, value=o.put, wait=wait)

    def batch(self, rng):
        changes, operations = [], []
        # A compare that holds once only: were the batch applied twice, the second would be refused.
        marker = self.key(f"marker{self.markers:08}")
        self.markers += 1
        compares = [kv.Compare(table="t", key=marker, absent=True)]
        value = self.value(rng, 8)
        changes.append(("put", "t", marker, digest(value)))
        operations.append(kv.Operation(table="t", key=marker, put=value))
        if self.markers - self.markers_from > 60:
            until = self.markers - 20
            low, high = self.key(f"marker{self.markers_from:08}"), self.key(f"marker{until:08}")
            self.markers_from = until
            changes.append(("range", "t", low, high))
            operations.append(kv.Operation(table="t", key=low, delete_until=high))
        seen = set()
        for _ in range(rng.randint(1, 30)):
            change, operation = self.put(rng, rng.randrange(400))
            if (operation.table, operation.key) in seen:
                continue
            seen.add((operation.table, operation.key))
            if rng.random() < 0.25:
                change = ("del", operation.table, operation.key)
                operation = kv.Operation(table=operation.table, key=operation.key, delete=True)
            changes.append(change)
            operations.append(operation)
        return changes, kv.BatchRequest(compares=compares, operations=operations)


class SessionWriter(Writer):
    """Many operations outstanding on one stream; a session that lives longer than the server."""

    def __init__(self, name):
        super().__init__(name)
        self.session = 0
        self.applied, self.lost = [], []  # to be sent again, with their old sequence numbers

    def recover(self, found, durable_index, snapshot_index):
        self.applied, self.lost = self.history.recover(found, durable_index)
        self.snapshot_index = snapshot_index

    def operation(self, o):
        field = {kv.PutRequest: "put", kv.DeleteRequest: "delete", kv.BatchRequest: "batch"}[type(o.request)]
        return kv.SessionOperation(id=o.sequence, sequence=o.sequence, **{field: o.request})

    def run(self, channel, rng, stop, progress, heavy=False):
        outgoing = queue.SimpleQueue()
        stream = kv_grpc.KvStub(channel).Session(iter(outgoing.get, None), timeout=DEADLINE_S)
        window = 4 if heavy else rng.choice((1, 4, 16, 48))
        try:
            outgoing.put(kv.SessionRequest(operations=[kv.SessionOperation(id=1, open=kv.OpenSession(session=self.session))]))
            opened = next(stream).results[0]
            if opened.code == STOPPING:
                return
            if opened.code != 0:
                raise Unexpected(f"{self.name}: open was answered with code {opened.code}")
            self.session = opened.session
            self.send_again(rng, outgoing, stream, progress)
            unanswered = {}
            while not stop.is_set() or unanswered:
                fresh = []
                while not stop.is_set() and len(unanswered) < window:
                    changes, request = self.compose(rng, heavy)
                    o = self.history.submit(changes, request)
                    unanswered[o.sequence] = o
                    fresh.append(self.operation(o))
                while fresh:
                    n = rng.randint(1, len(fresh))
                    outgoing.put(kv.SessionRequest(operations=fresh[:n]))
                    del fresh[:n]
                for result in next(stream).results:
                    o = unanswered.pop(result.id)
                    if not self.take(o, result, progress):
                        stop.set()
        except (grpc.RpcError, StopIteration):
            pass  # the server is gone
        finally:
            outgoing.put(None)
            stream.cancel()

    def take(self, o, result, progress):
        if result.code == STOPPING:
            return False  # nothing is known of it
        if result.code != 0:
            raise Unexpected(f"{self.name}: write {o.sequence} was answered with code {result.code}")
        durable = result.write.reached == kv.WAIT_DURABLE
        self.history.answered(o, result.write.index, durable)
        progress.acknowledged(result.write.index if durable else 0)
        return True

    def send_again(self, rng, outgoing, stream, progress):
        """Rule H4: what was applied is not applied again, what was not is applied now."""
        applied, lost, self.applied, self.lost = self.applied, self.lost, [], []
        if rng.random() < 0.3:
            return  # given up; the numbers are not used again
        for o in lost:
            o.index = None
        self.history.pending = list(lost)
        for o in lost:
            for change in o.changes:
                at = (change[1], change[2])
                self.history.touched[at] = self.history.touched.get(at, 0) + 1
        expected = {o.sequence: (o, o in applied) for o in applied + lost}
        for o in applied + lost:
            outgoing.put(kv.SessionRequest(operations=[self.operation(o)]))
        while expected:
            for result in next(stream).results:
                o, was_applied = expected.pop(result.id)
                if result.code == STOPPING:
                    raise StopIteration
                if result.code != 0:
                    raise Unexpected(f"{self.name}: write {o.sequence}, sent again, was answered with code {result.code}; "
                                     f"{'it had been' if was_applied else 'it had not been'} applied")
                if not was_applied:
                    self.take(o, result, progress)
                    if result.write.index <= self.snapshot_index:
                        raise Unexpected(f"{self.name}: write {o.sequence} was lost and is said to have index {result.write.index}, "
                                         f"below that of the state without it ({self.snapshot_index})")
                progress.sent_again(was_applied)


class UnaryWriter(Writer):
    """One call at a time; makes and drops tables too."""

    def __init__(self, name):
        super().__init__(name)
        self.tables_made = 0
        self.tables = []

    def recover(self, found, durable_index, _):
        self.history.recover(found, durable_index)
        self.tables = sorted(name for table, name in found if table == "")

    def compose(self, rng, heavy):
        dice = rng.random()
        if not heavy and dice < 0.04:
            name = f"{self.name}/{self.tables_made:05}"
            self.tables_made += 1
            self.tables.append(name)
            return [("create", name)], kv.CreateTableRequest(table=name)
        if not heavy and dice < 0.08 and len(self.tables) > 2:
            name = self.tables.pop(0)
            return [("drop", name)], kv.DropTableRequest(table=name)
        if not heavy and dice < 0.2 and self.tables:
            change, o = self.put(rng, 100, table=self.tables[-1])
            return [change], kv.PutRequest(table=o.table, key=o.key, value=o.put)
        return super().compose(rng, heavy)

    def run(self, channel, rng, stop, progress, heavy=False):
        stub = kv_grpc.KvStub(channel)
        call = {kv.PutRequest: stub.Put, kv.DeleteRequest: stub.Delete, kv.BatchRequest: stub.Batch,
                kv.CreateTableRequest: stub.CreateTable, kv.DropTableRequest: stub.DropTable}
        while not stop.is_set():
            changes, request = self.compose(rng, heavy)
            o = self.history.submit(changes, request)
            try:
                reply = call[type(request)](request, timeout=DEADLINE_S)
            except grpc.RpcError as e:
                if code_of(e) not in (0, STOPPING):
                    raise Unexpected(f"{self.name}: {type(request).__name__}: {e.details()}") from e
                return
            durable = reply.reached == kv.WAIT_DURABLE
            self.history.answered(o, reply.index, durable)
            progress.acknowledged(reply.index if durable else 0)
