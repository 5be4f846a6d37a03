import AsyncHTTPClient
import CSIProto
import FoundationEssentials
import Glibc
import SPDK

/// The storage node of the suite spdk: a stand-in in this guest, or a real SPDK on the host, which `test/lab/spdk` runs.
struct StorageNode: Sendable {
    let isReal: Bool
    let url: String
    let addresses: [String]
    let listening: [String]
    let shared: String

    static let name = "storage-1"
    static let directory = "/run/lab/spdk"
    static let secrets =
        #"{"rpcTokens":[{"name":"storage-1","username":"spdkcsiuser","password":"spdkcsipass"}]}"#

    init(shared: String) {
        self.shared = shared
        isReal = ProcessInfo.processInfo.environment["LAB_SPDK"] == "real"
        url = isReal ? "http://10.0.2.2:9009" : "http://127.0.0.1:9009"
        addresses = isReal ? ["10.0.2.2:4420", "10.0.2.2:4421"] : NVMeTarget.addresses.map { "\($0):4420" }
        listening = isReal ? ["127.0.0.1:4420", "127.0.0.1:4421"] : addresses
    }

    /// Files as spdk-csi's users write them.
    func configure() throws {
        try configure(type: "nvme-tcp", addresses: addresses, listening: listening)
    }

    func configureISCSI() throws {
        try configure(type: "iscsi", addresses: [isReal ? "10.0.2.2" : "127.0.0.1"], listening: ["127.0.0.1"])
    }

    private func configure(type: String, addresses: [String], listening: [String]) throws {
        try Kernel.makeDirectories(Self.directory)
        let lists = [("targetAddr", addresses), ("listenAddr", listening)].map { key, list in
            "\"\(key)\":\"\(list.joined(separator: ","))\""
        }
        try Kernel.write(
            """
            {"nodes":[{"name":"\(Self.name)","rpcURL":"\(url)","targetType":"\(type)",\(lists.joined(separator: ","))}]}
            """, to: "\(Self.directory)/config.json")
        try Kernel.write(Self.secrets, to: "\(Self.directory)/secret.json")
        setenv("SPDKCSI_CONFIG", "\(Self.directory)/config.json", 1)
        setenv("SPDKCSI_SECRET", "\(Self.directory)/secret.json", 1)
    }

    /// As on another machine: the target dies, and a new one starts with the volumes, and nothing else, of the old.
    func restart(_ programs: String) async throws {
        guard isReal else {
            _ = try await execute("pkill", "-9", "-x", "spdk-stand-in").succeeded()
            return try await start(programs)
        }
        let done = "\(shared)/spdk.restarted"
        unlink(done)
        try Kernel.write("", to: "\(shared)/spdk.restart")
        try await eventually("the target is back", within: .seconds(60)) { Kernel.exists(done) }
    }

    func start(_ programs: String) async throws {
        guard !isReal else { return }
        _ = try Child.start(
            ["\(programs)/spdk-stand-in", "--directory", "\(Self.directory)/volumes"],
            output: "\(shared)/stand-in.log")
        try await eventually("the stand-in answers", within: .seconds(60)) {
            // Until it listens, a call fails.
            let stores = try? await ask { try await $0.read("bdev_lvol_get_lvstores", as: JSONNode.self) }
            return stores != nil && stores != .null
        }
    }

    /// A call of SPDK's own.
    func ask<Result: Sendable>(_ body: (RPCClient) async throws -> Result) async throws -> Result {
        let http = HTTPClient.forSPDK()
        let client = RPCClient(
            node: Self.name, line: RPCLine(.http(url), http: http),
            credentials: RPCCredentials(username: "spdkcsiuser", password: "spdkcsipass"))
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body(client)) } catch { result = .failure(error) }
        try await http.shutdown()
        return try result.get()
    }
}
