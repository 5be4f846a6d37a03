import DeviceManager
import Logging
import ServiceLifecycle

/// Brings a `RemoteNode` up: looks at what this machine can do, finishes or takes back what a crash cut off, and from
/// then on brings lost paths back. Owned by the assembly; it ends with the driver.
package struct RemoteRecovery: Service {
    private let node: RemoteNode
    private let gate: OperationGate
    private let period: Duration

    package init(node: RemoteNode, gate: OperationGate, period: Duration = .seconds(10)) {
        self.node = node
        self.gate = gate
        self.period = period
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var problem = await check(isFirst: true)
            await recover()
            node.set(problem.map(Readiness.failed) ?? .ready)
            var pause = period
            while !Task.isCancelled {
                try? await Task.sleep(for: pause)
                if problem != nil {
                    problem = await check(isFirst: false)
                    node.set(problem.map(Readiness.failed) ?? .ready)
                }
                let begin = ContinuousClock.now
                await restorePaths()
                // The kernel makes one connection at a time: those to an address that is gone leave half of it to others.
                pause = max(period, ContinuousClock.now - begin)
            }
        }
    }

    /// Why the node cannot do what it must; nil when it can.
    private func check(isFirst: Bool) async -> String? {
        let check = await InitiatorCheck()
        if isFirst {
            for (transport, reason) in check.missing.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                node.logger.warning(
                    "volumes of this kind cannot be used on this node",
                    metadata: ["targetType": "\(transport.rawValue)", "missing": "\(reason)"])
            }
            for warning in check.warnings { node.logger.warning("\(warning)") }
        }
        return check.problem(for: node.transports)
    }

    private func recover() async {
        for record in node.attachments.all {
            do {
                try await gate.run(SPDKPool.key(record.id)) { try await node.attachments.recover(record.id) }
            } catch {
                node.logger.warning(
                    "an attachment that an earlier run had left is not taken back; the next call of its volume will",
                    metadata: ["volume": "\(record.id)", "error": "\(error)"])
            }
        }
    }

    /// A few at once, so that one that does not answer holds up few others, and no calls for volumes.
    private func restorePaths() async {
        await withTaskGroup(of: Void.self) { group in
            let attached = node.attachments.all.filter { $0.phase == .attached }
            for (index, record) in attached.enumerated() {
                if index >= 4 { await group.next() }
                group.addTask {
                    do {
                        try await node.attachments.restorePaths(of: record.id)
                    } catch {
                        node.logger.debug(
                            "paths are not restored", metadata: ["volume": "\(record.id)", "error": "\(error)"])
                    }
                }
            }
        }
    }
}
