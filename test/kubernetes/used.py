"""used.py AUDIT TABLE: what the API server was asked by the sidecars' account, against the table of its rights. Fails where something
was refused; prints what the table has and nobody asked for."""
import collections, json, sys

audit, table = sys.argv[1:]
used, refused = collections.defaultdict(set), set()
for line in open(audit):
    event = json.loads(line)
    reference = event.get("objectRef")
    if not reference or event["verb"] == "create" and reference["resource"].startswith("selfsubject"):
        continue
    name = reference["resource"] + (f".{reference['apiGroup']}" if reference.get("apiGroup") else "")
    if reference.get("subresource"):
        name += f"/{reference['subresource']}"
    used[name].add(event["verb"])
    if event["responseStatus"]["code"] == 403:
        refused.add(f"{event['verb']} {name} by {event.get('userAgent', '').split('/')[0]}")
granted = {}
for line in open(table):
    words = [word for word in line.split("#")[0].split() if not word.startswith("[")]
    if words:
        granted[words[0]] = set(words[1:])
for name in sorted(used):
    print(f"  used      {name}: {' '.join(sorted(used[name]))}")
for name, verbs in sorted(granted.items()):
    rest = verbs - used.get(name, set())
    if rest:
        print(f"  not used  {name}: {' '.join(sorted(rest))}")
for each in sorted(refused):
    print(f"  REFUSED   {each}")
missing = {name: verbs - granted.get(name, set()) for name, verbs in used.items() if verbs - granted.get(name, set())}
sys.exit(1 if refused or missing else 0)
