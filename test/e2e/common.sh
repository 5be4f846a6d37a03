# To be sourced by start, stop and run: the settings, and how to reach the cluster and its guests.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top" || exit
. test/test-config.sh
mkdir -p "$TEST_DIRECTORY"
DIRECTORY=$(realpath "$TEST_DIRECTORY")
ADDRESS=$TEST_IP_ADDR.1
. test/kubernetes/control-plane.sh

within() { nsenter --net="/run/netns/$TEST_PREFIX" "$@"; }
kubectl() { within "${REAL_KUBECTL:-kubectl}" --kubeconfig "$DIRECTORY/admin.kubeconfig" "$@"; }
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

snapshots_work() { custom_resources_work && [ -d "$SIDECARS/crds" ] && have_sidecar csi-snapshotter && have_sidecar snapshot-controller; }

# OVERLAY SIDECARS: the overlay as the cluster can take it: with what an old API server needs on top, and without the containers
# whose image is not there, which would keep their pods from being ready for ever.
lab_manifest() {
    local overlay=deploy/overlays/$1 folder=$DIRECTORY/overlay
    mkdir -p "$folder"
    if ! kubectl api-versions | grep -qx policy/v1; then
        cat > "$folder/kustomization.yaml" << END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$(realpath --relative-to="$folder" "$overlay")]
components: [$(realpath --relative-to="$folder" deploy/overlays/lab-1.20)]
END
        overlay=$folder
    fi
    kubectl kustomize "$overlay" > "$folder/driver.yaml"
    # Not "apply", which would print what the cluster has.
    kubectl create --dry-run=client -o json -f "$folder/driver.yaml" |
        python3 test/e2e/without.py "$2" $(snapshots_work || echo csi-snapshotter)
}
