# Settings of the cluster of guests (make start, make test_e2e). Each can come from the environment; files
# test/test-config.d/*.sh, which are not part of the repository, are read first and may set them, too.
for file in "$(dirname "${BASH_SOURCE[0]}")"/test-config.d/*.sh; do
    # shellcheck disable=SC1090
    [ ! -e "$file" ] || . "$file"
done

# Of the network namespace, the bridge and the taps.
: "${TEST_PREFIX:=pmemcsi}"
# The bridge has .1, worker N (from 0) has .1N.
: "${TEST_IP_ADDR:=192.168.8}"
# Each a guest of the names ${TEST_PREFIX}-workerN.
: "${TEST_WORKERS:=1}"
: "${TEST_NUM_CPUS:=2}"
# MiB of each worker, beside its persistent memory; everything that it writes is in there, images included.
: "${TEST_NORMAL_MEM_SIZE:=5120}"
# Of each of a worker's two NVDIMMs.
: "${TEST_PMEM_MEM_SIZE:=4G}"
# yes, no, or auto: yes on a machine that is no guest itself and has /dev/kvm.
: "${TEST_KVM:=auto}"
# guest, or process: one worker without a guest, in namespaces of this machine, for volumes made of files only. It starts within
# seconds where there is no KVM, and needs a kernel with overlay file systems, bridges and cgroups.
: "${TEST_WORKER:=guest}"
# The overlay that is installed: lvm, direct, file or spdk, which needs a real SPDK beside the cluster: SPDK_TGT and SPDK_PROXY
# as for `make lab`, and takes spdk-csi's own objects as well from the folder SPDKCSI_MANIFESTS (its deploy/kubernetes).
: "${TEST_DEVICEMODE:=lvm}"
: "${SPDK_TGT:=}" "${SPDK_PROXY:=}" "${SPDKCSI_MANIFESTS:=}"
# Folder of the built programs: those for release (make all csictl) if all are there and newer than their
# sources, since they make an image of a third, on which an emulated guest spends minutes.
release_is_current() {
    local program
    for program in _output/{pmem-csi-driver,pmem-ns-init,pmem-vgm,csictl}; do
        [ -x $program ] && [ -z "$(find Sources util -type f -newer $program -print -quit)" ] || return
    done
}
: "${TEST_PROGRAMS:=$(release_is_current && echo _output || echo .build/debug)}"
# Seconds until a worker is ready; under emulation most of them unpack images.
: "${TEST_START_TIMEOUT:=1200}"
# Folder of kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy and kubelet.
: "${KUBEBUILDER_ASSETS:=}"
# Folder of csi-provisioner, csi-attacher, csi-resizer, csi-snapshotter, csi-node-driver-registrar, livenessprobe,
# snapshot-controller, coredns, and of crds/ for snapshots; what is missing there is left out.
: "${SIDECARS:=}"
# Where the cluster keeps its files.
: "${TEST_DIRECTORY:=_work/cluster}"
