# The targets that matter are listed by "make help".
.DEFAULT_GOAL := all
.NOTPARALLEL:
SHELL := /bin/bash -o pipefail
.PHONY: all demo demo-keep demo-nvdimm test test-full lab lab-shell sanity check format protos clean help
.PHONY: packages lab-packages demo-programs debug csictl build-images push-images image-archive start stop test_e2e manifests

PROGRAMS := pmem-ns-init pmem-vgm pmem-csi-driver
DEBUG_PROGRAMS := $(PROGRAMS) csictl csi-conformance lab-guest cluster-simulation spdk-stand-in
SWIFT_FILES := $(shell find Package.swift Sources test util -name '*.swift' -not -path '*/Proto/*')
PROTOS := Sources/CSIServer/Proto Sources/CSIServer/Progress/Proto Sources/CSIServer/Cluster/Proto Sources/Registry/Proto
GENERATED ?= .
SUITE ?= lvm
REGISTRY ?= localhost:5000
TAG ?= canary
IMAGE := $(REGISTRY)/pmem-csi-driver:$(TAG)
CONTAINER_ENGINE ?= docker

# A function to a section and no symbol exported, so that the linker can drop what is never called; relocations in a
# tenth of the room; libstdc++ from .build/static. LLVM's linker, since the default one cannot pack relocations.
LEAN := $(patsubst %,-Xswiftc %,-Osize -Xfrontend -function-sections -Xfrontend -internalize-at-link \
            -use-ld=lld -L.build/static) \
        $(foreach language,-Xcc -Xcxx,$(language) -ffunction-sections $(language) -fdata-sections) \
        $(patsubst %,-Xlinker %,--no-export-dynamic -zpack-relative-relocs)

## all: builds the three programs for release into _output/
all: packages
	@mkdir -p _output .build/static
	ln -sf "$$(clang++ -print-file-name=libstdc++.a)" .build/static/
	for program in $(PROGRAMS); do \
	    swift build -c release --static-swift-stdlib $(LEAN) --product $$program && \
	    install -s -m 755 .build/release/$$program _output/ || exit; \
	done

# One more program of the image.
csictl: packages
	@mkdir -p _output .build/static
	ln -sf "$$(clang++ -print-file-name=libstdc++.a)" .build/static/
	swift build -c release --static-swift-stdlib $(LEAN) --product csictl
	install -s -m 755 .build/release/csictl _output/

## build-images: builds the image of all programs with a container engine (REGISTRY, TAG, CONTAINER_ENGINE)
build-images:
	$(CONTAINER_ENGINE) build -f deploy/Dockerfile -t $(IMAGE) .

## push-images: pushes it to REGISTRY
push-images:
	$(CONTAINER_ENGINE) push $(IMAGE)

## image-archive: makes the same image as _output/pmem-csi-driver.tar, without a container engine
image-archive: all csictl
	IMAGE=$(IMAGE) deploy/image/archive _output/pmem-csi-driver.tar

## manifests: makes the single files of deploy/kubernetes-* from the overlays
manifests:
	deploy/render

## start: a Kubernetes cluster of guests with emulated NVDIMMs (test/test-config.sh)
start: lab-packages debug
	@util/install-packages e2e
	test/e2e/start

## stop: ends it, and leaves nothing
stop:
	test/e2e/stop

## test_e2e: the end-to-end suite on that cluster
test_e2e:
	test/e2e/run

## demo: shows on this machine what volumes made of files can do, step by step, and leaves nothing behind
demo: demo-programs
	@util/demo

## demo-keep: the same, but leaves the driver running and says what to try next
demo-keep: demo-programs
	@util/demo --keep

## demo-nvdimm: shows a volume's life on emulated NVDIMMs, in a guest
demo-nvdimm: lab-packages debug
	util/demo-nvdimm

# The test bundle by name: a plain "swift build --build-tests" compiles protoc as well, which nothing here runs.
## test: builds for debug, runs the tests and the conformance suite here, and the lab's suites, one short boot each
test: lab-packages debug
	swift build --product pmem-csiPackageTests
	timeout -k 10 580 swift test --skip-build --skip SPDKTests
	@# Storage nodes have seconds to answer, which hundreds of tests beside each other may take away.
	timeout -k 10 300 swift test --skip-build --no-parallel --filter SPDKTests
	test/Conformance/run core
	MODE=cluster test/Conformance/run core
	test/Conformance/run fuzz -count 2000 -seed 1
	test/lab/run lvm --quick
	test/lab/run spdk --quick
	test/lab/conformance quick
	test/kubernetes/manifests

## test-full: SUITE=lvm|direct|cluster|simulation|compare|conformance|fuzz|thread|address: all of it, as long as it takes (test/full)
test-full: lab-packages debug
	test/full $(SUITE)

# spdk: with SPDK_TGT and SPDK_PROXY on storage nodes of a real SPDK, here on the host.
## lab: SUITE=lvm|direct|cluster|remote|spdk: the lab's whole suite: in guests, on several machines, on storage targets
lab: lab-packages debug
	test/lab/run $(SUITE)

## lab-shell: opens a shell in such a guest
lab-shell: lab-packages
	test/lab/shell

## sanity: runs the csi-sanity on the PATH against the driver, on files here, on LVM and namespaces in a guest
sanity: lab-packages
	@command -v csi-sanity > /dev/null || { echo "there is no csi-sanity on the PATH"; exit 1; }
	@$(MAKE) debug
	test/sanity file "$$(command -v csi-sanity)"
	for manager in lvm direct; do \
	    LAB_TIMEOUT=900 test/lab/boot sanity -- test/sanity $$manager "$$(command -v csi-sanity)" || exit; \
	done

## check: formatting, generated code and house rules
check: packages
	swift format lint --strict $(SWIFT_FILES)
	! grep -nE '^ *((public|package|internal|private|@testable) )*import Foundation$$' $(SWIFT_FILES)
	if command -v kubectl > /dev/null; then deploy/render --check; else echo "skipped: deploy/render --check: no kubectl"; fi
	$(MAKE) protos GENERATED=.build/protos
	for directory in $(PROTOS); do diff -r -x '*.proto' .build/protos/$$directory $$directory || exit; done

## format: formats the Swift files in place
format:
	swift format --in-place $(SWIFT_FILES)

## protos: makes the Swift of the gRPC protocols anew
protos: packages
	swift build --product protoc-gen-swift
	swift build --product protoc-gen-grpc-swift-2
	for directory in $(PROTOS); do \
	    mkdir -p $(GENERATED)/$$directory && \
	    protoc --plugin=.build/debug/protoc-gen-swift --plugin=.build/debug/protoc-gen-grpc-swift-2 \
	        -I $$directory -I .build/checkouts/swift-protobuf/Sources/protobuf/protobuf/src \
	        --swift_out=$(GENERATED)/$$directory --swift_opt=Visibility=Package,FileNaming=DropPath \
	        --grpc-swift-2_out=$(GENERATED)/$$directory --grpc-swift-2_opt=Visibility=Package,FileNaming=DropPath \
	        $$directory/*.proto || exit; \
	done

## clean: removes what was built
clean:
	rm -rf .build _output _work

## help: lists these targets
help:
	@sed -n 's/^## \([a-z_-]*\): /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	    printf '  make %-13s %s\n' "$$name" "$$text"; done

packages:
	@util/install-packages

lab-packages:
	@util/install-packages lab

demo-programs:
	@util/install-packages demo
	swift build --product pmem-csi-driver
	swift build --product csictl

debug:
	for program in $(DEBUG_PROGRAMS); do swift build --product $$program || exit; done
