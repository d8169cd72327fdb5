#!/usr/bin/python3
"""Seeds of the fuzzers whose inputs are not text: written here rather than kept as bytes that nobody can read.

    tests/fuzz/make_seeds.py            writes tests/fuzz/corpus/<fuzzer>/<seed>
    tests/fuzz/make_seeds.py --check    says which differ from what lies there

Each seed takes its fuzzer past the first checks of what it parses; the fuzzer does the rest. Seeds that are not named
here (text, findings of fuzzers, certificates) are left alone.
"""
import argparse
import hashlib
import hmac
import os
import struct
import sys

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")

def u8(n): return struct.pack("<B", n)
def u16(n): return struct.pack("<H", n)
def u32(n): return struct.pack("<I", n)
def u64(n): return struct.pack("<Q", n)
def blob16(b): return u16(len(b)) + b
def blob32(b): return u32(len(b)) + b


# -- seam/wire.h: kind, operation, id, head, body

def message(kind, head=b"", body=b"", id=0, operation=0):
    return {"kind": kind, "operation": operation, "id": id, "head": head, "body": body}

def storage_request(operation, name, body=b"", volume=1, offset=0, length=0, after=b"", version=b"", id=7):
    head = u8(volume) + blob16(name) + blob16(after) + blob16(version) + u64(offset) + u64(length)
    return message(32, head, body, id, operation)

def storage_reply(operation, ok=1, code=0, body=b"", version=b"", objects=(), complete=1, id=7):
    head = u8(ok) + u16(code) + blob16(version) + u32(len(objects))
    head += b"".join(blob16(name) + u64(size) for name, size in objects) + u8(complete)
    head += bytes([1, 0, 1, 1, 0]) + u64(16 << 20) + u64(2**64 - 1)
    return message(33, head, body, id, operation)

TO_CORE = {
    "host_hello": message(1, u32(2) + u64(60000) + u64(1 << 20) + bytes([0, 1])),
    "tick": message(3, u64(1000) + u64(2000)),
    "stop_requested": message(4),
    "metrics_request": message(5, id=3),
    "stream_opened": message(16, u8(1), id=9),
    "stream_bytes": message(17, body=b"\x16\x03\x01" + bytes(40), id=9),
    "stream_closed": message(18, id=9),
    "stream_credit": message(19, u64(2**64 - 1), id=9),
    "reply_get": storage_reply(2, body=b"bytes of an object", version=b"v1"),
    "reply_list": storage_reply(9, objects=[(b"enclave-state/0/core-enclave", 900), (b"segments/00", 1)], complete=0),
    "reply_refused": storage_reply(12, ok=0, code=502),
    "reply_capabilities": storage_reply(1),
}
TO_HOST = {
    "core_hello": message(2, u32(2) + u32(0xFFF)),
    "metrics_reply": message(6, u32(3) + u64(1) + u64(2) + u64(3), id=3),
    "ready": message(7),
    "core_note": message(8, blob16(b"torn tail dropped")),
    "core_log": message(9, u16(500) + u64(1) + u64(2)),
    "core_stopped": message(10, u8(1) + u16(0)),
    "request_get_range": storage_request(3, b"segments/00000000000000030001020304050607", offset=512, length=4096),
    "request_list": storage_request(9, b"members/", after=b"members/00", length=1000),
    "request_put": storage_request(5, b"enclave-state/0/core-enclave", body=bytes(range(60))),
    "request_append": storage_request(12, b"members/00/journal/00000000000000000001", body=b"HFFRAME1" + bytes(56), offset=512),
    "request_anchor": storage_request(2, b"anchor", volume=2),
}

def wire_input(m):
    return u8(m["kind"]) + u8(m["operation"]) + u64(m["id"]) + u16(len(m["body"])) + m["head"] + m["body"]

def wire():
    return {name: wire_input(m) for name, m in {**TO_CORE, **TO_HOST}.items()}


# -- seam/ring.h: records

def records(m, sizes=None):
    """A message as records; `sizes`: payload of each but the last."""
    payload, out, at = m["head"] + m["body"], b"", 0
    cuts = list(sizes or [])
    while True:
        size = cuts.pop(0) if cuts else len(payload) - at
        size = min(size, len(payload) - at)
        flags = (1 if not out else 0) | (2 if at + size == len(payload) else 0)
        out += u32(size) + bytes([m["kind"], m["operation"], flags, 0]) + u64(m["id"])
        out += u64(len(m["head"])) + u64(len(m["body"])) + payload[at:at + size]
        at += size
        if flags & 2:
            return out

CONTROL, JOURNAL, STORAGE, STREAM = range(4)
TO_HOST_BIT, WILD, REWRITTEN, AT_THE_END, SAID = 0x80, 1, 2, 4, 8

def ring_input(lane, content, to_host=False, mode=0, position=0, order=0x1234567):
    return bytes([lane | (TO_HOST_BIT if to_host else 0), mode]) + bytes(6) + u64(position) + u64(order) + content

def ring():
    control = b"".join(records(TO_CORE[n]) for n in ("host_hello", "tick", "metrics_request", "stop_requested"))
    notes = b"".join(records(TO_HOST[n]) for n in ("core_hello", "core_note", "ready", "core_log", "metrics_reply", "core_stopped"))
    stream = b"".join(records(TO_CORE[n]) for n in ("stream_opened", "stream_credit", "stream_bytes", "stream_closed"))
    storage = b"".join(records(TO_CORE[n]) for n in ("reply_get", "reply_list", "reply_capabilities"))
    requests = b"".join(records(TO_HOST[n]) for n in ("request_put", "request_list", "request_get_range"))
    split = records(storage_reply(2, body=bytes(range(200)), id=11), [1, 0, 30, 17, 90])
    refused = records(message(17, body=bytes(50), id=4), [20]) + records(message(17, body=b"after it", id=5))
    too_large = records(message(17, body=bytes(10), id=5)).replace(u64(10), u64((512 << 10) + 1), 1) + stream
    return {
        "control": ring_input(CONTROL, control),
        "control_to_host": ring_input(CONTROL, notes, to_host=True),
        "control_at_the_end": ring_input(CONTROL, control, mode=AT_THE_END),
        "stream": ring_input(STREAM, stream),
        "stream_refused": ring_input(STREAM, refused),
        "stream_too_large": ring_input(STREAM, too_large),
        "stream_rewritten": ring_input(STREAM, stream * 4, mode=REWRITTEN),
        "storage": ring_input(STORAGE, storage),
        "storage_split_at_the_end": ring_input(STORAGE, split + storage, mode=AT_THE_END),
        "storage_rewritten_at_the_end": ring_input(STORAGE, (split + storage) * 2, mode=AT_THE_END | REWRITTEN),
        "storage_requests": ring_input(STORAGE, requests, to_host=True),
        "journal_requests": ring_input(JOURNAL, records(TO_HOST["request_append"]) * 3, to_host=True, mode=AT_THE_END),
        "journal_said_longer": ring_input(JOURNAL, records(TO_HOST["request_append"]), to_host=True, mode=SAID, position=4096),
        "position_wild": ring_input(STREAM, stream, mode=WILD, position=2**64 - 40),
        "position_behind": ring_input(STREAM, stream, mode=WILD | AT_THE_END, position=5),
    }

def ring_writer():
    def push(size): return u8(0) + u16(size)
    def read(n): return u8(2) + u8(n)
    flush = u8(1)
    def lie(behind): return u8(3) + u32(behind)
    return {
        "stream_one": u8(1) + push(100) + flush + read(3),
        "stream_many": u8(1) + (push(9000) + flush) * 40 + read(255),
        "stream_full": u8(1) + push(65535) * 6 + flush + read(2) + flush + read(9) + flush,
        "journal_larger_than_the_ring": u8(0) + push(65535) * 2 + (flush + read(7)) * 6,
        "journal_empty_bodies": u8(0) + push(0) * 3 + flush + read(1) + push(1) + flush,
        "reader_ahead": u8(1) + push(50) + flush + lie(2**32 - 1) + flush + push(50) + flush,
        "reader_frees_what_it_has_not_read": u8(0) + push(60000) + flush + lie(0) + push(60000) + flush + read(200),
        "reader_goes_back": u8(0) + push(4000) + flush + read(9) + lie(64000) + push(3) + flush,
    }


# -- the API's messages (api/holdfast/v1/kv.proto), by field number

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])

def number(field, n): return varint(field << 3) + varint(n)
def text(field, b): return varint(field << 3 | 2) + varint(len(b)) + b

def requests():
    put = text(1, b"a") + text(2, b"key") + text(3, b"value")
    delete = text(1, b"b") + text(2, b"key") + number(3, 1)
    compares = text(1, text(1, b"a") + text(2, b"k") + number(3, 1)) + text(1, text(1, b"a") + text(2, b"l") + number(4, 1))
    compares += text(1, text(1, b"b") + text(2, b"m") + text(5, b"equal to this"))
    operations = text(2, text(1, b"a") + text(2, b"k") + text(3, b"v")) + text(2, text(1, b"a") + text(2, b"d") + number(4, 1))
    operations += text(2, text(1, b"c") + text(2, b"from") + text(5, b"until"))
    def session(id, field, body): return text(1, number(1, id) + number(2, id) + text(field, body))
    return {
        "put": b"p" + put,
        "put_no_wait": b"p" + put + number(4, 1),
        "put_into_no_table": b"p" + text(1, b"zz") + text(2, b"key"),
        "put_long_key": b"p" + text(1, b"a") + text(2, bytes(1025)),
        "delete": b"d" + delete,
        "batch": b"b" + compares + operations,
        "batch_of_nothing": b"b" + text(2, text(1, b"a") + text(2, b"k")),
        "batch_inverted_range": b"b" + text(2, text(1, b"a") + text(2, b"z") + text(5, b"a")),
        "batch_compares_only": b"b" + compares + number(3, 1),
        "scan": b"s" + text(1, b"a") + text(2, b"pre") + text(3, b"pref") + text(4, b"prf") + number(5, 1) + number(6, 10),
        "scan_highest_prefix": b"s" + text(1, b"a") + text(2, b"p\xff\xff") + text(3, b"p"),
        "scan_empty": b"s" + text(1, b"a") + text(3, b"b") + text(4, b"a"),
        "table": b"t" + text(1, b"name") + number(2, 1) + number(3, 16) + number(4, 256),
        "table_small_order": b"t" + text(1, b"name") + number(3, 3),
        "session": b"S" + session(1, 3, b"") + session(2, 5, put) + session(3, 6, delete) + session(4, 7, compares + operations) + session(5, 8, b""),
    }


# -- core/session/tls_fuzz.cc: edits of a client's flights

def tls():
    def edit(flight, place, operation, value): return bytes([flight]) + u16(place) + bytes([operation, value])
    SET, CUT, INSERT, AGAIN, REMOVE = range(5)
    hello = b"\x16\x03\x01" + struct.pack(">H", 60) + b"\x01\x00\x00\x38\x03\x03" + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00" + bytes(13)
    return {
        "listed": b"\x00",
        "unlisted": b"\x01",
        "nobody": b"\x02",
        "hello_version": b"\x00" + edit(0, 9, SET, 2),
        "hello_cut": b"\x00" + edit(0, 100, CUT, 0),
        "certificate_changed": b"\x00" + edit(1, 300, SET, 7),
        "flight_again": b"\x00" + edit(1, 65535, AGAIN, 0),
        "record_inserted": b"\x00" + edit(1, 0, INSERT, 23),
        "bytes_removed": b"\x01" + edit(1, 20, REMOVE, 40),
        "plain_changed": b"\x00" + edit(1, 0, AGAIN, 0) + edit(2, 8, SET, 1),
        "only_a_hello": b"\x03" + hello,
        "http": b"\x03GET / HTTP/1.1\r\n\r\n",
        "alert": b"\x03\x15\x03\x03\x00\x02\x02\x28",
    }


# -- core/request/field_count_fuzz.cc: pieces 1 | limit 1 | a message of its own shape

def field_counts():
    inner = number(1, 5) + text(2, b"leaf")
    middle = text(4, inner) + text(7, inner) + text(9, b"")
    whole = text(1, middle) + text(2, inner) + number(3, 2**63) + varint(4 << 3 | 1) + bytes(8) + varint(5 << 3 | 5) + bytes(4)
    return {
        "whole": b"\x00\xff" + whole,
        "byte_by_byte": b"\x01\xff" + whole,
        "pieces_of_three": b"\x03\xff" + whole * 3,
        "over_the_limit": b"\x00\x05" + whole,
        "empty_messages": b"\x02\xff" + text(1, b"") * 20 + text(2, text(7, b"")),
        "length_beyond": b"\x00\xff" + varint(1 << 3 | 2) + varint(100) + b"short",
        "group": b"\x00\xff" + varint(1 << 3 | 3) + varint(1 << 3 | 4),
        "long_varint": b"\x02\xff" + varint(1 << 3) + b"\xff" * 9 + b"\x01" + varint(1 << 3) + b"\xff" * 11,
        "field_zero": b"\x00\xff\x00\x00",
    }


# -- core/store/rows.h

def store_rows():
    def session(highest, used, results):
        return u64(highest) + u64(used) + u32(len(results)) + b"".join(u64(q) + u16(c) + u64(d) for q, c, d in results)
    return {
        "head": u64(3) + bytes(range(32)),
        "head_longer": u64(3) + bytes(33),
        "session_new": session(0, 7, []),
        "session": session(9, 100, [(7, 0, 0), (8, 503, 2), (9, 0, 0)]),
        "session_forged_count": u64(1) + u64(2) + u32(2**32 - 1) + bytes(18),
    }


# -- core/kernel/command.h: payloads of entries; core/store/store_entry_fuzz.cc: a log of them

def descriptor(name, inline=1, leaf=16, inner=64, key=1, value=1):
    return u16(1) + blob16(name) + bytes([key, value, inline, 1]) + u16(leaf) + u16(inner) + u16(0)

def create(table, name, **shape): return table + u32(1) + bytes(range(32)) + blob16(descriptor(name, **shape))
def put(table, key, value): return b"\x01" + table + blob16(key) + blob32(value)
def delete(table, key): return b"\x02" + table + blob16(key)
def delete_range(table, key, end): return b"\x03" + table + blob16(key) + blob16(end)
def absent(table, key): return b"\x01" + table + blob16(key)
def present(table, key): return b"\x02" + table + blob16(key)
def batch(operations, compares=(), session=0, sequence=0):
    out = u64(session) + u64(sequence) + u32(len(compares)) + b"".join(compares)
    return out + u32(len(operations)) + b"".join(operations)

OPENED, BATCH, CREATE, DROP, SAVE, CLOSED, SESSION, TAG, UNTAG, TOGETHER = range(10)
TABLE_A, TABLE_B, SYSTEM = b"A" * 16, b"B" * 16, bytes(15) + b"\x02"

def store_entries():
    def entry(kind, payload=b"", same_frame=False): return bytes([kind + 128 if same_frame else kind]) + u16(len(payload)) + payload
    made = entry(CREATE, create(TABLE_A, b"a", leaf=4, inner=4))
    rows = entry(BATCH, batch([put(TABLE_A, b"k%d" % i, b"v" * i * 30) for i in range(12)]))
    save = entry(SAVE, u32(1))
    session = entry(SESSION, blob16(b"0123"))
    in_session = lambda index, sequence: entry(BATCH, batch([put(TABLE_A, b"s", b"%d" % sequence)], session=index, sequence=sequence))
    def with_role(table, name, role): return table + u32(1) + bytes(range(32)) + blob16(u16(2) + descriptor(name, leaf=4, inner=4)[2:] + role)
    sharing = entry(TOGETHER, u16(2) + with_role(TABLE_A, b"a", b"\3" + TABLE_B) + with_role(TABLE_B, b"", b"\4" + TABLE_A))
    large = entry(BATCH, batch([put(TABLE_A, b"k%d" % i, b"v" * 300 if i % 3 else b"w" * 400) for i in range(9)]))
    return {
        "shared_values": sharing + large + save + entry(BATCH, batch([delete_range(TABLE_A, b"k2", b"k8"), put(TABLE_A, b"k9", b"v" * 300)])) + save * 2,
        "shared_values_touched": sharing + large + save + entry(BATCH, batch([put(TABLE_B, b"k", b"v")])) + entry(DROP, TABLE_B) + entry(TAG, blob16(b"x")) + save + entry(DROP, TABLE_A) + save * 2,
        "half_a_pair": entry(TOGETHER, u16(1) + with_role(TABLE_A, b"a", b"\3" + TABLE_B)) + entry(CREATE, with_role(TABLE_B, b"", b"\4" + TABLE_A)) + save,
        "tables": made + entry(CREATE, create(TABLE_B, b"b", inline=0)) + rows + save,
        "rows_saved_twice": made + rows + save + entry(BATCH, batch([delete(TABLE_A, b"k3"), delete_range(TABLE_A, b"k4", b"k8")])) + save,
        "one_frame": made + entry(BATCH, batch([put(TABLE_A, b"x", b"y")]), True) + entry(SAVE, u32(1), True) + entry(SESSION, blob16(b""), True),
        "compares": made + entry(BATCH, batch([put(TABLE_A, b"x", b"1")], [absent(TABLE_A, b"x")])) * 2 + entry(BATCH, batch([delete_range(TABLE_A, b"", b"")], [present(TABLE_A, b"x")])),
        "sessions": made + session + b"".join(in_session(8, n) for n in (1, 2, 2, 1, 3)) + save + b"".join(in_session(8, n) for n in (3, 4)) + in_session(99, 1) + save,
        "dropped": made + rows + save + entry(DROP, TABLE_A) + save + made + entry(DROP, SYSTEM) + save,
        "created_twice": made * 2 + entry(CREATE, create(TABLE_B, b"a")) + entry(CREATE, create(SYSTEM, b"")) + save,
        "system_rows": entry(BATCH, batch([put(SYSTEM, b"client/x", b"row"), delete_range(SYSTEM, b"a", b"")])) + save,
        "malformed": entry(BATCH, b"short") + entry(CREATE, TABLE_A) + entry(DROP, b"") + entry(SESSION, b"\xff\xff") + entry(SAVE, b"") + save,
        "tags": made + rows + entry(TAG, blob16(b"x")) + save + entry(BATCH, batch([put(TABLE_A, b"k3", b"new")])) + entry(TAG, blob16(b"y")) + save + entry(UNTAG, blob16(b"x")) + save * 3,
        "tag_of_a_dropped_table": made + rows + entry(TAG, blob16(b"x")) + save + entry(DROP, TABLE_A) + save * 2 + entry(UNTAG, blob16(b"x")) + save * 2,
        "tag_twice_and_not_saved": made + entry(TAG, blob16(b"x")) * 2 + save + entry(UNTAG, blob16(b"x")) + entry(TAG, blob16(b"x")) + entry(UNTAG, blob16(b"z")) + entry(TAG, blob16(b"")) + entry(TAG, blob16(b"p")),
        "opened_and_closed": entry(OPENED, bytes(16)) + entry(CLOSED) + entry(OPENED) + save * 3,
    }


def kernel_commands():  # the first byte is the kind as the log has it
    return {
        "create_tag": b"\x08" + blob16(b"a tag"),
        "drop_tag": b"\x09" + blob16("tag \u2603".encode()),
        "tag_without_name": b"\x08" + blob16(b""),
        "batch_ranges": b"\x02" + batch([delete_range(TABLE_A, b"", b""), delete_range(TABLE_B, b"a", b"b")], [present(TABLE_A, b"k")], session=3, sequence=2),
        "create_tables": b"\x0a" + u16(2) + create(TABLE_A, b"a") + create(TABLE_B, b"b"),
        "create_tables_most": b"\x0a" + u16(18) + b"".join(create(bytes(15) + bytes([n]), b"%d" % n) for n in range(18)),
        "create_no_tables": b"\x0a" + u16(0),
        "create_table_no_inline": b"\x03" + create(TABLE_B, b"name", inline=0, leaf=256, inner=4),
    }


# -- docs/format.md 5, 6, 4, 3: nodes, frames, keyrings, records

def tree_nodes():
    def node(kind, level, count, entries, hints=b""): return blob16(hints) + bytes([kind, level]) + u16(count) + entries
    def inline(key, value): return blob16(key) + b"\0" + blob16(value)
    def blob(key, length): return blob16(key) + b"\1" + u64(length) + b"\1" + bytes(32) + u64(3)
    def shared(key, length): return blob16(key) + b"\2" + u64(length) + b"\1" + bytes(32)
    def child(separator, rows): return blob16(separator) + b"\1" + bytes(32) + u64(3) + u64(rows)
    def hint(n): return u32(n) + u32(80) + u32(100)
    def born(n): return hint(n) + u64(n)
    def radix_blob(key, length): return blob16(key) + b"\1" + u64(length) + bytes(32) + b"\1" + bytes(32)
    def radix(digit, prefix, *children):  # (parting, rows)
        entries = b"".join(bytes([c]) + b"\1" + bytes(32) + u64(rows) + bytes(32) for c, rows in children)
        return blob16(b"".join(born(i + 1) for i in range(len(children)))) + b"\6\0" + u16(len(children)) + u16(digit) + blob16(prefix) + entries
    keys = [b"a", b"aaaaaaaa", b"aaaaaaaab", b"aaaaaaaac", b"b" * 1024]
    return {
        "leaf_like_keys": node(1, 0, 5, b"".join(inline(k, b"v") for k in keys)),
        "leaf_of_shared": node(1, 0, 3, shared(b"k1", 300) + inline(b"k2", b"v") + shared(b"k3", 16 << 20)),
        "leaf_of_shared_and_blobs": node(1, 0, 3, blob(b"k1", 300) + shared(b"k2", 300) + blob(b"k3", 70000), hint(1) + hint(2)),
        "leaf_of_blobs": node(1, 0, 2, blob(b"k1", 300) + blob(b"k2", 70000), hint(1) + hint(2) + bytes(15)),
        "inner_three": node(2, 2, 3, child(b"", 5) + child(b"m", 6) + child(b"n", 2**63), hint(1) * 3),
        "keys_equal": node(1, 0, 2, inline(b"same", b"") * 2),
        "empty_value": node(1, 0, 1, inline(b"k", b"")),
        "radix_leaf": node(5, 0, 5, b"".join(inline(k, b"v") for k in keys)),
        "radix_leaf_of_blobs": node(5, 0, 2, radix_blob(b"k1", 300) + radix_blob(b"k2", 70000), born(1) + born(2)),
        "radix_key_ends": radix(4, b"ab", (0, 1), (0b1, 20), (0b1100, 5), (0b11, 3)),
        "radix_lower_nibble": radix(3, b"xP", (0, 9), (0b100, 20), (0b10, 1), (0b1, 300), (0b111, 2)),
        "radix_root": radix(0, b"", (0, 2**60), (0b11, 30)),
    }

def shared_rows():
    address = b"\1" + bytes(range(32))
    def row(key, form=0, value=b""): return blob16(key) + u8(form) + value
    return {"blob": row(address, 1), "inline": row(address, 0, b"a value"), "count": row(address + b"\1", 0, u64(2)), "count_most": row(address + b"\1", 0, u64(2**64 - 1)),
            "count_of_one": row(address + b"\1", 0, u64(1)), "count_in_a_blob": row(address + b"\1", 1), "shared_itself": row(address, 2), "key_short": row(address[:32]),
            "key_long": row(address + b"\1\1", 0, u64(2)), "other_mark": row(address + b"\2", 0, u64(2)), "other_algorithm": row(b"\2" + address[1:])}

# -- docs/format.md 12: proofs of the table of src/core/tree/tree_proof_fuzz.cc, by an implementation of its own

def proofs():
    rows = {b"a": b"1", b"ab": b"22", b"b": b"", b"user:1": b"one", b"user:12": b"twelve", b"user:2": b"two"}
    sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
    def bits(key): return "".join("1" + format(b, "08b") for b in key) + "0"
    def prefix(text):
        pieces = [text[i + 1:i + 9].ljust(8, "0") for i in range(0, len(text), 9) if text[i] == "1"]
        return bytes(int(p, 2) for p in pieces)
    def salt(k): return hmac.new(b"a key of the table", b"row" + blob16(k) + sha(rows[k]), hashlib.sha256).digest()
    def commitment(k): return sha(b"holdfast value\0", salt(k), sha(rows[k]))
    def parts(keys):  # of two keys or more: the bit in which they part, and both sides
        texts = [bits(k) for k in keys]
        bit = next(i for i in range(len(min(texts, key=len))) if len({t[i] for t in texts}) > 1)
        return bit, *([k for k in keys if bits(k)[bit] == side] for side in "01")
    def branch(text, bit, left, right): return sha(b"holdfast branch\0", u16(bit), blob16(prefix(text[:bit])), left, right)
    def digest(keys):
        if len(keys) == 1: return sha(b"holdfast row\0", blob16(keys[0]), commitment(keys[0]))
        bit, left, right = parts(keys)
        return branch(bits(keys[0]), bit, digest(left), digest(right))
    root = sha(b"holdfast table\0", bytes(32), u64(len(rows)), digest(list(rows)))
    def proof(key, rows_said=len(rows), root=root):
        keys, path, end = list(rows), [], None
        while len(keys) > 1 and end is None:
            bit, left, right = parts(keys)
            text = bits(keys[0])
            if bits(key)[:bit] != text[:bit]:
                end = b"\4" + u16(bit) + blob16(prefix(text[:bit])) + digest(left) + digest(right)
                break
            keys, other = (right, left) if bits(key)[bit] == "1" else (left, right)
            path.append(u16(bit) + digest(other))
        if end is None and keys[0] == key: end = b"\1" + salt(key) + blob32(rows[key])
        if end is None: end = b"\3" + blob16(keys[0]) + commitment(keys[0])
        return b"HFPROOF1" + u16(1) + bytes(32) + u64(7) + u64(rows_said) + root + blob16(key) + u16(len(path)) + b"".join(path) + end
    whole = proof(b"user:12")
    return {
        "row": b"\1" + whole, "empty_value": b"\1" + proof(b"b"), "whole_file": b"\0" + whole + sha(whole),
        "other_row": b"\1" + proof(b"user:13"), "other_branch": b"\1" + proof(b"uzer"), "ends_inside": b"\1" + proof(b"user:"),
        "wrong_rows": b"\1" + proof(b"a", rows_said=7),
        "empty_table": b"\1" + b"HFPROOF1" + u16(1) + bytes(32) + u64(7) + u64(0)
                       + sha(b"holdfast table\0", bytes(32), u64(0), bytes(32)) + blob16(b"k") + u16(0) + b"\2",
    }

def journal_frames():
    def frame(number, entries, first=6, tail=b""):
        head = u64(number) + u64(3) + bytes(16) + u64(5) + u64(0) + u64(number - 1) + bytes(32) + u64(first) + bytes(32)
        return b"\1" + head + u32(len(entries)) + b"".join(u8(k) + u64(3) + blob32(b) for k, b in entries) + tail
    return {
        "sealed_all_kinds": frame(9, [(1, bytes(16)), (2, batch([])), (3, create(TABLE_A, b"a")), (4, TABLE_A), (5, u32(1)), (6, b""), (7, blob16(b"s"))]),
        "sealed_last_index": frame(9, [(5, u32(1))], first=2**64 - 1),
        "sealed_nonzero_padding": frame(9, [(6, b"")], tail=bytes(40) + b"x"),
        "sealed_two_sectors": frame(2, [(2, batch([put(TABLE_A, b"k", bytes(700))]))]),
    }

def keyrings():
    def ring(current, journal, tables, version=1):
        out = u32(version) + u32(current) + u32(len(journal)) + b"".join(u32(e) + bytes(32) for e in journal)
        return b"\1" + out + u32(len(tables)) + b"".join(t + u32(e) + bytes(32) for t, e in tables)
    return {
        "epochs": ring(3, [1, 2, 3], [(TABLE_A, 1), (TABLE_A, 2), (TABLE_B, 1)]),
        "current_missing": ring(4, [1, 2, 3], []),
        "descending": ring(1, [2, 1], []),
        "version": ring(1, [1], [], version=2),
    }

def descriptors():
    def roled(role): return u16(2) + descriptor(b"n")[2:] + role
    return {"transient": roled(b"\1"), "shares_values": roled(b"\3" + TABLE_B), "shared_values": u16(2) + descriptor(b"")[2:] + b"\4" + TABLE_A,
            "shared_values_named": roled(b"\4" + TABLE_A), "shares_values_short": roled(b"\3" + TABLE_B[:15]), "index": roled(b"\2" + bytes(range(16)) + b"\1" + blob16(b"/a~1b")), "no_role": roled(b"\0"),
            "longest_name": descriptor(b"n" * 128, leaf=4, inner=256), "utf8": descriptor("\u017dlu\u0165 \U0001f642".encode()),
            "not_utf8": descriptor(b"\xc0\x80"), "order_too_small": descriptor(b"n", leaf=3), "never_inline": descriptor(b"n", inline=0),
            "numbers_to_json": descriptor(b"n", key=3, value=7), "json_as_key": descriptor(b"n", key=7)}

def anchors():
    anchor = b"HFANCHR1" + bytes(range(16)) + u64(3) + u64(77) + bytes(32) + u64(5) + bytes(32)
    short = open(os.path.join(CORPUS, "..", "..", "vectors", "anchor.txt")).read().split('text = "')[1].strip().encode()
    return {"made": b"\1" + anchor, "short_form": b"\0" + short, "short_form_mistyped": b"\0" + short[:-1] + b"u", "short": b"\1" + anchor[:-1], "long": b"\1" + anchor + b"\0", "other_magic": b"\1" + anchor.replace(b"1", b"2", 1)}

def segments():
    def pieces(*texts): return b"\2" + bytes(4) + b"".join(bytes([len(c), len(h)]) + c + h for c, h in texts)
    return {"node_longer_than_said": b"\1" + u32(80) + u32(2**31) + b"canonical", "node_empty": b"\1" + u32(80) + u32(0),
            "pieces_with_hints": pieces((b"canonical", bytes(24)), (b"", b""), (b"x" * 200, b"h" * 17)), "pieces_same": pieces((b"same", b""), (b"same", b""))}

def unlockers():
    def record(n, memory=8, passes=1, version=1):
        one = u16(1) + u16(0) + u32(memory) + u32(passes) + bytes(112)
        return b"\1" + b"HFUNLOCK" + u16(version) + u16(n) + bytes(range(16)) + one * n + bytes(32)
    return {"none": record(0), "sixteen": record(16), "seventeen": record(17), "passes": record(1, passes=17), "version": record(1, version=2)}

def manifests():
    store, member = bytes(range(16)), bytes(range(16, 32))
    def table(id, name, rows=0):
        d = descriptor(name)
        return id + u32(1) + blob16(d) + (b"\1" + bytes(32) + u64(4) + u64(rows) if rows else bytes(33) + u64(0) + u64(0))
    def counted(items): return u32(len(items)) + b"".join(items)
    def tag(name, index, tables): return blob16(name) + u64(index) + u64(1) + bytes(32) + counted(tables)
    def root(tables, tags=(), magic=b"HFROOT02"): return magic + u32(1) + store + u64(9) + u64(1) + bytes(96) + counted(tables) + counted(tags)
    def span(first, last, count): return u16(first) + u16(last) + u32(count)
    def segment(number, condemned=0, spans=(span(0xFFFF, 0xFFFF, 100),)):
        return u32(number) + bytes(16) + TABLE_A + u32(1) + bytes(96) + u64(4096) + u64(3) + u64(condemned) + b"\0" + counted(() if condemned else spans)
    def segments(*entries, tags=()): return counted([u64(t) for t in tags]) + counted(entries)
    def listed(slot, first, count=1, size=300, save=3): return bytes([slot]) + u32(first) + u64(save) + u64(first) + u32(count) + u64(size) + bytes(64)
    tables = [table(SYSTEM, b""), table(TABLE_A, b"a", rows=5), table(TABLE_B, b"b")]
    tags = [tag(b"x", 4, tables[:2]), tag(b"y", 4, tables[:2]), tag(b"z", 7, tables)]
    def hint(t): return u32(1) + u32(80) + u32(100) if len(t) > 0 and t == tables[1] else u32(0) * 3
    def manifest(groups, next, tags=(), shown=(), version=3):
        hints = b"".join(hint(t) for t in tables) + b"".join(hint(t) for tag_tables in shown for t in tag_tables)
        return u32(version) + store + member + u64(3) + blob32(root(tables, tags)) + hints + u64(7) + bytes(32) + u32(next) + b"\2" + u64(500) + counted(groups)
    spread = [span(0, 0, 50), span(0, 1, 60), span(0, 0xFFFF, 70), span(1, 1, 80), span(0xFFFF, 0xFFFF, 90)]
    shown = [tables[:2], tables[:2], tables]
    return {
        "root_tables": root(tables),
        "root_tags": root(tables, tags),
        "root_tags_descending": root(tables, tags[::-1]),
        "root_before_tags": root(tables, magic=b"HFROOT01"),
        "manifest_tags": manifest([listed(1, 1)], 10, tags, shown),
        "manifest_groups": manifest([listed(0, 1), listed(0, 65), listed(1, 1), listed(2, 1), listed(2, 2)], 10),
        "manifest_groups_descending": manifest([listed(1, 1), listed(0, 1)], 10),
        "manifest_groups_of_one_place": manifest([listed(1, 1), listed(1, 1, save=4)], 10),
        "manifest_group_huge": manifest([listed(1, 1, size=1 << 40)], 10),
        "manifest_group_empty": manifest([listed(1, 1, count=0)], 10),
        "manifest_slot_3": manifest([listed(3, 1)], 10),
        "manifest_version_2": manifest([listed(1, 1)], 10, version=2),
        "group_segments": segments(segment(1), segment(2, 3), segment(9)),
        "group_spans": segments(segment(1, spans=spread), tags=(4, 7)),
        "group_span_of_no_tag": segments(segment(1, spans=[span(2, 2, 1)]), tags=(4, 7)),
        "group_tag_unnamed": segments(segment(1), tags=(4,)),
        "group_tags_descending": segments(segment(1, spans=spread), tags=(7, 4)),
        "group_spans_descending": segments(segment(1, spans=[span(1, 1, 1), span(0, 0, 1)]), tags=(4, 7)),
        "group_segment_zero": segments(segment(0)),
        "group_empty": segments(),
        "root_descending": root(tables[::-1]),
        "root_empty": root([]),
    }

def codec():
    return {"numbers": bytes([8, 0, 0, 1, 0, 2, 0, 3]) + bytes(range(16)), "ids": bytes([4, 8, 0, 7, 0]) + bytes(24),
            "blob32": bytes([4, 6, 9, 6, 1]) + u32(5) + b"bytes" + u32(2), "raw_beyond": bytes([2, 4, 200]) + b"few", "failed_then_more": bytes([6, 5, 0, 3, 0, 4, 1]) + b"\xff\xff" + bytes(9)}


# -- core/store/store_open_fuzz.cc: what a host does to a store

def store_open():
    SET, CUT, GROW, SECTOR, DELETE, BACK, COPY, SWAP, HIDE, INVENT, LIE, STUBBORN = range(12)
    APPEND, ANCHOR, DISCARD, CLOSED, VERIFY, RESTORE = 1, 2, 4, 8, 16, 32
    def edit(operation, object, place=0, value=0): return bytes([operation, object]) + u16(place) + u16(value)
    seeds = {f"untouched_{mode}": bytes([mode]) for mode in (0, 3, 11, 16, 19, 27, 34, 43)}
    for number in (0, 1, 2):  # names with the highest numbers
        seeds[f"journal_number_{number}"] = bytes([3]) + edit(COPY, 14, number, 3)
        seeds[f"journal_number_{number}_empty"] = bytes([3]) + edit(COPY, 14, number, 3) + edit(CUT, 15)
    return seeds | {
        "slot_number_gone": bytes([11]) + edit(DELETE, 5),
        "slot_number_short": bytes([3]) + edit(CUT, 5, 71),
        "slot_put_back": bytes([11]) + edit(BACK, 2, 0, 1) + edit(BACK, 5, 0, 1) + edit(BACK, 0, 0, 1),
        "all_put_back": bytes([3]) + edit(BACK, 0, 0, 0x8002),
        "all_put_back_no_anchor": bytes([1]) + edit(BACK, 0, 0, 0x8003),
        "manifest_changed": bytes([19]) + edit(SET, 0, 90, 7),
        "group_gone": bytes([19]) + edit(DELETE, 12),
        "group_changed": bytes([3]) + edit(SET, 13, 200, 1),
        "groups_swapped": bytes([3]) + edit(SWAP, 12, 0, 13),
        "groups_both_changed": bytes([3]) + edit(SET, 12, 200, 1) + edit(SET, 13, 200, 1),
        "unlockers_gone": bytes([3]) + edit(DELETE, 255),
        "journal_cut": bytes([1]) + edit(CUT, 14, 2048),
        "journal_sector_zero": bytes([1]) + edit(SECTOR, 15, 512, 0),
        "journal_sector_zero_discard": bytes([5]) + edit(SECTOR, 15, 512, 255),
        "segment_gone": bytes([19]) + edit(DELETE, 20),
        "segment_changed": bytes([0x21]) + edit(SET, 19, 200, 1),
        "swapped": bytes([3]) + edit(SWAP, 0, 0, 6),
        "listing_hides": bytes([1]) + edit(HIDE, 15),
        "listing_invents_a_short_name": bytes([1]) + edit(INVENT, 0, 3, 1),
        "listing_invents_a_huge_file": bytes([1]) + edit(INVENT, 14, 4, 3),
        "listing_never_ends": bytes([1]) + edit(STUBBORN, 0),
        "reads_lie": bytes([3]) + edit(LIE, 0, 12, 0x0501) + edit(LIE, 0, 30, 0x0501),
        "grown": bytes([17]) + edit(GROW, 16, 4096, 0),
    }


FUZZERS = {"wire_fuzz": wire, "ring_fuzz": ring, "ring_writer_fuzz": ring_writer, "requests_fuzz": requests, "tls_fuzz": tls, "store_open_fuzz": store_open, "store_rows_fuzz": store_rows,
           "store_entry_fuzz": store_entries, "kernel_command_fuzz": kernel_commands, "tree_node_fuzz": tree_nodes, "tree_proof_fuzz": proofs, "tree_shared_fuzz": shared_rows,
           "journal_frame_fuzz": journal_frames, "seal_keyring_fuzz": keyrings, "tree_descriptor_fuzz": descriptors,
           "seal_anchor_fuzz": anchors, "seal_segment_fuzz": segments, "seal_unlock_fuzz": unlockers,
           "store_manifest_fuzz": manifests, "codec_fuzz": codec, "field_count_fuzz": field_counts}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true")
    args = p.parse_args()
    differ = []
    for fuzzer, seeds in FUZZERS.items():
        folder = os.path.join(CORPUS, fuzzer)
        os.makedirs(folder, exist_ok=True)
        for name, content in seeds().items():
            path = os.path.join(folder, name)
            if args.check:
                same = os.path.exists(path) and open(path, "rb").read() == content
                differ += [] if same else [path]
                continue
            with open(path, "wb") as f:
                f.write(content)
    for path in differ:
        print(f"{os.path.relpath(path)} is not what {os.path.relpath(__file__)} writes")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
