# To be sourced by start, stop and run: the settings, and how to reach the cluster and its guests.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top" || exit
. test/test-config.sh
mkdir -p "$TEST_DIRECTORY"
DIRECTORY=$(realpath "$TEST_DIRECTORY")
ADDRESS=$TEST_IP_ADDR.1
. test/kubernetes/control-plane.sh

within() { nsenter --net="/run/netns/$TEST_PREFIX" "$@"; }
kubectl() { within kubectl --kubeconfig "$DIRECTORY/admin.kubeconfig" "$@"; }
worker_name() { echo "$TEST_PREFIX-worker$1"; }
worker_folder() { echo "$top/_work/lab/$(worker_name "$1")"; }
have_sidecar() { [ -n "$SIDECARS" ] && [ -x "$SIDECARS/$1" ]; }

# WORKER COMMAND: runs it in that guest and prints what it prints.
in_guest() {
    local folder status
    folder=$(worker_folder "$1")/requests
    rm -f "$folder"/answer "$folder"/status
    echo "$2" > "$folder/request.new"
    mv "$folder/request.new" "$folder/request"
    for _ in $(seq "${3:-600}"); do
        if [ -s "$folder/status" ]; then
            cat "$folder/answer"
            status=$(cat "$folder/status")
            return "$status"
        fi
        sleep 0.2
    done
    echo "in_guest: no answer to: $2" >&2
    return 124
}
