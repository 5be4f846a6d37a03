#!/bin/bash
# Prints what the driver at CSI_ENDPOINT (default: unix:///tmp/pmem-csi.sock) is and can do.
set -o errexit -o nounset -o pipefail
. "$(dirname "$(readlink -f "$0")")/common.sh"

for method in GetPluginInfo Probe GetPluginCapabilities ControllerGetCapabilities NodeGetCapabilities NodeGetInfo; do
    printf '%-26s ' "$method"
    csictl "$method"
done
