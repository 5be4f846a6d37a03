"""registrar.py NAME ENDPOINT DIRECTORY: tells kubelet of a CSI driver, as node-driver-registrar does, by answering the two
calls of pluginregistration.Registration on a socket in DIRECTORY. The messages are few enough to be made by hand."""
import os, sys
from concurrent import futures

import grpc

name, endpoint, directory = sys.argv[1:]


def text(field, value):
    value = value.encode()
    return bytes([field << 3 | 2, len(value)]) + value


def info(request, context):
    return text(1, "CSIPlugin") + text(2, name) + text(3, endpoint) + text(4, "1.0.0")


def notify(request, context):
    print("kubelet says:", "registered" if request.startswith(b"\x08\x01") else request, flush=True)
    return b""


methods = {"GetInfo": info, "NotifyRegistrationStatus": notify}
handlers = {method: grpc.unary_unary_rpc_method_handler(handler) for method, handler in methods.items()}
server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("pluginregistration.Registration", handlers)])
path = os.path.join(directory, f"{name}-reg.sock")
if os.path.exists(path):
    os.unlink(path)
server.add_insecure_port(f"unix://{path}")
server.start()
server.wait_for_termination()
