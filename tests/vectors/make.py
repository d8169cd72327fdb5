#!/usr/bin/python3
"""Test vectors for Holdfast's sealing, from an implementation that shares no code with src/.

Written from docs/format.md alone. Run by hand when the format changes; the C++ tests read what it wrote:

    /usr/bin/python3 tests/vectors/make.py          rewrite tests/vectors/*.txt and the example in docs/format.md
    /usr/bin/python3 tests/vectors/make.py --check  exit 1 if any of them would change

What stands behind it: hashlib and hmac of Python, AES-256-GCM of python3-cryptography (OpenSSL, like ours: hence
NIST's own vectors beside it), and an Argon2id written out below after RFC 9106, because Debian 12's cryptography
has none; it proves itself against the RFC's own vector at every run. CRC-32C bit by bit, after RFC 3720.
"""
import datetime
import hashlib
import hmac as hmac_
import os
import struct
import sys
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = os.path.dirname(os.path.abspath(__file__))
FORMAT = os.path.join(HERE, "..", "..", "docs", "format.md")


# ---- primitives ------------------------------------------------------------------------------------------------
def sha256(b):
    return hashlib.sha256(b).digest()


def hmac(key, b):
    return hmac_.new(key, b, hashlib.sha256).digest()


def hkdf(ikm, salt, info, length=32):
    prk = hmac(salt or bytes(32), ikm)
    out, t = b"", b""
    while len(out) < length:
        t = hmac(prk, t + info + bytes([len(out) // 32 + 1]))
        out += t
    return out[:length]


def kdf(key, label, context=b""):
    return hkdf(key, b"", label.encode() + b"\0" + context)


def crc32c(b):
    c = 0xFFFFFFFF
    for x in b:
        c ^= x
        for _ in range(8):
            c = (c >> 1) ^ (0x82F63B78 if c & 1 else 0)
    return c ^ 0xFFFFFFFF


def gcm(key, counter, aad, text):
    return AESGCM(key).encrypt(struct.pack("<Q4x", counter), text, aad)


M64 = (1 << 64) - 1


def _h_prime(length, b):
    b = struct.pack("<I", length) + b
    if length <= 64:
        return hashlib.blake2b(b, digest_size=length).digest()
    v = hashlib.blake2b(b).digest()
    out, left = v[:32], length - 32
    while left > 64:
        v = hashlib.blake2b(v).digest()
        out, left = out + v[:32], left - 32
    return out + hashlib.blake2b(v, digest_size=left).digest()


def _gb(v, a, b, c, d):
    def f(x, y):
        return (x + y + 2 * (x & 0xFFFFFFFF) * (y & 0xFFFFFFFF)) & M64

    def ror(x, n):
        return (x >> n) | (x << (64 - n)) & M64

    v[a] = f(v[a], v[b]); v[d] = ror(v[d] ^ v[a], 32)
    v[c] = f(v[c], v[d]); v[b] = ror(v[b] ^ v[c], 24)
    v[a] = f(v[a], v[b]); v[d] = ror(v[d] ^ v[a], 16)
    v[c] = f(v[c], v[d]); v[b] = ror(v[b] ^ v[c], 63)


def _p(v, i):
    for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                       (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
        _gb(v, i[a], i[b], i[c], i[d])


def _compress(x, y):
    r = [a ^ b for a, b in zip(x, y)]
    q = list(r)
    for row in range(8):
        _p(q, range(16 * row, 16 * row + 16))
    for col in range(8):
        _p(q, [16 * r_ + 2 * col + s for r_ in range(8) for s in (0, 1)])
    return [a ^ b for a, b in zip(q, r)]


def argon2id(password, salt, memory_kib, passes, lanes=1, tag=32, secret=b"", ad=b""):
    def item(b):
        return struct.pack("<I", len(b)) + b

    h0 = hashlib.blake2b(struct.pack("<6I", lanes, tag, memory_kib, passes, 0x13, 2) + item(password) + item(salt)
                         + item(secret) + item(ad)).digest()
    quarter = memory_kib // (4 * lanes)
    columns = 4 * quarter
    total = columns * lanes
    block = [[None] * columns for _ in range(lanes)]
    for lane in range(lanes):
        for col in (0, 1):
            block[lane][col] = list(struct.unpack("<128Q", _h_prime(1024, h0 + struct.pack("<II", col, lane))))
    for p in range(passes):
        for s in range(4):
            for lane in range(lanes):
                addresses = []
                if p == 0 and s < 2:  # data-independent half of the first pass
                    for i in range(1, (quarter + 127) // 128 + 1):
                        z = [p, lane, s, total, passes, 2, i] + [0] * 121
                        addresses += _compress([0] * 128, _compress([0] * 128, z))
                for k in range(quarter):
                    col = s * quarter + k
                    if p == 0 and col < 2:
                        continue
                    before = block[lane][(col - 1) % columns]
                    j = addresses[k] if addresses else before[0]
                    j1, j2 = j & 0xFFFFFFFF, j >> 32
                    ref_lane = lane if p == 0 and s == 0 else j2 % lanes
                    if p == 0:
                        area = s * quarter + (k - 1 if ref_lane == lane else (-1 if k == 0 else 0))
                        start = 0
                    else:
                        area = columns - quarter + (k - 1 if ref_lane == lane else (-1 if k == 0 else 0))
                        start = (s + 1) % 4 * quarter
                    x = j1 * j1 >> 32
                    ref = (start + area - 1 - (area * x >> 32)) % columns
                    new = _compress(before, block[ref_lane][ref])
                    if p > 0:
                        new = [a ^ b for a, b in zip(new, block[lane][col])]
                    block[lane][col] = new
    last = [0] * 128
    for lane in range(lanes):
        last = [a ^ b for a, b in zip(last, block[lane][-1])]
    return _h_prime(tag, struct.pack("<128Q", *last))


def prove_argon2id():  # RFC 9106, section 5.3
    got = argon2id(b"\1" * 32, b"\2" * 16, 32, 3, lanes=4, secret=b"\3" * 8, ad=b"\4" * 12)
    assert got.hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659", got.hex()


# ---- docs/format.md 2: sealed objects --------------------------------------------------------------------------
def domain(root):
    return {k: kdf(root, "holdfast " + k) for k in ("seal", "hash", "address")}


def blob16(b):
    return struct.pack("<H", len(b)) + b


def blob32(b):
    return struct.pack("<I", len(b)) + b


def binding(store, name, extra=b""):
    return store + blob16(name.encode()) + blob16(extra)


def header(kind, epoch, salt, h):
    def make(crc):
        return struct.pack("<4sBBHII", b"HFSO", kind, 1, 1, epoch, crc) + salt + h

    return make(crc32c(make(0)))


def object_h(d, kind, epoch, salt, bound, determines):
    return hmac(d["hash"], struct.pack("<4sBBHI", b"HFSO", kind, 1, 1, epoch) + salt + bound + determines)


def object_key(d, kind, salt, h):
    return hkdf(d["seal"], salt, b"holdfast object\0" + bytes([kind]) + h)


def seal_object(d, kind, epoch, salt, bound, text):
    h = object_h(d, kind, epoch, salt, bound, text)
    head = header(kind, epoch, salt, h)
    return head + gcm(object_key(d, kind, salt, h), 0, head + bound, text)


# ---- 3: unlockers ----------------------------------------------------------------------------------------------
def unlockers(store, master, entries):
    """entries: (passphrase, memory, passes, salt)"""
    out = b"HFUNLOCK" + struct.pack("<HH", 1, len(entries)) + store
    keks = []
    for passphrase, memory, passes, salt in entries:
        kek = argon2id(passphrase, salt, memory, passes)
        public = struct.pack("<BBHII16sIIQ", 1, 1, 0, memory, passes, salt, 0, 0, 0)
        out += public + hmac(kek, b"holdfast check" + store) + gcm(kdf(kek, "holdfast wrap"), 0, store + public, master)
        keks.append(kek)
    return out + sha256(out), keks


# ---- 4: keyring ------------------------------------------------------------------------------------------------
def keyring_text(current, journal, tables):
    out = struct.pack("<III", 1, current, len(journal))
    for epoch, key in sorted(journal):
        out += struct.pack("<I", epoch) + key
    out += struct.pack("<I", len(tables))
    for table, epoch, key in sorted(tables):
        out += table + struct.pack("<I", epoch) + key
    return out


def table_root(table_key, descriptor):
    return kdf(table_key, "holdfast table", sha256(descriptor))


TYPES = {"bytes": 1, "text": 2, "int64": 3, "uint64": 4, "uuid": 5, "timestamp": 6, "json": 7}


def table_descriptor(name, key="bytes", value="bytes"):
    return struct.pack("<H", 1) + blob16(name) + bytes([TYPES[key], TYPES[value], 1, 1]) + struct.pack("<HHH", 16, 64, 0)


def sortable(n):  # an int64 so that its bytes sort as the numbers do
    return struct.pack(">Q", n + (1 << 63))


# ---- 5: segments -----------------------------------------------------------------------------------------------
def node_address(d, canonical):
    return b"\1" + hmac(d["address"], canonical)


def sealed_node_bytes(n):
    return (4 + n + 15) // 16 * 16 + 16


def seal_segment(d, epoch, salt, store, name, table, nodes):
    """nodes: (canonical, hints). Returns bytes, h, [(offset, length, address)]"""
    bound = binding(store, name, table)
    offset, determines, placed = 80, b"", []
    for canonical, hints in nodes:
        bare = 4 + len(canonical) + len(hints)
        tail = hints + bytes(-bare % 16)
        address = node_address(d, canonical)
        length = 4 + len(canonical) + len(tail) + 16
        determines += struct.pack("<II", offset, length) + address + struct.pack("<I", len(tail)) + tail
        placed.append((offset, length, address, blob32(canonical) + tail))
        offset += length
    h = object_h(d, 1, epoch, salt, bound, determines)
    head = header(1, epoch, salt, h)
    key = object_key(d, 1, salt, h)
    out = head
    for offset, length, address, text in placed:
        assert offset == len(out)
        out += gcm(key, offset, b"HFNODE" + head + bound + address, text)
    return out, h, [p[:3] for p in placed]


# ---- 9: anchor -------------------------------------------------------------------------------------------------
def anchor(key, store, term, index, chain, save):
    out = b"HFANCHR1" + store + struct.pack("<QQ", term, index) + chain + struct.pack("<Q", save)
    return out + hmac(key, out)


def short_anchor(key, store, term, index, chain, save):
    def counted_number(n):
        size = (n.bit_length() + 7) // 8
        return bytes([size]) + n.to_bytes(size, "little")
    tag = hmac(key, b"holdfast short anchor" + store + struct.pack("<QQQ", term, index, save) + chain)[:12]
    body = store[:4] + counted_number(term) + counted_number(index) + counted_number(save) + tag
    whole = body + struct.pack("<I", crc32c(body))
    bits = "".join(f"{b:08b}" for b in whole)
    bits += "0" * (-len(bits) % 5)
    letters = "".join("0123456789abcdefghjkmnpqrstvwxyz"[int(bits[i:i + 5], 2)] for i in range(0, len(bits), 5))
    return "hf1:" + "-".join(letters[i:i + 4] for i in range(0, len(letters), 4))


# ---- files -----------------------------------------------------------------------------------------------------
class File:
    def __init__(self, name, about):
        self.path = os.path.join(HERE, name)
        self.text = f"# {about}\n# Written by make.py. Bytes in hex, numbers in decimal, text after a quote.\n"

    def block(self, title, /, **values):
        self.text += f"\n[{title}]\n"
        for key, v in values.items():
            if isinstance(v, bytes):
                v = v.hex()
            elif isinstance(v, str):
                v = '"' + v
            self.text += f"{key} = {v}".rstrip() + "\n"


STORE = bytes(range(0x10, 0x20))
OTHER_STORE = bytes(range(0x20, 0x30))
TABLE = bytes(range(0xA0, 0xB0))
MASTER = bytes(range(32))
STORE_LABELS = {"slot_root": "holdfast slot", "keyring_root": "holdfast keyring", "save_number": "holdfast save number",
                "anchor": "holdfast anchor", "root": "holdfast root", "chain": "holdfast chain"}


def salt_of(name, n=32):
    """What the test's source of randomness hands out: a fixed text, so that both sides draw the same bytes."""
    return sha256(b"salt of " + name.encode())[:n]


def hash_file():
    f = File("hash.txt", "SHA-256, HMAC-SHA-256, HKDF-SHA-256: inputs of every awkward size. docs/format.md 2")
    pattern = bytes(i * 7 & 0xFF for i in range(300))
    for n in (0, 1, 55, 56, 63, 64, 65, 119, 127, 128, 300):
        f.block(f"sha256 {n}", input=pattern[:n], digest=sha256(pattern[:n]))
    for k in (0, 1, 32, 63, 64, 65, 200):
        f.block(f"hmac {k}", key=pattern[:k], input=pattern[100:177], digest=hmac(pattern[:k], pattern[100:177]))
    for k, s, i in ((32, 0, 0), (32, 32, 64), (16, 80, 0), (64, 32, 49)):
        f.block(f"hkdf {k} {s} {i}", ikm=pattern[:k], salt=pattern[:s], info=pattern[:i],
                key=hkdf(pattern[:k], pattern[:s], pattern[:i]))
    f.block("kdf", key_in=MASTER, label="holdfast seal", context=STORE, key=kdf(MASTER, "holdfast seal", STORE))
    f.block("kdf no context", key_in=MASTER, label="holdfast seal", context=b"", key=kdf(MASTER, "holdfast seal"))
    return f


def argon_file():
    f = File("argon2id.txt", "Argon2id, one lane: an implementation of its own after RFC 9106. docs/format.md 3")
    for passphrase, memory, passes in ((b"", 8, 1), (b"correct horse battery staple", 8, 1), (b"correct horse", 8, 3),
                                       ("Pa\u00dfwort \u2603".encode(), 64, 2), (b"x" * 1024, 19, 2)):
        salt = salt_of(f"argon {memory} {passes}", 16)
        f.block(f"{len(passphrase)} bytes {memory} KiB {passes} passes", passphrase=passphrase, salt=salt,
                memory_kib=memory, passes=passes, key=argon2id(passphrase, salt, memory, passes))
    return f


def types_file():
    f = File("types.txt", "Descriptors of typed tables, and keys of each type with its text. docs/format.md 5")
    for types in (("int64", "json"), ("timestamp", "text"), ("uuid", "uint64")):
        f.block(" to ".join(types), descriptor=table_descriptor(b"people", *types))
    for n in (-(1 << 63), -1, 0, 1, (1 << 63) - 1):
        f.block(f"int64 {n}", text=str(n).encode(), bytes=sortable(n))
    for n in (0, 258, (1 << 64) - 1):
        f.block(f"uint64 {n}", text=str(n).encode(), bytes=struct.pack(">Q", n))
    for u in (uuid.UUID(int=0), uuid.UUID(int=0x00112233445566778899AABBCCDDEEFF)):
        f.block(f"uuid {u}", text=str(u).encode(), bytes=u.bytes)
    for when in ((1, 1, 1), (1900, 3, 1, 1, 2, 3, 4), (1969, 12, 31, 23, 59, 59, 999999), (2024, 2, 29, 12, 34, 56, 7), (9999, 12, 31, 23, 59, 59, 999999)):
        t, micro = datetime.datetime(*when), datetime.timedelta(microseconds=1)
        text = t.isoformat(timespec="microseconds") + "Z"
        f.block("timestamp " + text, text=text.encode(), bytes=sortable((t - datetime.datetime(1970, 1, 1)) // micro))
    return f


def keys_file():
    f = File("keys.txt", "Keys that hang off the master key, a domain root, a table key. docs/format.md 2, 3, 4")
    f.block("store", master=MASTER, store=STORE, **{k: kdf(MASTER, v, STORE) for k, v in STORE_LABELS.items()})
    d = domain(MASTER)
    f.block("domain", root=MASTER, **d)
    descriptor = table_descriptor(b"people")
    root = table_root(MASTER, descriptor)
    f.block("table", table_key=MASTER, descriptor=descriptor, root=root, **domain(root))
    return f


def object_file():
    f = File("object.txt", "Sealed objects. docs/format.md 2")
    root = kdf(MASTER, "holdfast slot", STORE)
    d = domain(root)
    for name, kind, epoch, key_name, extra, text in (
            ("manifest", 3, 0, "enclave-state/0/core-enclave", b"", b"the text of a manifest"),
            ("frame", 2, 7, "members/" + STORE.hex().upper() + "/journal/00000000000000000042", bytes(range(20)), bytes(384)),
            ("empty", 4, 0xFFFFFFFF, "n", b"", b""),
            ("long", 3, 1, "enclave-state/1/core-enclave", b"e" * 300, bytes(i & 0xFF for i in range(5000)))):
        salt = salt_of(name)
        bound = binding(STORE, key_name, extra)
        h = object_h(d, kind, epoch, salt, bound, text)
        f.block(name, root=root, kind=kind, epoch=epoch, store=STORE, name=key_name, extra=extra, salt=salt, text=text,
                h=h, key=object_key(d, kind, salt, h), sealed=seal_object(d, kind, epoch, salt, bound, text))
    return f


def unlockers_file():
    f = File("unlockers.txt", "Unlocker records. docs/format.md 3")
    one = (b"correct horse battery staple", 8, 1, salt_of("unlockers", 16))
    two = (b"another passphrase", 16, 2, salt_of("second unlocker", 16))
    record, keks = unlockers(STORE, MASTER, [one])
    f.block("one", store=STORE, master=MASTER, passphrase=one[0], memory_kib=one[1], passes=one[2], salt=one[3],
            kek=keks[0], record=record)
    record, _ = unlockers(STORE, MASTER, [one, two])
    f.block("two", store=STORE, master=MASTER, passphrase=one[0], second_passphrase=two[0], record=record)
    record, _ = unlockers(STORE, MASTER, [one] * 15 + [two])
    f.block("sixteen", store=STORE, master=MASTER, passphrase=two[0], record=record)
    return f


def keyring_case():
    root = kdf(MASTER, "holdfast keyring", STORE)
    journal = [(1, salt_of("journal key"))]
    tables = [(TABLE, 1, salt_of("table key")), (TABLE, 2, salt_of("newer table key")),
              (bytes(range(0xB0, 0xC0)), 1, salt_of("other table key"))]
    return root, journal, tables


def keyring_file():
    f = File("keyring.txt", "A sealed keyring. docs/format.md 4")
    root, journal, tables = keyring_case()
    text = keyring_text(1, journal, tables)
    name = "enclave-state/0/key-enclave"
    descriptor = table_descriptor(b"people")
    salt = salt_of("keyring")
    f.block("keyring", root=root, store=STORE, name=name, salt=salt, journal_key=journal[0][1], table=TABLE,
            table_key_1=tables[0][2], table_key_2=tables[1][2], other_table=tables[2][0], other_table_key=tables[2][2],
            text=text, sealed=seal_object(domain(root), 4, 0, salt, binding(STORE, name), text), descriptor=descriptor,
            journal_seal=domain(journal[0][1])["seal"], table_seal=domain(table_root(tables[1][2], descriptor))["seal"])
    return f


def segment_file():
    f = File("segment.txt", "A segment of three nodes: a leaf, a chunk, the inner node above. docs/format.md 5")
    descriptor = table_descriptor(b"people")
    d = domain(table_root(salt_of("table key"), descriptor))
    chunk = struct.pack("<BBHI", 3, 0, 0, 500) + bytes(i & 0xFF for i in range(500))
    leaf = (struct.pack("<BBH", 1, 0, 2) + blob16(b"ada") + b"\0" + blob16(b"lovelace") + blob16(b"grace") + b"\1"
            + struct.pack("<Q", 500) + node_address(d, chunk) + struct.pack("<Q", 9))
    inner = struct.pack("<BBH", 2, 1, 1) + blob16(b"") + node_address(d, leaf) + struct.pack("<QQ", 9, 2)
    name = "segments/" + (struct.pack(">Q", 3) + bytes(range(8))).hex().upper()
    chunk_bytes, leaf_bytes = sealed_node_bytes(len(chunk)), sealed_node_bytes(len(leaf) + 12)
    nodes = [(chunk, b""), (leaf, struct.pack("<III", 5, 80, chunk_bytes)),
             (inner, struct.pack("<III", 5, 80 + chunk_bytes, leaf_bytes))]
    out, h, placed = seal_segment(d, 1, salt_of("segment"), STORE, name, TABLE, nodes)
    f.block("segment", store=STORE, table=TABLE, table_key=salt_of("table key"), descriptor=descriptor, epoch=1, name=name,
            salt=salt_of("segment"), h=h, sha256=sha256(out), sealed=out)
    for i, ((canonical, hints), (offset, length, address)) in enumerate(zip(nodes, placed)):
        f.block(f"node {i}", canonical=canonical, hints=hints, address=address, offset=offset, length=length)
    return f


def shared_file():
    f = File("shared.txt", "A table that shares values, and the table of those. docs/format.md 5")
    values = bytes(range(0xB0, 0xC0))
    roled = lambda name, role, table: struct.pack("<H", 2) + table_descriptor(name)[2:] + bytes([role]) + table
    descriptor, key, value = roled(b"people", 3, values), salt_of("table key"), bytes(i & 0xFF for i in range(500))
    shared_key = kdf(domain(table_root(key, descriptor))["address"], "holdfast shared value")
    address = b"\1" + hmac(shared_key, value)
    f.block("address", table=TABLE, table_key=key, descriptor=descriptor, values=values, value=value, address=address,
            count_key=address + b"\1", count=struct.pack("<Q", 3))
    f.block("table of values", descriptor=roled(b"", 4, TABLE))
    f.block("leaf", address=address, canonical=struct.pack("<BBH", 1, 0, 2) + blob16(b"ada") + b"\0" + blob16(b"lovelace")
            + blob16(b"grace") + b"\2" + struct.pack("<Q", 500) + address)
    return f


def anchor_file():
    f = File("anchor.txt", "An anchor. docs/format.md 9")
    key = kdf(MASTER, "holdfast anchor", STORE)
    f.block("anchor", key=key, store=STORE, term=3, index=1234567890123, chain=salt_of("chain"), save=17,
            bytes=anchor(key, STORE, 3, 1234567890123, salt_of("chain"), 17))
    f.block("short anchor", key=key, store=STORE, term=3, index=1234567890123, chain=salt_of("chain"), save=17,
            text=short_anchor(key, STORE, 3, 1234567890123, salt_of("chain"), 17))
    return f


# ---- 8: logical root, manifest ---------------------------------------------------------------------------------
NOW = 0xFFFF


def counted(items):
    return struct.pack("<I", len(items)) + b"".join(items)


def root_table(table, name, root=None):
    """root: (address, birth, rows)"""
    address, birth, rows = root or (bytes(33), 0, 0)
    return table + struct.pack("<I", 1) + blob16(table_descriptor(name)) + address + struct.pack("<QQ", birth, rows)


def logical_root(store, index, term, chain, parent, tables, tags):
    """tags: (name, index, term, chain, tables), ascending by name"""
    out = b"HFROOT02" + struct.pack("<I", 1) + store + struct.pack("<QQ", index, term) + chain + parent + bytes(32)
    out += counted(tables)
    return out + counted([blob16(n) + struct.pack("<QQ", i, t) + c + counted(shown) for n, i, t, c, shown in tags])


def manifest_head(store, member, save, root, hints, frame, next_segment, owed, garbage, groups):
    """groups: (slot, first, id, segments, sealed bytes, text), ascending"""
    out = struct.pack("<I", 3) + store + member + struct.pack("<Q", save) + blob32(root)
    out += b"".join(struct.pack("<III", *h) for h in hints)
    out += struct.pack("<Q", frame[0]) + frame[1] + struct.pack("<IBQ", next_segment, owed, garbage)
    return out + counted([struct.pack("<BI", slot, first) + i + struct.pack("<IQ", n, len(sealed)) + sha256(sealed) + sha256(text)
                          for slot, first, i, n, sealed, text in groups])


def manifest_group(tags, segments):
    """segments: (number, id, table, epoch, salt, h, sha256, size, born, condemned, blobs, [(first, last, bytes)])"""
    return struct.pack("<I", len(tags)) + b"".join(struct.pack("<Q", t) for t in tags) + counted([
        struct.pack("<I", n) + i + t + struct.pack("<I", e) + salt + h + sha
        + struct.pack("<QQQB", size, born, condemned, blobs) + counted([struct.pack("<HHI", *span) for span in spans])
        for n, i, t, e, salt, h, sha, size, born, condemned, blobs, spans in segments])


def manifest_file():
    f = File("manifest.txt", "A logical root with two tags, a member's head of a manifest, and a group of it. docs/format.md 8")
    heads, other = bytes(15) + b"\1", bytes(range(0xB0, 0xC0))
    def address(name):
        return b"\1" + salt_of("address of " + name)
    def tables(people):
        return [root_table(heads, b"", (address("heads " + people), 40, 3)),
                root_table(TABLE, b"people", (address(people), 30, 2)), root_table(other, b"empty")]
    tags = [(b"after", 40, 2, salt_of("chain 40"), tables("old people")[:2]),
            (b"before", 30, 1, salt_of("chain 30"), tables("oldest people")[1:])]
    root = logical_root(STORE, 50, 3, salt_of("chain 50"), salt_of("parent"), tables("people"), tags)
    root_key = kdf(MASTER, "holdfast root", STORE)
    hints = [(3, 80, 112), (3, 192, 256), (0, 0, 0), (2, 80, 112), (2, 192, 256), (1, 80, 256), (0, 0, 0)]
    def segment(number, table, condemned, blobs, spans):
        name = f"segment {number}"
        return (number, struct.pack(">Q", number) + bytes(range(8)), table, 1, salt_of(name), salt_of("h of " + name),
                salt_of("sha of " + name), 4096, number, condemned, blobs, spans)
    group = manifest_group([30, 40], [
        segment(1, TABLE, 0, 1, [(0, 0, 100), (0, 1, 200), (0, NOW, 300), (1, 1, 400), (1, NOW, 500), (NOW, NOW, 600)]),
        segment(2, heads, 7, 0, [])])
    group_id = struct.pack(">Q", 7) + bytes(range(8))
    group_name = "manifest/" + group_id.hex().upper()
    slot_root = kdf(MASTER, "holdfast slot", STORE)
    sealed = seal_object(domain(slot_root), 5, 0, salt_of("group"), binding(STORE, group_name), group)
    def other_group(save, slot, first):  # listed, not made
        return (slot, first, struct.pack(">Q", save) + bytes(8), 1, b"bytes", b"text")
    text = manifest_head(STORE, OTHER_STORE, 7, root, hints, (99, salt_of("frame")), 9, 2, 1000, [
        other_group(6, 0, 1), (1, 1, group_id, 2, sealed, group), other_group(5, 1, 3), other_group(3, 2, 1)])
    f.block("root", store=STORE, index=50, term=3, chain=salt_of("chain 50"), parent=salt_of("parent"), key=root_key,
            text=root, digest=hmac(root_key, root), people=TABLE, people_address=address("people"),
            before_people_address=address("oldest people"), before_chain=salt_of("chain 30"))
    f.block("manifest", member=OTHER_STORE, save=7, frame=99, frame_digest=salt_of("frame"), text=text)
    f.block("group", root=slot_root, name=group_name, salt=salt_of("group"), text=group, sealed=sealed)
    return f


# ---- docs/format.md 11: the worked example ----------------------------------------------------------------------
BEGIN = "<!-- begin: written by tests/vectors/make.py -->\n"
END = "<!-- end -->\n"


class Dump:
    """A hex dump, one field after another, 16 bytes a line, the meaning behind the field's first line."""

    def __init__(self, title, whole):
        self.whole, self.at, self.lines = whole, 0, [f"{title}: {len(whole)} bytes"]

    def field(self, size, meaning):
        for i in range(0, size, 16):
            part = self.whole[self.at:self.at + min(16, size - i)]
            line = f"{self.at:04x}  {part.hex(' '):47}  {meaning if i == 0 else ''}"
            self.lines.append(line.rstrip())
            self.at += len(part)

    def text(self):
        assert self.at == len(self.whole), (self.at, len(self.whole))
        return "```\n" + "\n".join(self.lines) + "\n```\n"


def run(first, n):
    return bytes(range(first, first + n))


def dump_unlockers(record):
    d = Dump("unlockers", record)
    for size, meaning in ((8, "magic HFUNLOCK"), (2, "format version 1"), (2, "1 unlocker"), (16, "store id"),
                          (1, "kind 1: passphrase"), (1, "algorithm 1: Argon2id"), (2, "0"), (4, "8 KiB"), (4, "1 pass"),
                          (16, "salt"), (4, "0"), (4, "0"), (8, "0; the 44 bytes up to here are in the AAD"),
                          (32, 'check = HMAC(KEK, "holdfast check" || store id)'),
                          (32, "master key, encrypted under KDF(KEK, \"holdfast wrap\")"), (16, "tag"),
                          (32, "SHA-256 of all before it")):
        d.field(size, meaning)
    return d.text()


def dump_keyring(sealed):
    d = Dump("keyring", sealed)
    for size, meaning in ((4, "magic HFSO"), (1, "kind 4: keyring"), (1, "algorithm 1"), (2, "format version 1"),
                          (4, "key epoch 0"), (4, "CRC-32C of these 80 bytes with this field zero"), (32, "salt"),
                          (32, "h = HMAC(hash key, the first 12 bytes || salt || binding || plaintext)"),
                          (len(sealed) - 96, "ciphertext of the plaintext below, nonce 0"), (16, "tag")):
        d.field(size, meaning)
    return d.text()


def dump_keyring_text(text):
    d = Dump("keyring plaintext", text)
    for size, meaning in ((4, "version 1"), (4, "current epoch 1"), (4, "1 journal key"), (4, "epoch 1"),
                          (32, "journal key"), (4, "1 table key"), (16, "table id"), (4, "epoch 1"), (32, "table key")):
        d.field(size, meaning)
    return d.text()


def dump_group(sealed):
    d = Dump("manifest group", sealed)
    for size, meaning in ((4, "magic HFSO"), (1, "kind 5: manifest group"), (1, "algorithm 1"), (2, "format version 1"),
                          (4, "key epoch 0"), (4, "CRC-32C of these 80 bytes with this field zero"), (32, "salt"),
                          (32, "h = HMAC(hash key of the slots, the first 12 bytes || salt || binding || plaintext)"),
                          (len(sealed) - 96, "ciphertext of the plaintext below, nonce 0"), (16, "tag")):
        d.field(size, meaning)
    return d.text()


def dump_group_text(text):
    d = Dump("manifest group plaintext", text)
    for size, meaning in ((4, "1 tag is named"), (8, "it is of log index 700"), (4, "1 segment"), (4, "segment number 5"),
                          (16, "segment id: written by save 16"), (16, "table id"), (4, "epoch 1"), (32, "salt of the segment"),
                          (32, "its h"), (32, "SHA-256 of its bytes"), (8, "4096 bytes"), (8, "born of save 16"),
                          (8, "not condemned"), (1, "no chunks of blobs"), (4, "2 spans"),
                          (2, "first seen by the tag"), (2, "last by the newest root"), (4, "3000 bytes"),
                          (2, "first seen by the newest root"), (2, "last by the newest root"), (4, "160 bytes")):
        d.field(size, meaning)
    return d.text()


def dump_anchor(b):
    d = Dump("anchor", b)
    for size, meaning in ((8, "magic HFANCHR1"), (16, "store id"), (8, "term 3"), (8, "index 1000"),
                          (32, "chain at that index"), (8, "save number 17"), (32, "HMAC(anchor key, the 80 bytes before)")):
        d.field(size, meaning)
    return d.text()


def example():
    passphrase, name = "correct horse battery staple", "enclave-state/0/key-enclave"
    record, (kek,) = unlockers(STORE, MASTER, [(passphrase.encode(), 8, 1, run(0x80, 16))])
    keyring_root, anchor_key = kdf(MASTER, "holdfast keyring", STORE), kdf(MASTER, "holdfast anchor", STORE)
    text = keyring_text(1, [(1, run(0x40, 32))], [(TABLE, 1, run(0x60, 32))])
    group = manifest_group([700], [(5, struct.pack(">Q", 16) + run(0x90, 8), TABLE, 1, run(0x20, 32), run(0x30, 32), run(0x50, 32),
                                    4096, 16, 0, 0, [(0, NOW, 3000), (NOW, NOW, 160)])])
    group_name = "manifest/" + (struct.pack(">Q", 17) + run(0x98, 8)).hex().upper()
    slot_keys = domain(kdf(MASTER, "holdfast slot", STORE))
    sealed_group = seal_object(slot_keys, 5, 0, run(0xD0, 32), binding(STORE, group_name), group)
    salt, bound, d = run(0xC0, 32), binding(STORE, name), domain(keyring_root)
    sealed = seal_object(d, 4, 0, salt, bound, text)
    values = {"passphrase": passphrase.encode(), "KEK": kek, "master": MASTER, "store id": STORE,
              "keyring domain root": keyring_root, "seal key": d["seal"], "hash key": d["hash"], "binding": bound,
              "object key": object_key(d, 4, salt, sealed[48:80]), "anchor key": anchor_key}
    lines = "".join(f"{k:19} = {v.hex()}\n" for k, v in values.items())
    return (f"The passphrase is `{passphrase}`, Argon2id takes 8 KiB and one pass, the keyring lies in `{name}`, the group in\n"
            f"`{group_name}`; all that is drawn at random is counted up instead. A test opens these dumps as they stand here.\n\n"
            f"```\n{lines}```\n" + dump_unlockers(record) + dump_keyring(sealed) + dump_keyring_text(text)
            + dump_group(sealed_group) + dump_group_text(group)
            + dump_anchor(anchor(anchor_key, STORE, 3, 1000, run(0xE0, 32), 17)))


def format_with_example(document):
    if BEGIN not in document:
        document += "\n## 11. A worked example\n" + BEGIN + END
    before, rest = document.split(BEGIN)
    return before + BEGIN + example() + END + rest.split(END, 1)[1]


def main():
    prove_argon2id()
    changed = []
    outputs = {f.path: f.text for f in (hash_file(), argon_file(), keys_file(), types_file(), object_file(), unlockers_file(),
                                        keyring_file(), segment_file(), shared_file(), manifest_file(), anchor_file())}
    outputs[FORMAT] = format_with_example(open(FORMAT).read())
    for path, text in outputs.items():
        old = open(path).read() if os.path.exists(path) else ""
        if old != text:
            changed.append(os.path.basename(path))
            if "--check" not in sys.argv:
                open(path, "w").write(text)
    print("changed:", " ".join(changed) or "nothing")
    return 1 if changed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
