#!/bin/bash
# Makes a certificate authority and, signed by it, certificates for a controller and its nodes, with openssl.
#   WORKDIR    where everything goes (default: _work/pmem-ca)
#   CA         name of the authority (default: pmem-ca)
#   EXTRA_CNS  more certificates, by name (such as wrong-node-controller, for tests)
#   CA_DAYS, DAYS  how long the authority (3650) and the certificates (365) hold
# Files: ca.pem, ca-key.pem, and NAME.pem, NAME-key.pem for pmem-registry and pmem-node-controller. An authority that is
# there already is kept, its certificates are made anew: run it again before they expire; drivers notice by themselves.
set -euo pipefail
umask 077

workdir=${WORKDIR:-_work/pmem-ca}
mkdir -p "$workdir"
cd "$workdir"

if [ ! -s ca.pem ] || [ ! -s ca-key.pem ]; then
    openssl ecparam -genkey -name prime256v1 -noout -out ca-key.pem.new
    openssl req -new -x509 -key ca-key.pem.new -days "${CA_DAYS:-3650}" -sha256 -subj "/CN=${CA:-pmem-ca}" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem.new
    mv ca-key.pem.new ca-key.pem
    mv ca.pem.new ca.pem
fi

leaf() {
    local name=$1
    openssl ecparam -genkey -name prime256v1 -noout -out "$name-key.pem.new"
    openssl req -new -key "$name-key.pem.new" -subj "/CN=$name" -out "$name.csr"
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca-key.pem -days "${DAYS:-365}" -sha256 \
        -set_serial "0x$(openssl rand -hex 16 | sed 's/^./5/')" -out "$name.pem.new" 2> /dev/null -extfile <(
        printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
            extendedKeyUsage=serverAuth,clientAuth "subjectAltName=DNS:$name")
    # Each whole: a driver that looks between the two keeps what it has until they fit together.
    mv "$name-key.pem.new" "$name-key.pem"
    mv "$name.pem.new" "$name.pem"
    rm "$name.csr"
}

for name in pmem-registry pmem-node-controller ${EXTRA_CNS:-}; do leaf "$name"; done
