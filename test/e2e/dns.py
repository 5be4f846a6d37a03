"""dns.py ADDRESS KUBECONFIG: a name server for the services of a test cluster, where there is no CoreDNS. Answers A questions for
NAME.NAMESPACE.svc.cluster.local with the addresses of the service or, for a headless one, of its endpoints."""
import json, socket, struct, subprocess, sys, time

address, kubeconfig = sys.argv[1:]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 53))
cache = {}


def get(kind, namespace, name):
    command = ["kubectl", "--kubeconfig", kubeconfig, "get", kind, "-n", namespace, name, "-o", "json"]
    result = subprocess.run(command, capture_output=True, timeout=20)
    return json.loads(result.stdout) if result.returncode == 0 else {}


def addresses(labels):
    if len(labels) != 5 or labels[2:] != ["svc", "cluster", "local"]:
        return None
    name, namespace = labels[:2]
    found = cache.get((name, namespace))
    if not found or found[0] < time.monotonic() - 5:
        service = get("service", namespace, name).get("spec", {})
        result = None if not service else [service.get("clusterIP")]
        if result == ["None"]:
            subsets = get("endpoints", namespace, name).get("subsets", [])
            key = lambda subset: subset.get("addresses", []) + subset.get("notReadyAddresses", [])
            result = [entry["ip"] for subset in subsets for entry in key(subset)]
        found = cache[name, namespace] = (time.monotonic(), result)
    return found[1]


while True:
    question, client = server.recvfrom(512)
    try:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
        found = addresses(labels)
        records = [struct.pack(">HHHIH", 0xC00C, 1, 1, 5, 4) + socket.inet_aton(each) for each in found or []] if kind == 1 else []
        # 3: there is no such name.
        header = question[:2] + struct.pack(">HHHHH", 0x8580 | (3 if found is None else 0), 1, len(records), 0, 0)
        server.sendto(header + question[12 : at + 5] + b"".join(records), client)
    except (IndexError, ValueError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        print("not answered:", error, file=sys.stderr, flush=True)
