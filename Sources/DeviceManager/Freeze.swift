import Host

/// Holds a mounted file system still while its device is copied, for as long as `limit` at most.
///
/// Owned by the one copy that it is made for. The record says so before the file system is frozen, since a freeze
/// outlives the process that asked for it.
package struct Freeze: Sendable {
    /// Any place where the file system is mounted.
    package let mountPoint: String
    /// How long its writers may have to wait.
    package let limit: Duration
    private let announce: @Sendable (_ isFreezing: Bool) throws -> Void

    package init(mountPoint: String, limit: Duration, announce: @escaping @Sendable (_ isFreezing: Bool) throws -> Void)
    {
        self.mountPoint = mountPoint
        self.limit = limit
        self.announce = announce
    }

    /// Runs `body`, which must stop as soon as it is told that the time is over, on a thread that may block.
    package func hold<Result>(_ body: (_ isOver: () -> Bool) throws -> Result) throws -> Result {
        try freeze()
        let end = ContinuousClock.now + limit
        let result = Swift.Result { try body { ContinuousClock.now >= end } }
        try Filesystem.thaw(mountPoint)
        // The record may stay, and whoever reads it would end a freeze that somebody else has begun meanwhile.
        if case .failure = result { try? announce(false) }
        return try result.get()
    }

    private func freeze() throws {
        try announce(true)
        do {
            try Filesystem.freeze(mountPoint)
        } catch {
            // Somebody else froze it, so nobody may thaw it for us.
            if error.code == .busy { try announce(false) }
            throw error
        }
    }
}
