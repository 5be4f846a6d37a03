# To be sourced: a Kubernetes control plane of processes of this machine, for tests. It needs
#   KUBEBUILDER_ASSETS  folder of kube-apiserver (and, for start_controllers, kube-controller-manager and
#                       kube-scheduler); etcd there or on the PATH
#   DIRECTORY           folder for everything that it writes
#   ADDRESS             where it listens (default 127.0.0.1)
# start_api_server sets KUBECONFIG to an administrator's; stop_control_plane ends what was started.
: "${ADDRESS:=127.0.0.1}"
control_plane_processes=()

# Why nothing can be started here, or nothing.
control_plane_obstacle() {
    if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
        echo "KUBEBUILDER_ASSETS is not set"
    elif [ ! -x "$KUBEBUILDER_ASSETS/kube-apiserver" ]; then
        echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no kube-apiserver"
    elif [ -z "$(etcd_program)" ]; then
        echo "there is no etcd in KUBEBUILDER_ASSETS or on the PATH"
    elif ! command -v kubectl > /dev/null; then
        echo "there is no kubectl on the PATH"
    fi
}

etcd_program() {
    if [ -x "$KUBEBUILDER_ASSETS/etcd" ]; then echo "$KUBEBUILDER_ASSETS/etcd"; else command -v etcd || true; fi
}

free_ports() {
    python3 - "$1" << 'END'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets: each.bind(("127.0.0.1", 0))
print(*[each.getsockname()[1] for each in sockets])
END
}

# NAME COMMAND...
control_plane_process() {
    local name=$1
    shift
    setsid "$@" > "$DIRECTORY/$name.log" 2>&1 < /dev/null &
    control_plane_processes=("$!" "${control_plane_processes[@]}")
    # For whoever has to end them later.
    echo "$!" >> "$DIRECTORY/pids"
}

# One authority for the API server, the service account tokens' key beside it.
control_plane_certificates() {
    local names="subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$ADDRESS"
    mkdir -p "$DIRECTORY/pki"
    (
        cd "$DIRECTORY/pki"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lab-ca \
            -keyout ca.key -out ca.crt
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=kube-apiserver -keyout api.key -out api.csr
        openssl x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile <(echo "$names") -out api.crt
        openssl genrsa -out sa.key 2048
        openssl rsa -in sa.key -pubout -out sa.pub
    ) 2> "$DIRECTORY/pki.log"
}

# NAME USER [GROUP]: somebody with a kubeconfig of that name; before start_api_server.
add_user() {
    local token
    token=$(openssl rand -hex 16)
    echo "$token,$2,$1,${3:-}" >> "$DIRECTORY/tokens.csv"
}

# NAME TOKEN: a kubeconfig.
kubeconfig() {
    cat > "$DIRECTORY/$1.kubeconfig" << END
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "$API_SERVER", certificate-authority: $DIRECTORY/pki/ca.crt}}]
users: [{name: $1, user: {token: "$2"}}]
contexts: [{name: lab, context: {cluster: lab, user: $1}}]
current-context: lab
END
}

# ARGUMENTS...: more flags of kube-apiserver.
start_api_server() {
    local etcd_port peer_port token user name
    read -r etcd_port peer_port API_PORT <<< "$(free_ports 3)"
    API_SERVER=https://$ADDRESS:$API_PORT
    control_plane_certificates
    add_user admin admin system:masters
    while IFS=, read -r token user name _; do kubeconfig "$name" "$token"; done < "$DIRECTORY/tokens.csv"
    # Nothing of this has to outlive a crash of the machine.
    control_plane_process etcd "$(etcd_program)" --data-dir "$DIRECTORY/etcd" --unsafe-no-fsync \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-cluster "default=http://127.0.0.1:$peer_port"
    control_plane_process api-server "$KUBEBUILDER_ASSETS/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd_port" \
        --bind-address "$ADDRESS" --advertise-address "$ADDRESS" --secure-port "$API_PORT" --insecure-port 0 \
        --cert-dir "$DIRECTORY/pki" --tls-cert-file "$DIRECTORY/pki/api.crt" --tls-private-key-file "$DIRECTORY/pki/api.key" \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$DIRECTORY/pki/sa.pub" \
        --service-account-signing-key-file "$DIRECTORY/pki/sa.key" --token-auth-file "$DIRECTORY/tokens.csv" \
        --authorization-mode Node,RBAC --allow-privileged=true --service-cluster-ip-range 10.96.0.0/16 "$@"
    export KUBECONFIG=$DIRECTORY/admin.kubeconfig
    control_plane_wait 60 kubectl get --raw /readyz
}

# An API server 1.20 that was built with Go 1.19 crashes on any custom resource: its reflect2 does not know the maps of
# that Go.
custom_resources_work() { kubectl api-versions | grep -qx policy/v1; }

# SECONDS COMMAND...
control_plane_wait() {
    local end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2> "$DIRECTORY/wait.log"; do
        if [ $SECONDS -ge $end ]; then
            echo "$*: not within its time: $(tail -1 "$DIRECTORY/wait.log")" >&2
            return 1
        fi
        sleep 0.3
    done
}

start_controllers() {
    control_plane_process controller-manager "$KUBEBUILDER_ASSETS/kube-controller-manager" --kubeconfig "$KUBECONFIG" \
        --service-account-private-key-file "$DIRECTORY/pki/sa.key" --root-ca-file "$DIRECTORY/pki/ca.crt" \
        --use-service-account-credentials=false --leader-elect=false --port 0 --secure-port 0 "$@"
    control_plane_process scheduler "$KUBEBUILDER_ASSETS/kube-scheduler" --kubeconfig "$KUBECONFIG" --leader-elect=false \
        --port 0 --secure-port 0
    control_plane_wait 60 kubectl get serviceaccount default
}

stop_control_plane() {
    local process
    for process in "${control_plane_processes[@]}"; do kill "$process" 2> /dev/null || true; done
    for process in "${control_plane_processes[@]}"; do wait "$process" 2> /dev/null || true; done
    control_plane_processes=()
}
