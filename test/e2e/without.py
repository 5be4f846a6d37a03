"""without.py SIDECARS: copies a list of objects (JSON) without the containers whose program is not in the folder SIDECARS."""
import json, os, sys

folder = sys.argv[1]
programs = {"liveness-probe": "livenessprobe", "node-driver-registrar": "csi-node-driver-registrar"}
objects = json.load(sys.stdin)
for each in objects["items"]:
    if each["kind"] not in ("StatefulSet", "DaemonSet"):
        continue
    pod = each["spec"]["template"]["spec"]
    is_ours = lambda container: container["name"].endswith("-driver")
    is_there = lambda container: os.access(os.path.join(folder, programs.get(container["name"], container["name"])), os.X_OK)
    pod["containers"] = [container for container in pod["containers"] if is_ours(container) or folder and is_there(container)]
    if not any(container["name"] == "liveness-probe" for container in pod["containers"]):
        for container in pod["containers"]:
            container.pop("livenessProbe", None)
            container.pop("startupProbe", None)
json.dump(objects, sys.stdout)
