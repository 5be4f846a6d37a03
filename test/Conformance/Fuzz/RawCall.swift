import CSIProto
import GRPCCore
import GRPCProtobuf
import SwiftProtobuf

/// Bytes as they are.
struct RawSerializer: MessageSerializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes { Bytes(message) }
}

extension Driver {
    /// How a request ended whose bytes may be anything.
    struct RawEnd: Sendable {
        let outcome: Outcome
        let message: String
        let duration: Duration
        /// The size of a volume that was answered, of a growth.
        var size: Int64 = 0
    }

    /// Sends bytes as the request of a method; the ledger is told what they mean.
    func send<Request: Call>(_ bytes: [UInt8], as type: Request.Type) async -> RawEnd {
        var options = CallOptions.defaults
        options.timeout = Clients.patience
        let start = ContinuousClock.now
        do {
            let answer = try await client.client(for: Request.method).unary(
                request: ClientRequest(message: bytes), descriptor: Request.method, serializer: RawSerializer(),
                deserializer: ProtobufDeserializer<Request.Answer>(), options: options
            ) { try $0.message }
            let duration = ContinuousClock.now - start
            let request = try? Request(serializedBytes: bytes)
            if let request { ledger.note(request, answer) }
            let size = (answer as? Csi_V1_ControllerExpandVolumeResponse)?.capacityBytes ?? 0
            do {
                try require(request != nil, "OK for bytes that are no message")
                if let request { try Rules.check(answer, to: request) }
            } catch {
                return RawEnd(outcome: .unknown, message: "\(error)", duration: duration)
            }
            return RawEnd(outcome: .ok, message: "", duration: duration, size: size)
        } catch {
            let duration = ContinuousClock.now - start
            let error = error as? RPCError ?? RPCError(code: .unknown, message: "\(error)")
            return RawEnd(outcome: Outcome(error.code), message: error.message, duration: duration)
        }
    }
}
