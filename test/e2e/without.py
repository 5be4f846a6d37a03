"""without.py SIDECARS [CONTAINER...]: makes a list of objects (JSON, one after another) without the containers whose program is
not in the folder SIDECARS, and without those that are named."""
import json, os, sys

folder, unwanted = sys.argv[1], sys.argv[2:]
programs = {"liveness-probe": "livenessprobe", "node-driver-registrar": "csi-node-driver-registrar"}
text, objects = sys.stdin.read().strip(), []
while text:
    found, length = json.JSONDecoder().raw_decode(text)
    objects.append(found)
    text = text[length:].strip()
for each in objects:
    if each["kind"] not in ("StatefulSet", "DaemonSet"):
        continue
    pod = each["spec"]["template"]["spec"]
    is_ours = lambda container: "/pmem-csi-driver:" in container["image"]
    is_there = lambda container: os.access(os.path.join(folder, programs.get(container["name"], container["name"])), os.X_OK)
    pod["containers"] = [
        container for container in pod["containers"]
        if is_ours(container) or folder and is_there(container) and container["name"] not in unwanted
    ]
    if not any(container["name"] == "liveness-probe" for container in pod["containers"]):
        for container in pod["containers"]:
            container.pop("livenessProbe", None)
            container.pop("startupProbe", None)
json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, sys.stdout)
