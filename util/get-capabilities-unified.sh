#!/bin/bash
# Prints what the driver at CSI_ENDPOINT (default: tcp://127.0.0.1:10000) is and can do.
set -o errexit -o nounset -o pipefail
. "$(dirname "$(readlink -f "$0")")/common.sh"
: "${CSI_ENDPOINT:=tcp://127.0.0.1:10000}"

for method in GetPluginInfo Probe GetPluginCapabilities ControllerGetCapabilities NodeGetCapabilities NodeGetInfo; do
    printf '%-26s ' "$method"
    csictl "$method"
done
