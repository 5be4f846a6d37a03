import Host

/// The program `iscsiadm`: the only way to its daemon, which does the logins. Its exit statuses are those of its manual
/// page.
struct ISCSIAdministration: Sendable {
    private enum Status {
        static let sessionExists = "exited(15)"
        static let noObjects = "exited(21)"
    }

    /// Makes the record of a target by hand, without discovery: that would list all volumes of the target.
    func makeRecord(
        _ target: String, at address: TargetAddress, _ timeouts: PathTimeouts
    ) async throws(DeviceError) {
        let node = ["-m", "node", "-T", target, "-p", "\(address)"]
        try await run(node + ["-o", "new"])
        // Forever is 0 there.
        let loss = timeouts.controllerLoss < 0 ? 0 : timeouts.controllerLoss
        for (key, value) in [
            ("node.startup", "manual"), ("node.session.timeo.replacement_timeout", "\(loss)"),
            ("node.conn[0].startup", "manual"),
        ] {
            try await run(node + ["-o", "update", "-n", key, "-v", value])
        }
    }

    func login(_ target: String, at address: TargetAddress) async throws(DeviceError) {
        try await run(["-m", "node", "-T", target, "-p", "\(address)", "--login"], accepting: [Status.sessionExists])
    }

    /// One that is gone already is fine.
    func logout(_ session: ISCSITree.Session) async throws(DeviceError) {
        try await run(["-m", "session", "-r", session.number, "--logout"], accepting: [Status.noObjects])
    }

    /// All of a target's; none is fine.
    func removeRecords(_ target: String) async throws(DeviceError) {
        try await run(["-m", "node", "-T", target, "-o", "delete"], accepting: [Status.noObjects])
    }

    private func run(_ arguments: [String], accepting statuses: [String] = []) async throws(DeviceError) {
        let text = "iscsiadm \(arguments.joined(separator: " "))"
        let outcome: Command.Outcome
        do {
            // Not cut off with the call: a login goes on in the daemon, whoever waits for it.
            outcome = try await Task { try await Command.run("iscsiadm", arguments, timeout: .seconds(60)) }.value
        } catch is CommandMissing {
            throw DeviceError(
                .failedPrecondition,
                "program iscsiadm not found; install the Debian package open-iscsi on this node and in the driver's image"
            )
        } catch {
            throw DeviceError(.unavailable, "\(text) did not finish: \(error)", cause: error)
        }
        guard !outcome.succeeded, !statuses.contains(outcome.status) else { return }
        throw DeviceError(
            .unavailable, "\(text) ended with \(outcome.status): \(outcome.lines.joined(separator: "; "))")
    }
}
