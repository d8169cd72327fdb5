"""A WebHDFS in memory: a name node and a data node on one port, two steps for every read and write, the errors of HDFS."""
import json
import threading

from stub import Answer, Stub

ERRORS = {"FileNotFoundException": 404, "FileAlreadyExistsException": 403, "IOException": 403, "AccessControlException": 403,
          "IllegalArgumentException": 400, "PathIsNotEmptyDirectoryException": 403}


def error(kind):
    return Answer(ERRORS[kind], json.dumps({"RemoteException": {"exception": kind, "javaClassName": "x." + kind, "message": "m"}}).encode(),
                  {"Content-Type": "application/json"})


class WebhdfsStub(Stub):
    def __init__(self, user=None, **more):
        super().__init__(**more)
        self.user = user
        self.files = {}  # "/a/b" -> bytes, or None for a directory
        self.lock = threading.Lock()
        self.operations = []

    def parents(self, path):
        parts = path.strip("/").split("/")[:-1]
        return ["/" + "/".join(parts[:i + 1]) for i in range(len(parts))]

    def make_directories(self, path):
        for p in self.parents(path):
            if self.files.get(p, None) is not None:
                raise error("IOException")
            self.files[p] = None

    def answer(self, request):
        op, path = request.query.get("op", ""), request.path.rstrip("/")
        data = path.startswith("/data/webhdfs/v1")
        if not data and not path.startswith("/webhdfs/v1"):
            return Answer(404, b"not here")
        if self.user is not None and request.query.get("user.name") != self.user:
            return error("AccessControlException")
        path = path.removeprefix("/data").removeprefix("/webhdfs/v1") or "/"
        self.operations.append(op)
        with self.lock:
            if op in ("CREATE", "OPEN") and not data:
                if request.body:
                    return error("IllegalArgumentException")  # the bytes go to the data node
                refusal = self.check(op, path, request)
                if refusal:
                    return refusal
                return Answer(307, headers={"Location": f"{self.url}/data{request.target}"})
            if op not in ("CREATE", "OPEN") and data:
                return error("IllegalArgumentException")
            method = {"CREATE": "PUT", "OPEN": "GET", "DELETE": "DELETE", "MKDIRS": "PUT", "LISTSTATUS": "GET", "GETFILESTATUS": "GET"}
            if method.get(op) != request.method:
                return error("IllegalArgumentException")
            return getattr(self, op.lower())(path, request)

    def check(self, op, path, request):
        if op == "OPEN" and self.files.get(path) is None:
            return error("FileNotFoundException")
        if op == "CREATE" and path in self.files:
            if self.files[path] is None or request.query.get("overwrite") != "true":
                return error("FileAlreadyExistsException")
        return None

    def create(self, path, request):
        refusal = self.check("CREATE", path, request)
        if refusal:
            return refusal
        self.make_directories(path)
        self.files[path] = request.body
        return Answer(201)

    def open(self, path, request):
        refusal = self.check("OPEN", path, request)
        if refusal:
            return refusal
        body, offset = self.files[path], int(request.query.get("offset", 0))
        if offset > len(body):
            return error("IOException")  # "Offset=… out of the range"
        length = int(request.query.get("length", len(body)))
        return Answer(200, body[offset:offset + length])

    def delete(self, path, request):
        there = path in self.files
        if there and self.files[path] is None:
            return error("PathIsNotEmptyDirectoryException")
        self.files.pop(path, None)
        return Answer(200, json.dumps({"boolean": there}).encode())

    def mkdirs(self, path, request):
        self.make_directories(path + "/x")
        return Answer(200, b'{"boolean":true}')

    def status(self, path, name):
        body = self.files[path]
        return {"pathSuffix": name, "type": "DIRECTORY" if body is None else "FILE", "length": len(body or b""), "owner": "o",
                "group": "g", "permission": "700", "modificationTime": 0, "accessTime": 0, "blockSize": 134217728, "replication": 3}

    def getfilestatus(self, path, request):
        if path not in self.files:
            return error("FileNotFoundException")
        return Answer(200, json.dumps({"FileStatus": self.status(path, "")}).encode())

    def liststatus(self, path, request):
        if path not in self.files:
            return error("FileNotFoundException")
        if self.files[path] is not None:
            return Answer(200, json.dumps({"FileStatuses": {"FileStatus": [self.status(path, "")]}}).encode())
        under = path + "/"
        names = [p for p in self.files if p.startswith(under) and "/" not in p[len(under):]]
        return Answer(200, json.dumps({"FileStatuses": {"FileStatus": [self.status(p, p[len(under):]) for p in sorted(names)]}}).encode())
