# Sourced by demo, whose variables it uses: the driver that the demo starts, and what must not outlive it.
# shellcheck shell=bash disable=SC2154

# What must not outlive the demo. In mountinfo a space is \040, which printf turns back.
loop_devices() {
    local file
    for file in /sys/block/loop*/loop/backing_file; do
        [[ $(cat "$file" 2> /dev/null) != "$work"/* ]] || { file=${file#/sys/block/} && echo "/dev/${file%%/*}"; }
    done
}

mounts() {
    local point
    while read -r _ _ _ _ point _; do
        point=$(printf '%b' "$point")
        [[ $point != "$work"/* ]] || echo "$point"
    done < /proc/self/mountinfo
}

# The lock file stays with the directory.
files() { find "$work/state" "$work/node" ! -type d ! -name '*lock*' 2> /dev/null; }

start_driver() {
    mkdir -p "$work/node"
    # In a session of its own, so that Ctrl-C reaches this script alone, which then unmounts before the driver ends.
    setsid "$BIN/pmem-csi-driver" -v=5 -mode=unified -deviceManager=file -capacity=2Gi -nodeid=demo \
        -statePath="$work/state" -endpoint="$CSI_ENDPOINT" > "$work/driver.log" 2>&1 < /dev/null &
    echo $! > "$work/pid"
    local ready=''
    for _ in {1..100}; do
        kill -0 "$(cat "$work/pid")" 2> /dev/null || fail "the driver ended: $(tail -n 3 "$work/driver.log")"
        [ ! -S "$work/csi.sock" ] || ready=$(csictl -field ready probe 2> /dev/null) || true
        [ "$ready" != true ] || return 0
        sleep 0.1
    done
    fail "the driver is not ready after 10 s: $(tail -n 3 "$work/driver.log")"
}

stop_driver() {
    local pid
    pid=$(cat "$work/pid" 2> /dev/null) || return 0
    # By now the number may be another program's.
    [[ $(readlink "/proc/$pid/exe") == */pmem-csi-driver* ]] && kill "$pid" || return 0
    timeout 30 tail -s 0.1 -f --pid="$pid" /dev/null || kill -9 "$pid"
}

# Whatever state the demo was left in: nothing of it stays. First the driver, which may be in the middle of a call; a
# file system that cannot be unmounted is left alone with its files.
clean_up() {
    local item
    [ -z "$writer" ] || { kill "$writer" && wait "$writer"; } 2> /dev/null || true
    stop_driver
    mounts | tac | while read -r item; do umount "$item" || true; done
    for item in $(loop_devices); do losetup -d "$item" || true; done
    if [ "$failed" = yes ] && [ -s "$work/driver.log" ]; then
        mkdir -p "$ROOT/_work" && cp "$work/driver.log" "$ROOT/_work/demo-driver.log"
        echo "demo: the driver's log is _work/demo-driver.log" >&2
    fi
    rm -rf --one-file-system "$work"
    left=$(loop_devices; mounts)
    [ -z "$left" ] || echo "demo: left behind: ${left//$'\n'/, }" >&2
}

check_machine() {
    [ "$(id -u)" = 0 ] || fail "must be root, because it mounts; run: sudo make demo"
    [ -c /dev/loop-control ] || modprobe loop 2> /dev/null || true
    [ -c /dev/loop-control ] || fail "this kernel has no loop devices (/dev/loop-control is missing)"
}

# Growing a mounted ext4 takes CAP_SYS_RESOURCE (bit 24), which root in a container may not have; xfs goes without, but
# needs 300 MiB. The larger volumes have twice the size.
choose_filesystem() {
    local capabilities
    capabilities=$(sed -n 's/^CapEff:\t//p' /proc/self/status)
    if ! ((0x$capabilities >> 24 & 1)) && [ -z "${FS:-}" ]; then
        FS=xfs
        note "(xfs, since root may not grow a mounted ext4 here: it has no CAP_SYS_RESOURCE)"
    fi
    : "${FS:=ext4}"
    case $FS in
        ext4) size=128 ;;
        xfs) size=320 ;;
        *) fail "FS is $FS; it can be ext4 or xfs" ;;
    esac
}
