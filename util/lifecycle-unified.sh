#!/bin/bash
# Takes one volume through its life on the driver at CSI_ENDPOINT and prints each call with its time.
# Needs root, because it looks at the mounts, and the driver on this machine.
#
#   CSI_ENDPOINT  default: unix:///tmp/pmem-csi.sock
#   NAME          the volume's name (default: lifecycle and this process's number)
#   SIZE, FS, NSMODE, ERASE   default: 1Gi, ext4, fsdax, true
set -o errexit -o nounset -o pipefail
export LC_ALL=C
. "$(dirname "$(readlink -f "$0")")/common.sh"
: "${NAME:=lifecycle-$$}" "${SIZE:=1Gi}" "${FS:=ext4}" "${NSMODE:=fsdax}" "${ERASE:=true}"

work=$(mktemp -d "${TMPDIR:-/tmp}/lifecycle.XXXXXX")
staging=$work/staging target=$work/target
mkdir "$staging"
trap 'rmdir "$staging" "$work" 2>/dev/null || echo "left behind: $work" >&2' EXIT

# call TITLE ARGUMENT...: one call; its answer goes to $answer, a line with its time to stdout.
call() {
    local title=$1 start
    shift
    start=${EPOCHREALTIME/./}
    if ! answer=$(csictl "$@"); then
        echo "$title failed" >&2
        return 1
    fi
    printf '%-20s %8.1f ms  %s\n' "$title" "$(((${EPOCHREALTIME/./} - start) / 100))e-1" "$answer"
}

call "create" -field volume create "$NAME" -size "$SIZE" -fs "$FS" -nsmode "$NSMODE" -eraseafter "$ERASE"
volume=$answer
# Answers keep csi.proto's names, one field after the other; an id is of letters, digits and dashes.
id=$(sed -E 's/.*"volume_id":"([^"]*)".*/\1/' <<<"$volume")
context=$(sed -nE 's/.*"volume_context":(\{[^}]*\}).*/\1/p' <<<"$volume")
call "node info" -field node_id node-info
node=$answer
call "controller publish" -field publish_context attach "$id" "$node" -fs "$FS" "volume_context:=${context:-{\}}"
published=${answer:-{\}}
common=(-fs "$FS" "volume_context:=${context:-{\}}" "publish_context:=$published")
call "stage" stage "$id" "$staging" "${common[@]}"
call "publish" publish "$id" "$staging" "$target" "${common[@]}"
grep -F " $target " /proc/self/mounts || echo "$target is not mounted here (is the driver on another machine?)"
call "unpublish" unpublish "$id" "$target"
call "unstage" unstage "$id" "$staging"
call "controller unpublish" detach "$id" "$node"
call "delete" delete "$id"
