import ArgumentParser
import Registry

/// The flags about the connections between a controller and its nodes.
struct ClusterOptions: ParsableArguments {
    static let flags = [
        "registryEndpoint", "controllerEndpoint", "caFile", "certFile", "keyFile", "clientCertFile", "clientKeyFile",
    ]

    @Option(
        name: .customLong("registryEndpoint"),
        help: """
            Controller: where nodes can register (default: tcp://:10000). Node: where controllers are, as a list with \
            commas or a name with several addresses (default: tcp://pmem-csi-controller:10000).
            """)
    var registryEndpoint = ""
    @Option(
        name: .customLong("controllerEndpoint"),
        help: "Node: where the controller can call this node; its own address where none is given.")
    var controllerEndpoint = "tcp://:10001"
    @Option(name: .customLong("caFile"), help: "PEM file with the authorities that the other side's certificate needs.")
    var caFile = ""
    @Option(name: .customLong("certFile"), help: "PEM file with this side's certificate, as a server.")
    var certFile = ""
    @Option(name: .customLong("keyFile"), help: "PEM file with the key of -certFile.")
    var keyFile = ""
    @Option(
        name: .customLong("clientCertFile"),
        help: "PEM file with this side's certificate, as a client (default: -certFile).")
    var clientCertFile = ""
    @Option(name: .customLong("clientKeyFile"), help: "PEM file with the key of -clientCertFile (default: -keyFile).")
    var clientKeyFile = ""

    func configuration(_ mode: Mode) throws -> ClusterConfiguration? {
        guard mode != .unified else {
            for (name, value) in files + [("registryEndpoint", registryEndpoint)] where !value.isEmpty {
                throw ValidationError("flag -\(name): only -mode=controller and -mode=node have it")
            }
            return nil
        }
        for (name, value) in files.prefix(3) where value.isEmpty {
            throw ValidationError(
                "flag -\(name) is missing: -mode=\(mode.rawValue) talks to other machines, with mutual TLS only")
        }
        guard clientCertFile.isEmpty == clientKeyFile.isEmpty else {
            throw ValidationError("flags -clientCertFile and -clientKeyFile: give both or none")
        }
        let server = TLSFiles(ca: caFile, certificate: certFile, key: keyFile)
        let client =
            clientCertFile.isEmpty ? server : TLSFiles(ca: caFile, certificate: clientCertFile, key: clientKeyFile)
        return ClusterConfiguration(
            registries: try registries(mode), nodeController: try endpoint("controllerEndpoint", controllerEndpoint),
            server: server, client: client)
    }

    private var files: [(String, String)] {
        [
            ("caFile", caFile), ("certFile", certFile), ("keyFile", keyFile), ("clientCertFile", clientCertFile),
            ("clientKeyFile", clientKeyFile),
        ]
    }

    private func registries(_ mode: Mode) throws -> [Endpoint] {
        guard mode == .node else {
            return [try endpoint("registryEndpoint", registryEndpoint.isEmpty ? "tcp://:10000" : registryEndpoint)]
        }
        let text = registryEndpoint.isEmpty ? "tcp://pmem-csi-controller:10000" : registryEndpoint
        return try text.split(separator: ",", omittingEmptySubsequences: false).map {
            try endpoint("registryEndpoint", String($0))
        }
    }

    private func endpoint(_ flag: String, _ text: String) throws -> Endpoint {
        do {
            let endpoint = try Endpoint(text)
            guard case .tcp = endpoint.address else {
                throw ValidationError(
                    "flag -\(flag): \"\(text)\" must be tcp://host:port, since other machines are to reach it")
            }
            return endpoint
        } catch let error as TransportError {
            throw ValidationError("flag -\(flag): \(error)")
        }
    }
}

/// How a controller and its nodes find and trust each other.
struct ClusterConfiguration: Sendable {
    /// Controller: the one that it listens on. Node: all that it registers with.
    let registries: [Endpoint]
    let nodeController: Endpoint
    let server: TLSFiles
    let client: TLSFiles
}
