#!/bin/bash
# Runs the csi-sanity that is on the PATH (kubernetes-csi/csi-test, v5) against the driver at CSI_ENDPOINT.
# Arguments are passed on to csi-sanity.
#
#   CSI_ENDPOINT           default: unix:///tmp/pmem-csi.sock
#   TEST_VOLUME_SIZE       default: 536870912 bytes
#   TEST_MUTABLE           default: eraseafter: "false"; a parameter that may change
#   TEST_EXPANDED_SIZE     default: 1073741824 bytes; both must fit the largest free space of a region
set -o errexit -o nounset -o pipefail
. "$(dirname "$(readlink -f "$0")")/common.sh"
: "${TEST_VOLUME_SIZE:=536870912}" "${TEST_EXPANDED_SIZE:=1073741824}"

if ! command -v csi-sanity >/dev/null; then
    echo "$0: there is no csi-sanity on the PATH; build it from github.com/kubernetes-csi/csi-test" >&2
    exit 1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/csi-sanity.XXXXXX")
echo "${TEST_MUTABLE:-eraseafter: \"false\"}" > "$work/mutable.yaml"
trap 'rm -f "$work/mutable.yaml"; rmdir "$work/mount" "$work/stage" "$work" 2>/dev/null || [ ! -d "$work" ] || echo "left behind: $work" >&2' EXIT

# gRPC in Go takes host:port where we write tcp://host:port.
csi-sanity --csi.endpoint "${CSI_ENDPOINT#tcp://}" \
    --csi.testvolumesize "$TEST_VOLUME_SIZE" --csi.testvolumeexpandsize "$TEST_EXPANDED_SIZE" \
    --csi.testvolumemutableparameters "$work/mutable.yaml" \
    --csi.mountdir "$work/mount" --csi.stagingdir "$work/stage" "$@"
