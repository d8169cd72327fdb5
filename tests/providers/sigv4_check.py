"""Signature Version 4, the verifying side: written from AWS's description, and from nothing in src/."""
import datetime
import hashlib
import hmac
import re
import urllib.parse

from stub import Answer


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def check(request, service, keys, region=None, sha_header=True):
    """Raises a 403 unless the request is signed, whole, by a key of `keys` (id -> secret), today."""
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
                     r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", request.headers.get("authorization", ""))
    if m is None:
        raise Answer(403, error("AccessDenied"))
    key, day, its_region, its_service, names, signature = m.groups()
    if key not in keys or its_service != service or (region and its_region != region):
        raise Answer(403, error("InvalidAccessKeyId"))
    date = request.headers.get("x-amz-date", "")
    then = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if not date.startswith(day) or abs((datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()) > 900:
        raise Answer(403, error("RequestTimeTooSkewed"))
    digest = hashlib.sha256(request.body).hexdigest()
    if sha_header and request.headers.get("x-amz-content-sha256") != digest:
        raise Answer(400, error("XAmzContentSHA256Mismatch"))
    names = names.split(";")
    must = [n for n in request.headers if n == "host" or n.startswith("x-amz-") or n in ("if-match", "if-none-match", "range")]
    if names != sorted(names) or not set(must) <= set(names):
        raise Answer(403, error("SignatureDoesNotMatch"))  # not everything that matters is signed
    pairs = [p.partition("=")[::2] for p in request.raw_query.split("&") if p]
    quote = lambda s: urllib.parse.quote(urllib.parse.unquote(s), safe="-_.~")
    query = "&".join(f"{k}={v}" for k, v in sorted((quote(k), quote(v)) for k, v in pairs))
    canonical = "\n".join([request.method, request.raw_path, query,
                           *(f"{n}:{' '.join(request.headers[n].split())}" for n in names), "", ";".join(names), digest])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, f"{day}/{its_region}/{service}/aws4_request",
                         hashlib.sha256(canonical.encode()).hexdigest()])
    signing = _hmac(_hmac(_hmac(_hmac(b"AWS4" + keys[key].encode(), day), its_region), service), "aws4_request")
    if not hmac.compare_digest(_hmac(signing, to_sign).hex(), signature):
        raise Answer(403, error("SignatureDoesNotMatch"))


def error(code):
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code></Error>'.encode()
