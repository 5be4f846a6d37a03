import CSIProto
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import GRPCProtobuf
import SwiftProtobuf

typealias Client = GRPCClient<HTTP2ClientTransport.Posix>

/// One CSI method that csictl can call, whatever its message types are; `Method.all` holds them.
/// It turns a JSON request into JSON responses and prints nothing itself.
struct Method: Sendable {
    let service: String
    let name: String
    /// The request's fields in JSON spelling.
    let fields: @Sendable () -> [String]
    /// Decodes the request; what comes back makes the call and hands on each response.
    let prepare: @Sendable (_ json: String) throws -> Call

    typealias Call =
        @Sendable (_ client: Client, _ options: CallOptions, _ show: @escaping @Sendable (String) -> Void) async throws
        -> Void

    static func unary<Input: Message, Output: Message>(
        _ service: ServiceDescriptor, _: Input.Type, _: Output.Type
    ) -> Method {
        let descriptor = descriptor(service, Input.self, .unary)
        return Method(descriptor, Input.self) { request in
            { client, options, show in
                try await client.unary(
                    request: ClientRequest(message: request), descriptor: descriptor,
                    serializer: ProtobufSerializer<Input>(), deserializer: ProtobufDeserializer<Output>(),
                    options: options
                ) { show(try json($0.message)) }
            }
        }
    }

    static func serverStreaming<Input: Message, Output: Message>(
        _ service: ServiceDescriptor, _: Input.Type, _: Output.Type
    ) -> Method {
        let descriptor = descriptor(service, Input.self, .serverStreaming)
        return Method(descriptor, Input.self) { request in
            { client, options, show in
                try await client.serverStreaming(
                    request: ClientRequest(message: request), descriptor: descriptor,
                    serializer: ProtobufSerializer<Input>(), deserializer: ProtobufDeserializer<Output>(),
                    options: options
                ) { response in
                    for try await message in response.messages { show(try json(message)) }
                }
            }
        }
    }

    /// In CSI every method's request is named for the method.
    private static func descriptor(
        _ service: ServiceDescriptor, _ input: (some Message).Type, _ type: MethodDescriptor.RPCType
    ) -> MethodDescriptor {
        let message = input.protoMessageName.split(separator: ".").last ?? ""
        return MethodDescriptor(service: service, method: String(message.dropLast("Request".count)), type: type)
    }

    private init<Input: Message>(
        _ descriptor: MethodDescriptor, _: Input.Type, call: @escaping @Sendable (Input) -> Call
    ) {
        service = descriptor.service.fullyQualifiedService
        name = descriptor.method
        fields = { Self.fieldNames(of: Input()) }
        prepare = { text in
            do {
                return call(try Input(jsonString: text))
            } catch {
                throw UsageError("the request does not fit \(Input.protoMessageName): \(error)\n\(text)")
            }
        }
    }

    /// Field names as in csi.proto and plain numbers: for people and for shell scripts.
    private static func json(_ message: some Message) throws -> String {
        var options = JSONEncodingOptions()
        options.preserveProtoFieldNames = true
        options.alwaysPrintInt64sAsNumbers = true
        options.useDeterministicOrdering = true
        return try message.jsonString(options: options)
    }

    /// The runtime has no descriptors; the generated structures' stored properties carry the names.
    private static func fieldNames(of message: Any) -> [String] {
        Mirror(reflecting: message).children.flatMap { child -> [String] in
            guard let label = child.label, label != "unknownFields" else { return [] }
            if label == "_storage" { return fieldNames(of: child.value) }
            let name = label.hasPrefix("_") ? String(label.dropFirst()) : label
            return [snakeCase(name)]
        }
    }

    private static func snakeCase(_ name: String) -> String {
        name.replacing("ID", with: "Id").reduce(into: "") { text, character in
            if character.isUppercase { text.append("_") }
            text += character.lowercased()
        }
    }
}
