"""An S3 service in memory that checks every signature and keeps the conditions (If-None-Match: *, If-Match)."""
import hashlib
import re
import threading
import urllib.parse
import xml.sax.saxutils

import sigv4_check
from sigv4_check import error
from stub import Answer, Stub

KEYS = {"STUBKEY": "stub/secret+of=forty"}


class S3Stub(Stub):
    def __init__(self, bucket="hf", keys=None, region="us-east-1", conditions=True, page_max=1000, **more):
        super().__init__(**more)
        self.bucket, self.keys, self.region = bucket, keys or KEYS, region
        self.conditions, self.page_max = conditions, page_max
        self.objects = {}  # key -> (bytes, etag, metadata)
        self.lock = threading.Lock()
        self.full = False
        self.refused = 0

    def answer(self, request):
        try:
            sigv4_check.check(request, "s3", self.keys, self.region)
        except Answer:
            self.refused += 1
            raise
        bucket, _, key = request.path.lstrip("/").partition("/")
        if bucket != self.bucket:
            return Answer(404, error("NoSuchBucket"))
        with self.lock:
            if key == "":
                return self.list(request)
            return getattr(self, "do_" + request.method)(request, key)

    def do_PUT(self, request, key):
        there = self.objects.get(key)
        none, match = request.headers.get("if-none-match"), request.headers.get("if-match")
        if self.conditions:
            if none == "*" and there is not None:
                return Answer(412, error("PreconditionFailed"))
            if match is not None and there is None:
                return Answer(404, error("NoSuchKey"))
            if match is not None and there[1] != match:
                return Answer(412, error("PreconditionFailed"))
        if self.full:
            return Answer(507, error("XMinioStorageFull"))
        etag = '"' + hashlib.md5(request.body).hexdigest() + '"'
        metadata = {k: v for k, v in request.headers.items() if k.startswith("x-amz-meta-")}
        self.objects[key] = (request.body, etag, metadata)
        return Answer(200, headers={"ETag": etag})

    def do_GET(self, request, key):
        if key not in self.objects:
            return Answer(404, error("NoSuchKey"))
        body, etag, metadata = self.objects[key]
        headers = {"ETag": etag, **metadata}
        wanted = request.headers.get("range")
        if wanted is None:
            return Answer(200, body, headers)
        first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted).groups()
        first, last = int(first), min(int(last or len(body)), len(body) - 1)
        if first >= len(body):
            return Answer(416, error("InvalidRange"))
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        return Answer(206, body[first:last + 1], headers)

    do_HEAD = do_GET

    def do_DELETE(self, request, key):
        self.objects.pop(key, None)
        return Answer(204)

    def list(self, request):
        q = request.query
        if request.method != "GET" or q.get("list-type") != "2":
            return Answer(400, error("InvalidRequest"))
        limit = min(int(q.get("max-keys", 1000)), self.page_max)
        keys = sorted(k for k in self.objects if k.startswith(q.get("prefix", "")) and k > q.get("start-after", ""))
        quote = urllib.parse.quote if q.get("encoding-type") == "url" else xml.sax.saxutils.escape
        contents = "".join(f"<Contents><Key>{quote(k)}</Key><Size>{len(self.objects[k][0])}</Size></Contents>"
                           for k in keys[:limit])
        encoding = "<EncodingType>url</EncodingType>" if q.get("encoding-type") == "url" else ""
        return Answer(200, ('<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
                            'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                            f"<IsTruncated>{'true' if len(keys) > limit else 'false'}</IsTruncated>{encoding}{contents}"
                            "</ListBucketResult>").encode(), {"Content-Type": "application/xml"})
