"""A Firestore in memory, REST v1, as strict as its documentation: preconditions, document ids, sizes, a bearer token."""
import binascii
import json
import re
import threading
import urllib.parse

from stub import Answer, Stub

TOKEN = "a-token-of-the-stub"
DOCUMENT = re.compile(r"/v1/(projects/([^/]+)/databases/\(default\)/documents)/([^/]+)/([^/]+)")
QUERY = re.compile(r"/v1/(projects/([^/]+)/databases/\(default\)/documents):runQuery")


def error(code, status):
    return Answer(code, json.dumps({"error": {"code": code, "message": status.lower(), "status": status}}).encode())


class FirestoreStub(Stub):
    def __init__(self, token=TOKEN, **more):
        super().__init__(**more)
        self.token = token
        self.documents = {}  # (project, collection) -> {id: (fields, updateTime)}
        self.clock = 0
        self.lock = threading.Lock()

    def stamp(self):
        self.clock += 1
        return f"2026-01-01T00:{self.clock // 60000000 % 60:02}:{self.clock // 1000000 % 60:02}.{self.clock % 1000000:06}Z"

    def answer(self, request):
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return error(401, "UNAUTHENTICATED")
        with self.lock:
            query = QUERY.fullmatch(request.path)
            if query and request.method == "POST":
                return self.run_query(query.group(1), query.group(2), json.loads(request.body))
            found = DOCUMENT.fullmatch(request.path)
            if not found:
                return error(404, "NOT_FOUND")
            root, project, collection, name = found.groups()
            if name in (".", "..") or re.fullmatch(r"__.*__", name) or len(name) > 1500:
                return error(400, "INVALID_ARGUMENT")
            documents = self.documents.setdefault((project, collection), {})
            return getattr(self, "do_" + request.method)(request, documents, name, f"{root}/{collection}/{name}")

    @staticmethod
    def document(path, fields, stamp, mask=None):
        shown = {k: v for k, v in fields.items() if mask is None or k in mask}
        return {"name": path, "fields": shown, "createTime": stamp, "updateTime": stamp}

    def do_GET(self, request, documents, name, path):
        if name not in documents:
            return error(404, "NOT_FOUND")
        mask = request.query.get("mask.fieldPaths")
        return Answer(200, json.dumps(self.document(path, *documents[name], mask and [mask])).encode())

    def do_PATCH(self, request, documents, name, path):
        exists, stamp = request.query.get("currentDocument.exists"), request.query.get("currentDocument.updateTime")
        if exists == "false" and name in documents:
            return error(409, "ALREADY_EXISTS")
        if stamp is not None:
            if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp):
                return error(400, "INVALID_ARGUMENT")
            if name not in documents:
                return error(404, "NOT_FOUND")
            if documents[name][1] != stamp:
                return error(400, "FAILED_PRECONDITION")
        fields = json.loads(request.body)["fields"]
        size = len(path) + 32
        for key, value in fields.items():
            (kind, content), = value.items()
            size += len(key) + 1 + (len(binascii.a2b_base64(content, strict_mode=True)) if kind == "bytesValue" else len(content) + 1)
        if size > 1048576:
            return error(400, "INVALID_ARGUMENT")
        documents[name] = (fields, self.stamp())
        return Answer(200, json.dumps(self.document(path, *documents[name])).encode())

    def do_DELETE(self, request, documents, name, path):
        documents.pop(name, None)
        return Answer(200, b"{}")

    def run_query(self, root, project, body):
        q = body["structuredQuery"]
        if q["orderBy"] != [{"field": {"fieldPath": "__name__"}, "direction": "ASCENDING"}]:
            return error(400, "INVALID_ARGUMENT")
        collection = q["from"][0]["collectionId"]
        documents = self.documents.get((project, collection), {})

        def position(cursor):
            prefix = f"{root}/{collection}/"
            value = cursor["values"][0]["referenceValue"]
            assert value.startswith(prefix)
            return value[len(prefix):], cursor["before"]

        names = sorted(documents)
        if "startAt" in q:
            at, before = position(q["startAt"])
            names = [n for n in names if n >= at] if before else [n for n in names if n > at]
        if "endAt" in q:
            at, before = position(q["endAt"])
            names = [n for n in names if n < at] if before else [n for n in names if n <= at]
        mask = [f["fieldPath"] for f in q["select"]["fields"]]
        out = [{"document": self.document(f"{root}/{collection}/{n}", *documents[n], mask), "readTime": "x"} for n in names[:q["limit"]]]
        return Answer(200, json.dumps(out or [{"readTime": "x"}]).encode())
