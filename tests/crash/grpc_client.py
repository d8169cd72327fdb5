"""Holdfast from python: stubs made from api/*.proto, channels with a deployment's own certificates."""
import importlib
import os
import subprocess
import sys
import tempfile

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # children are made by fork and exec at once
import grpc  # noqa: E402  (reads the environment when it is imported)

import rig  # noqa: E402

_generated = tempfile.TemporaryDirectory(prefix="holdfast-stubs-")
subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={rig.SOURCE / 'api'}",
                f"--python_out={_generated.name}", f"--grpc_python_out={_generated.name}",
                "holdfast/v1/kv.proto", "holdfast/v1/admin.proto"], check=True, timeout=rig.DEADLINE_S)
sys.path.insert(0, _generated.name)
kv = importlib.import_module("holdfast.v1.kv_pb2")
kv_grpc = importlib.import_module("holdfast.v1.kv_pb2_grpc")
admin = importlib.import_module("holdfast.v1.admin_pb2")
admin_grpc = importlib.import_module("holdfast.v1.admin_pb2_grpc")

# Numbers of src/base/codes.def.
FULL, STOPPING = 303, 407


def open_channel(deployment, port="user"):
    store = next(l.split("'")[1] for l in deployment.client_yaml.read_text().splitlines() if "StoreId" in l)
    pem = (deployment.directory / "client/admin.pem").read_bytes()
    at = pem.index(b"-----BEGIN PRIVATE KEY")
    credentials = grpc.ssl_channel_credentials((deployment.directory / "client/ca.pem").read_bytes(), pem[at:], pem[:at])
    return grpc.secure_channel(f"127.0.0.1:{deployment.port(port)}", credentials,
                               [("grpc.ssl_target_name_override", store + ".holdfast"),
                                ("grpc.max_receive_message_length", 20 << 20),
                                ("grpc.use_local_subchannel_pool", 1)])


def code_of(error):
    """The number of a failed call's code, or 0 if the call never got an answer of ours."""
    return int(dict(error.trailing_metadata() or ()).get("holdfast-code", 0))
