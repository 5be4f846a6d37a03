import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import Synchronization

/// The controller services of thousands of nodes on one socket, told apart by the address that was dialled.
///
/// What differs from real nodes is that there are no devices; it keeps only what a controller asks for.
final class SimulatedNodes: Sendable {
    /// 127.0.0.1 is the controller's.
    private static let firstAddress: UInt32 = 0x7F01_0000

    struct Node {
        let name: String
        var volumes: [String: Csi_V1_Volume] = [:]
        var changes: UInt64 = 0
    }

    let driverName: String
    private let nodes: Mutex<[Node]>

    init(count: Int, volumes: Int, driverName: String) {
        self.driverName = driverName
        nodes = Mutex(
            (0..<count).map { index in
                var node = Node(name: Self.name(index))
                for number in 0..<volumes {
                    let name = "pvc-\(index)-\(number)-0000-0000-000000000000"
                    let id = VolumeID(name: name, node: node.name).rawValue
                    node.volumes[id] = Self.volume(id, name, size: 1 << 30, on: node.name, driverName)
                }
                return node
            })
    }

    static func name(_ index: Int) -> String { "node-\(index)" }

    static func address(_ index: Int) -> String {
        let address = firstAddress + UInt32(index)
        return "127.\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    }

    func version(_ index: Int) -> String { nodes.withLock { "simulated-\($0[index].changes)" } }

    /// The node whose address `peer` is, in gRPC's form.
    func with<R>(_ context: ServerContext, _ body: (inout sending Node) throws -> R) throws -> R {
        let numbers = context.localPeer.split(separator: ":").dropFirst().first?.split(separator: ".").compactMap {
            UInt32($0)
        }
        guard let numbers, numbers.count == 4 else {
            throw RPCError(code: .internalError, message: "\(context.localPeer) is no IPv4 address")
        }
        let index = Int(numbers.reduce(0) { $0 << 8 | $1 }) - Int(Self.firstAddress)
        return try nodes.withLock { nodes in
            guard nodes.indices.contains(index) else {
                throw RPCError(code: .notFound, message: "no node has the address \(context.localPeer)")
            }
            return try body(&nodes[index])
        }
    }

    static func volume(_ id: String, _ name: String, size: Int64, on node: String, _ driver: String) -> Csi_V1_Volume {
        .with {
            $0.volumeID = id
            $0.capacityBytes = size
            $0.volumeContext = ["name": name, "eraseafter": "true", "nsmode": "fsdax"]
            $0.accessibleTopology = [.with { $0.segments = ["\(driver)/node": node] }]
        }
    }
}
