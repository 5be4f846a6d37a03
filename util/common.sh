# Sourced by the scripts beside it: where the driver and the binaries are, and the client.
ROOT=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
# The default of the programs, too.
: "${CSI_ENDPOINT:=unix:///tmp/pmem-csi.sock}"

# First directory of the list that has the given program.
directory_of() {
    local program=$1 directory
    for directory in ${BIN:+"$BIN"} "$ROOT/_output" "$ROOT/.build/release" "$ROOT/.build/debug"; do
        if [ -x "$directory/$program" ]; then
            echo "$directory"
            return
        fi
    done
    echo "$0: there is no $program below $ROOT; run make, or set BIN to its directory" >&2
    return 1
}

csictl() {
    "${CSICTL_DIR:=$(directory_of csictl)}/csictl" -endpoint "$CSI_ENDPOINT" "$@"
}
