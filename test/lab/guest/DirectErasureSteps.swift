import Glibc

/// Overwriting before the memory is used again.
enum DirectErasureSteps {
    private static let byte: UInt8 = 0xA5

    static let topic = Topic(
        title: "Erasure",
        steps: [
            Step("without eraseafter the next owner of the memory would find data", quick: false) { lab in
                let left = try await reuse("fsdax", erase: false)
                try check(left > 0, "no page holds the pattern: the next steps would prove nothing")
                return "\(left) pages of 4 KiB hold the pattern"
            },
            Step("with eraseafter no page of an fsdax volume is left", quick: false) { lab in
                try checkEqual(try await reuse("fsdax", erase: true), 0, "pages with the pattern")
                return "0 pages"
            },
            Step("nor a sector that a BTT kept back") { lab in
                try checkEqual(try await reuse("sector", erase: true), 0, "pages with the pattern")
                return "0 pages in all of the memory, although each sector was written twice"
            },
            Step("SIGTERM stops an erasure, the next start finishes it", quick: false) { lab in
                try await ErasureSteps.interrupt(lab)
            },
        ])

    /// Fills a volume with a pattern, deletes it, and looks at the same memory through a raw namespace.
    private static func reuse(_ mode: String, erase: Bool) async throws -> Int {
        var spec = VolumeSpec(name: "pvc-pattern", size: 90 * MiB, mode: mode, erase: erase)
        spec.parameters["region"] = "region1"
        let volume = try await Volume.create(spec)
        let size = try await cleaningUp(volume) {
            let free = try DirectView.free("region1")
            let device = try await DirectView.device(volume)
            for _ in 0..<(mode == "sector" ? 2 : 1) { try Kernel.fill(device, with: byte) }
            try await volume.delete()
            return try DirectView.free("region1") - free
        }
        return try await pages(full: byte, of: size, in: "region1")
    }

    /// How many pages of free memory hold nothing but the byte: of the memory that a namespace of that size gets next.
    static func pages(full byte: UInt8, of size: UInt64, in region: String) async throws -> Int {
        _ = try await execute(
            "ndctl", "create-namespace", "-r", region, "-m", "raw", "-s", "\(size)", "-n", "look"
        )
        .succeeded()
        let result: Result<Int, any Error>
        do {
            let look = try await DirectView.namespaces(named: "look").first
            result = .success(try Kernel.pages("/dev/\(look?.blockdev ?? "")", full: byte))
        } catch {
            result = .failure(error)
        }
        for look in try await DirectView.namespaces(named: "look") {
            _ = try await execute("ndctl", "destroy-namespace", "-f", look.dev).succeeded()
        }
        return try result.get()
    }
}

extension Kernel {
    /// How many pages of the device hold nothing but the byte.
    static func pages(_ device: String, full byte: UInt8) throws -> Int {
        let file = open(device, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", device) }
        defer { close(file) }
        let pattern = [UInt8](repeating: byte, count: 4096)
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        var found = 0
        while true {
            let count = Glibc.read(file, &piece, piece.count)
            guard count >= 0 else { throw failure("read", device) }
            if count == 0 { return found }
            piece.withUnsafeBytes { bytes in
                for page in stride(from: 0, to: count - 4095, by: 4096) {
                    if let start = bytes.baseAddress, memcmp(start + page, pattern, 4096) == 0 { found += 1 }
                }
            }
        }
    }
}
