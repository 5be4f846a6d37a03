import CSIProto
import DeviceManager
import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Host
import Logging
import Registry
import ServiceLifecycle
import SwiftProtobuf
import TestSupport

@testable import CSIServer

/// One start of a node whose volumes are on storage targets, and a client on its real socket.
struct RemoteDriver: Sendable {
    let node: RemoteNode
    let gate: OperationGate
    let client: Csi_V1_Node.Client<HTTP2ClientTransport.Posix>

    var attachments: RemoteAttachments { node.attachments }

    func recover() async throws {
        for record in attachments.all { try await attachments.recover(record.id) }
    }
}

/// A storage target's volume, and places to mount it.
struct TargetVolume: Sendable {
    static let host = HostIdentity(driverName: "csi.spdk.io", clusterName: "test", nodeID: "node-1")

    let uuid: String
    let directory: String
    var access: String?
    var subsystem: String?

    var id: String { "storage-1:\(uuid)" }
    var nqn: String { subsystem ?? "nqn.2020-04.io.spdk.csi:uuid:\(uuid)" }
    var staging: String { "\(directory)/staging-\(uuid)" }
    var target: String { "\(directory)/target-\(uuid)" }

    var context: [String: String] {
        var context = ["targetType": "TCP", "targetAddr": "10.0.0.1", "targetPort": "4420", "nqn": nqn, "model": uuid]
        context["access"] = access
        return context
    }

    static func uuid(_ number: Int) -> String { "00000000-0000-4000-8000-00000000000\(number)" }
}

extension RemoteDriver {
    func stage(
        _ volume: TargetVolume, _ capability: Csi_V1_VolumeCapability = .mount(), publish: [String: String] = [:]
    ) async throws {
        try FileManager.default.createDirectory(atPath: volume.staging, withIntermediateDirectories: true)
        _ = try await client.nodeStageVolume(
            .with {
                ($0.volumeID, $0.stagingTargetPath) = (volume.id, volume.staging)
                ($0.volumeCapability, $0.volumeContext) = (capability, volume.context)
                $0.publishContext = publish
            })
    }

    func unstage(_ volume: TargetVolume) async throws {
        try await whileBusy {
            _ = try await client.nodeUnstageVolume(
                .with { ($0.volumeID, $0.stagingTargetPath) = (volume.id, volume.staging) })
        }
    }

    func publish(
        _ volume: TargetVolume, _ capability: Csi_V1_VolumeCapability = .mount(), readOnly: Bool = false
    ) async throws {
        _ = try await client.nodePublishVolume(
            .with {
                ($0.volumeID, $0.stagingTargetPath, $0.targetPath) = (volume.id, volume.staging, volume.target)
                ($0.volumeCapability, $0.volumeContext, $0.readonly) = (capability, volume.context, readOnly)
            })
    }

    func unpublish(_ volume: TargetVolume) async throws {
        try await whileBusy {
            _ = try await client.nodeUnpublishVolume(
                .with { ($0.volumeID, $0.targetPath) = (volume.id, volume.target) })
        }
    }
}

/// Runs the driver on the records in `directory`.
func withRemoteDriver<R: Sendable>(
    _ initiator: LoopInitiator, in directory: String, _ body: (RemoteDriver) async throws -> R
) async throws -> R {
    let attachments = try await openAttachments(initiator, in: "\(directory)/state")
    let node = RemoteNode(
        nodeID: "node-1", attachments: attachments, configuration: try NodeServerConfiguration(path: "/nonexistent"),
        logger: quiet)
    node.set(.ready)
    let gate = OperationGate()
    let endpoint = try Endpoint(unix: "\(directory)/csi.sock")
    let server = GRPCService(
        endpoint: endpoint, services: [RemoteNodeService(node: node, gate: gate)],
        interceptors: [CallLog(logger: quiet, redact: Redaction.text)], logger: quiet)
    return try await running(server) {
        _ = try await server.listeningEndpoint
        return try await withClient(to: endpoint) { client in
            try await body(RemoteDriver(node: node, gate: gate, client: .init(wrapping: client)))
        }
    }
}

/// Waits for the lock of a driver before.
private func openAttachments(_ initiator: LoopInitiator, in directory: String) async throws -> RemoteAttachments {
    for _ in 0..<500 {
        do throws(DeviceError) {
            return try make(initiator, directory)
        } catch {
            guard error.code == .unavailable else { throw error }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
    return try make(initiator, directory)
}

private func make(_ initiator: LoopInitiator, _ directory: String) throws(DeviceError) -> RemoteAttachments {
    try RemoteAttachments(
        directory: directory, host: TargetVolume.host, initiators: [.tcp: initiator, .iscsi: initiator], logger: quiet)
}

/// A loop device that no process has open.
func makeLoop(_ path: String, size: UInt64) throws -> String {
    let file = BackingFile(path: path)
    try file.create(size: size, allocated: false)
    return try LoopAttachment.attach(file).path
}

/// A driver, and a target with volumes of zeroes.
func withTarget<R: Sendable>(
    volumes: Int = 1, size: UInt64 = 16 << 20, subsystem: String? = nil,
    _ body: (RemoteDriver, [TargetVolume], LoopInitiator, [String]) async throws -> R
) async throws -> R {
    try await withDirectory { directory in
        defer { detachAll(below: directory) }
        let devices = try (0..<volumes).map { try makeLoop("\(directory)/volume-\($0)", size: size) }
        let targets = (0..<volumes).map {
            TargetVolume(uuid: TargetVolume.uuid($0), directory: directory, subsystem: subsystem)
        }
        let paths = Dictionary(
            uniqueKeysWithValues: zip(targets, devices).map { ("\($0.nqn) \($0.uuid)", $1) })
        let initiator = LoopInitiator(devices: paths)
        return try await withRemoteDriver(initiator, in: directory) { driver in
            try await body(driver, targets, initiator, devices)
        }
    }
}

/// Files that a test looks into, as text.
func write(_ text: String, to path: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }

func read(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
}
