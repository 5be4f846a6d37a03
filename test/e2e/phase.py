"""phase.py CLAIM POD: reads objects as JSON and prints the phase in which the claim and its pod are."""
import json, sys

claim, pod = sys.argv[1:]
items = json.load(sys.stdin)["items"]
find = lambda kind, name: next((i for i in items if i["kind"] == kind and i["metadata"]["name"] == name), {})
claim, pod = find("PersistentVolumeClaim", claim), find("Pod", pod)
volume = claim.get("spec", {}).get("volumeName")
attached = [
    i for i in items
    if i["kind"] == "VolumeAttachment" and i["spec"]["source"].get("persistentVolumeName") == volume and i.get("status", {}).get("attached")
]
if pod.get("status", {}).get("phase") == "Running":
    print("running")
elif attached:
    print("attached")
elif pod.get("spec", {}).get("nodeName"):
    print("pod on its node")
elif claim.get("status", {}).get("phase") == "Bound":
    print("volume made")
elif "volume.kubernetes.io/selected-node" in claim.get("metadata", {}).get("annotations", {}):
    print("node chosen")
else:
    print("waiting")
