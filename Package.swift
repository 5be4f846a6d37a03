// swift-tools-version: 6.2
import PackageDescription

/// Hand-written targets: Swift 6, every warning an error.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let grpcCore: Target.Dependency = .product(name: "GRPCCore", package: "grpc-swift-2")
let grpcPosix: Target.Dependency = .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport")
let grpcProtobuf: Target.Dependency = .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "CoreMetrics", package: "swift-metrics")
let certificateReloading: Target.Dependency = .product(name: "NIOCertificateReloading", package: "swift-nio-extras")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")

let package = Package(
    name: "pmem-csi",
    products: [
        .executable(name: "pmem-ns-init", targets: ["pmem-ns-init"]),
        .executable(name: "pmem-vgm", targets: ["pmem-vgm"]),
        .executable(name: "pmem-csi-driver", targets: ["pmem-csi-driver"]),
        .executable(name: "csictl", targets: ["csictl"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0", traits: []),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        .package(url: "https://github.com/grpc/grpc-swift-2", exact: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", exact: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", exact: "2.4.1"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2", traits: []),
    ],
    targets: [
        // The programs.
        .executableTarget(
            name: "pmem-ns-init", dependencies: ["Ndctl", "Host", "Program", argumentParser, logging],
            swiftSettings: settings),
        .executableTarget(
            name: "pmem-vgm", dependencies: ["Ndctl", "LVM", "Host", "Program", argumentParser, logging],
            swiftSettings: settings),
        .executableTarget(
            name: "pmem-csi-driver",
            dependencies: [
                "CLinux", "CSIServer", "DeviceManager", "LVM", "Registry", "Program", "SPDK", argumentParser,
                asyncHTTPClient, grpcCore, lifecycle, logging, metrics, nioCore, nioHTTP1, nioPosix, signals,
            ],
            exclude: ["Program"], swiftSettings: settings),
        .executableTarget(
            name: "csictl",
            dependencies: [
                "CSIProto", "ClusterProto", "ProgressProto", "DeviceManager", "LVM", "Ndctl", "Program", "Registry",
                grpcCore, grpcPosix, grpcProtobuf, logging, protobuf,
            ],
            path: "util/csictl", swiftSettings: settings),
        .target(
            name: "Program", dependencies: [argumentParser, logging], path: "Sources/pmem-csi-driver/Program",
            swiftSettings: settings),

        // What the CSI calls mean.
        .target(
            name: "CSIServer",
            dependencies: [
                "CSIProto", "ClusterProto", "ProgressProto", "DeviceManager", "Host", "Registry", "SPDK",
                asyncHTTPClient,
                grpcCore, grpcPosix, lifecycle,
                logging, protobuf,
            ],
            exclude: ["Proto", "Progress", "Cluster/Proto"], swiftSettings: settings),
        .target(
            name: "ClusterProto", dependencies: [grpcCore, grpcProtobuf, protobuf],
            path: "Sources/CSIServer/Cluster/Proto", exclude: ["cluster.proto"]),
        .target(
            name: "CSIProto", dependencies: [grpcCore, grpcProtobuf, protobuf], path: "Sources/CSIServer/Proto",
            exclude: ["csi.proto"]),
        .target(
            name: "ProgressProto", dependencies: [grpcCore, grpcProtobuf, protobuf],
            path: "Sources/CSIServer/Progress/Proto", exclude: ["progress.proto"]),

        // Servers, clients and who may talk to whom.
        .target(
            name: "Registry",
            dependencies: [
                "RegistryProto", asn1, certificateReloading, grpcCore, grpcPosix, lifecycle, logging, metrics, nioCore,
                nioPosix, nioSSL, nioTLS, protobuf, x509,
            ],
            exclude: ["Proto"], swiftSettings: settings),
        .target(
            name: "RegistryProto", dependencies: [grpcCore, grpcProtobuf, protobuf], path: "Sources/Registry/Proto",
            exclude: ["registry.proto"]),

        // Volumes on devices.
        .target(
            name: "DeviceManager", dependencies: ["LVM", "Ndctl", "Host", crypto, logging, metrics],
            exclude: ["CNdctl", "CBlkid", "CDevmapper", "CLinux", "Ndctl", "LVM", "Host", "SPDK"],
            swiftSettings: settings),
        .target(
            name: "SPDK", dependencies: ["Host", asyncHTTPClient, crypto, logging, nioCore, nioHTTP1, nioPosix],
            path: "Sources/DeviceManager/SPDK", swiftSettings: settings),
        .target(
            name: "LVM", dependencies: ["CDevmapper", logging, metrics, subprocess, system],
            path: "Sources/DeviceManager/LVM", swiftSettings: settings),
        .target(
            name: "Ndctl", dependencies: ["CNdctl"], path: "Sources/DeviceManager/Ndctl",
            swiftSettings: settings),
        .target(
            name: "Host", dependencies: ["CBlkid", "CLinux", nioPosix, subprocess, system],
            path: "Sources/DeviceManager/Host", swiftSettings: settings),
        .systemLibrary(
            name: "CNdctl", path: "Sources/DeviceManager/CNdctl", pkgConfig: "libndctl",
            providers: [.apt(["libndctl-dev", "libkmod-dev", "uuid-dev"])]),
        .systemLibrary(
            name: "CBlkid", path: "Sources/DeviceManager/CBlkid", pkgConfig: "blkid",
            providers: [.apt(["libblkid-dev"])]),
        .systemLibrary(
            name: "CDevmapper", path: "Sources/DeviceManager/CDevmapper", pkgConfig: "devmapper",
            providers: [.apt(["libdevmapper-dev"])]),
        .target(name: "CLinux", path: "Sources/DeviceManager/CLinux"),

        // Tests.
        .target(
            name: "TestSupport",
            dependencies: ["DeviceManager", "Host", "Registry", asn1, crypto, logging, nioCore, nioPosix, x509],
            path: "test/TestSupport", swiftSettings: settings),
        .testTarget(
            name: "PlanTests",
            dependencies: ["pmem-ns-init", "pmem-vgm", "Ndctl", "LVM", "Program", argumentParser, logging],
            path: "test/PlanTests", swiftSettings: settings),
        .testTarget(
            name: "DeviceManagerTests",
            dependencies: ["DeviceManager", "LVM", "Ndctl", "Host", "TestSupport", logging],
            path: "test/DeviceManagerTests", swiftSettings: settings),
        .testTarget(
            name: "CSIServerTests",
            dependencies: [
                "CSIServer", "CSIProto", "ClusterProto", "DeviceManager", "Host", "Registry", "RegistryProto",
                "TestSupport", grpcCore, grpcPosix,
                lifecycle, logging, protobuf,
            ],
            path: "test/CSIServerTests", swiftSettings: settings),
        .target(
            name: "StandIn", dependencies: ["SPDK", nioCore, nioPosix], path: "test/StandIn/Model",
            swiftSettings: settings),
        .testTarget(
            name: "SPDKTests",
            dependencies: [
                "CSIServer", "CSIProto", "DeviceManager", "Registry", "SPDK", "StandIn", "TestSupport", asyncHTTPClient,
                grpcCore, grpcPosix, lifecycle, logging, nioCore, protobuf,
            ],
            path: "test/SPDKTests", swiftSettings: settings),
        .testTarget(
            name: "RegistryTests",
            dependencies: [
                "pmem-csi-driver", "csictl", "CSIProto", "CSIServer", "ClusterProto", "DeviceManager", "LVM", "Ndctl",
                "ProgressProto", "Registry", "RegistryProto", "TestSupport", grpcCore, grpcPosix, x509, lifecycle,
                logging, metrics, nioCore, nioPosix, protobuf,
            ],
            path: "test/RegistryTests", swiftSettings: settings),
        .executableTarget(
            name: "lab-guest",
            dependencies: [
                "CSIProto", "LVM", "Registry", "SPDK", argumentParser, asyncHTTPClient, grpcCore, logging, protobuf,
            ],
            path: "test/lab/guest", swiftSettings: settings),
        .executableTarget(
            name: "spdk-stand-in", dependencies: ["StandIn", argumentParser], path: "test/StandIn/Program",
            swiftSettings: settings),
        .executableTarget(
            name: "cluster-simulation",
            dependencies: [
                "CSIProto", "DeviceManager", "Registry", argumentParser, grpcCore, grpcPosix, lifecycle, logging,
                protobuf, signals,
            ],
            path: "test/Simulation", exclude: ["run"], swiftSettings: settings),
        .executableTarget(
            name: "csi-conformance",
            dependencies: ["CSIProto", "Registry", argumentParser, grpcCore, grpcPosix, grpcProtobuf, protobuf],
            path: "test/Conformance", exclude: ["run"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
