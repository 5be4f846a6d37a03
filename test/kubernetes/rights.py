# Reads the table of "kubectl auth can-i --list --no-headers" and prints a line for each right that not every account
# has: resource, resource names, verbs.
import re
import sys

every = {"selfsubjectaccessreviews.authorization.k8s.io", "selfsubjectrulesreviews.authorization.k8s.io", ""}
for line in sys.stdin:
    match = re.match(r"^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]\s*$", line)
    if not match:
        sys.exit(f"not understood: {line!r}")
    resource, _, names, verbs = match.groups()
    if resource in every:
        continue
    print(resource, *(f"[{name}]" for name in names.split()), *sorted(verbs.split()))
