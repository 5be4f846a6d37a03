# To be sourced by run and run-spdk: cases, their results, and how they wait. `driver` is the driver's name.
export -f kubectl within
export DIRECTORY TEST_PREFIX
[ -e "$DIRECTORY/admin.kubeconfig" ] || { echo "run: there is no cluster; make start makes one"; exit 1; }
examples=deploy/kubernetes-1.25
work=$DIRECTORY/run
rm -rf "$work" && mkdir -p "$work"
results=() failed=0
limit=${TEST_TIMEOUT:-300}

# CASE "SIDECARS" FUNCTION
run_case() {
    local title=$1 begin=$SECONDS sidecar
    [ ${#only[@]} = 0 ] || [[ " ${only[*]} " == *" $3 "* ]] || return
    for sidecar in $2; do
        if ! have_sidecar "$sidecar"; then
            results+=("skipped         $title: there is no $sidecar in SIDECARS") && echo "${results[-1]}"
            return
        fi
    done
    echo "== $title"
    # Not as a condition, where "set -e" means nothing.
    (set -e; "$3") > "$work/$3.log" 2>&1
    if [ $? = 0 ]; then
        results+=("passed  $(printf %4d $((SECONDS - begin))) s  $title$(sed -n 's/^RESULT/:/p' "$work/$3.log")")
    else
        failed=$((failed + 1))
        results+=("FAILED  $(printf %4d $((SECONDS - begin))) s  $title: $(tail -n 2 "$work/$3.log" | tr '\n' ' ')")
        kubectl get pods,pvc,pv,volumeattachments -A -o wide > "$work/$3.state" 2>&1
        kubectl describe pods -A >> "$work/$3.state" 2>&1
    fi
    echo "${results[-1]}"
}

wait_for() { kubectl wait --timeout="${limit}s" --for="$@"; }
running() { wait_for condition=Ready "pod/$1"; }
# POD FILE: what a pod sees.
content() { kubectl exec "$1" -- cat "$2"; }
until_it() {
    local end=$((SECONDS + limit))
    until "$@"; do [ $SECONDS -lt $end ] || { echo "not within $limit s: $*"; return 1; }; sleep 0.5; done
}

registered() { kubectl get csinode "$(worker_name 0)" -o 'jsonpath={.spec.drivers[*].name}' | grep -q "$driver"; }
unregistered() { ! registered; }

# What the cases of `all` that need no more than these can count on.
all="csi-node-driver-registrar csi-provisioner csi-attacher"

report() {
    printf '%s\n' "" "${results[@]}"
    echo "test_e2e: $failed failed; logs are in ${work#"$top"/}"
    [ $failed = 0 ]
}
