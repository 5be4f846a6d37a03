#!/bin/bash
# Gives a controller and its nodes certificates by the way of Kubernetes: makes CertificateSigningRequests, approves them,
# signs them with the project's own authority (no signer that Kubernetes has issues such certificates), and stores the
# result in Secrets with tls.crt, tls.key and ca.crt. Run it again to renew them.
#   KUBECTL     how to call kubectl (default: kubectl)
#   DRIVERNAME  the driver's name (default: pmem-csi.intel.com); the signer is DRIVERNAME/mutual-tls
#   NAMESPACE   of the Secrets, made if it is not there (default: pmem-csi)
#   WORKDIR     with the authority, made if it is not there (default: _work/pmem-ca), see test/setup-ca.sh
#   DAYS        how long the certificates hold (365)
# Secrets: pmem-csi-registry-secrets for controllers, pmem-csi-node-secrets for nodes.
set -euo pipefail
umask 077

kubectl=${KUBECTL:-kubectl}
driver=${DRIVERNAME:-pmem-csi.intel.com}
namespace=${NAMESPACE:-pmem-csi}
workdir=${WORKDIR:-_work/pmem-ca}
here=$(cd "$(dirname "$0")" && pwd)
[ -s "$workdir/ca.pem" ] || WORKDIR=$workdir "$here/setup-ca.sh"
workdir=$(cd "$workdir" && pwd)
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"

# Whoever approves or signs for this signer needs to be allowed to; an administrator is.
certificate() {
    local name=$1 secret=$2 request=$driver-$1
    openssl ecparam -genkey -name prime256v1 -noout -out "$name-key.pem"
    openssl req -new -key "$name-key.pem" -subj "/CN=$name" -addext "subjectAltName=DNS:$name" -out "$name.csr"
    # One of an earlier run has another key.
    $kubectl delete --ignore-not-found certificatesigningrequest "$request" > /dev/null
    $kubectl create -f - > /dev/null << EOF
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata:
  name: $request
spec:
  request: $(base64 -w 0 "$name.csr")
  signerName: $driver/mutual-tls
  usages: [digital signature, server auth, client auth]
EOF
    $kubectl certificate approve "$request" > /dev/null
    # What is signed is what the cluster holds, and only if it was approved there.
    [ "$($kubectl get certificatesigningrequest "$request" -o 'jsonpath={.status.conditions[?(@.type=="Approved")].status}')" = True ] ||
        { echo "$request was not approved" >&2; return 1; }
    $kubectl get certificatesigningrequest "$request" -o 'jsonpath={.spec.request}' | base64 -d > "$name.approved"
    openssl x509 -req -in "$name.approved" -CA "$workdir/ca.pem" -CAkey "$workdir/ca-key.pem" -days "${DAYS:-365}" -sha256 \
        -set_serial "0x5$(openssl rand -hex 15)" -out "$name.pem" 2> /dev/null -extfile <(
        printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
            extendedKeyUsage=serverAuth,clientAuth "subjectAltName=DNS:$name")
    # kubectl has no verb for this part of the object.
    $kubectl get certificatesigningrequest "$request" -o json > request.json
    python3 - request.json "$name.pem" > signed.json << 'EOF'
import base64, json, sys
request = json.load(open(sys.argv[1]))
request["status"]["certificate"] = base64.b64encode(open(sys.argv[2], "rb").read()).decode()
json.dump(request, sys.stdout)
EOF
    $kubectl replace --raw "/apis/certificates.k8s.io/v1/certificatesigningrequests/$request/status" -f signed.json > /dev/null
    $kubectl get certificatesigningrequest "$request" -o 'jsonpath={.status.certificate}' | base64 -d > issued.pem
    openssl verify -CAfile "$workdir/ca.pem" issued.pem > /dev/null
    $kubectl create secret generic "$secret" --namespace "$namespace" --type kubernetes.io/tls --dry-run=client -o yaml \
        --from-file=tls.crt=issued.pem --from-file=tls.key="$name-key.pem" --from-file=ca.crt="$workdir/ca.pem" |
        $kubectl apply -f - > /dev/null
    echo "secret $namespace/$secret: certificate of $name, signed by $(openssl x509 -in "$workdir/ca.pem" -noout -subject)"
}

$kubectl get namespace "$namespace" > /dev/null 2>&1 || $kubectl create namespace "$namespace" > /dev/null
certificate pmem-registry pmem-csi-registry-secrets
certificate pmem-node-controller pmem-csi-node-secrets
