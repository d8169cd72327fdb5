"""What one writer asked for, in its order, and what it was told; and whether what a crash left can be true.

A writer's operations reach the log in the order it sent them. So after a crash its rows must be those after some
first p of its operations (an operation is a whole batch), where p covers all that was acknowledged as durable:

    settled state ── op ── op ── op ── op ── op ── op
                              ^durable       ^p      ^sent, not in the log: lost, which is allowed

Writers choose their operations so that no two of these states are equal (see writers.py): p is then known.
"""
import hashlib

LIST = ""  # stands for the list of tables: (LIST, name) is there if the table is


def digest(value):
    return hashlib.blake2b(value, digest_size=16).digest()


class Operation:
    def __init__(self, sequence, changes, request):
        self.sequence = sequence
        self.changes = changes  # ("put", table, key, digest) | ("del", table, key) | ("range", table, from, until)
        self.request = request  # | ("create", table) | ("drop", table)
        self.index = None       # of the answer

    def apply(self, state):
        for kind, table, *rest in self.changes:
            if kind == "put":
                state[table, rest[0]] = rest[1]
            elif kind == "del":
                state.pop((table, rest[0]), None)
            elif kind == "range":
                for gone in [at for at in state if at[0] == table and rest[0] <= at[1] < rest[1]]:
                    del state[gone]
            elif kind == "create":
                state[LIST, table] = digest(table.encode())
            else:
                for gone in [at for at in state if at[0] == table or at == (LIST, table)]:
                    del state[gone]


class History:
    def __init__(self, name):
        self.name = name
        self.state = {}     # (table, key) -> digest; all that is settled or acknowledged
        self.pending = []   # operations after that, in order
        self.touched = {}   # (table, key) -> pending operations that change it
        self.sequence = 0

    def owns(self, at):
        table, key = at
        return (key if table == LIST else key.decode()).startswith(self.name + "/")

    def submit(self, changes, request):
        self.sequence += 1
        operation = Operation(self.sequence, changes, request)
        self.pending.append(operation)
        for change in changes:
            at = (change[1], change[2] if len(change) > 2 else None)
            self.touched[at] = self.touched.get(at, 0) + 1
        return operation

    def answered(self, operation, index, durable):
        operation.index = index
        if durable and operation in self.pending:  # else a later one's answer came first
            while self.pending[0] is not operation:  # what is before it in the log is durable too
                self._settle_first()
            self._settle_first()

    def _settle_first(self):
        first = self.pending.pop(0)
        first.apply(self.state)
        for change in first.changes:
            at = (change[1], change[2] if len(change) > 2 else None)
            self.touched[at] -= 1
            if self.touched[at] == 0:
                del self.touched[at]

    def recover(self, found, durable_index):
        """Compares with `found`, all rows of this writer after a crash. Everything up to `durable_index`, the highest
        index that anybody was told to be durable, must be there. Returns (sent before and applied though never
        answered, lost); pending is empty afterwards. AssertionError says what cannot be explained."""
        known = max((i + 1 for i, o in enumerate(self.pending)
                     if o.index is not None and o.index <= durable_index), default=0)
        for _ in range(known):
            self._settle_first()
        applied, unanswered = 0, []
        while self.state != found:
            if not self.pending:
                raise AssertionError(self.explain(found, known + applied))
            if self.pending[0].index is None:
                unanswered.append(self.pending[0])
            applied += 1
            self._settle_first()
        lost, self.pending, self.touched = self.pending, [], {}
        return unanswered, lost

    def explain(self, found, at_most):
        missing = [at for at in self.state if at not in found]
        extra = [at for at in found if at not in self.state]
        other = [at for at in found if at in self.state and found[at] != self.state[at]]
        return (f"{self.name}: what is there is not what any number of its operations leaves ({at_most} were pending). Against "
                f"all of them: missing {missing[:5]} ({len(missing)}), not expected {extra[:5]} ({len(extra)}), "
                f"with another value {other[:5]} ({len(other)})")
