import DeviceManager
import Logging
import SPDK
import ServiceLifecycle
import Synchronization

/// Looks after the storage nodes that can be asked without a call's secrets: reads changed configuration files, makes
/// exports again that a restarted target has forgotten, and removes what cut-off calls left.
///
/// Every node has a loop of its own, so that a slow one delays only itself.
package struct SPDKWatch: Service {
    private let pool: SPDKPool
    private let period: Duration

    package init(pool: SPDKPool, period: Duration = .seconds(4)) {
        self.pool = pool
        self.period = period
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                var running: [String: Task<Void, Never>] = [:]
                var cluster = pool.clusterName
                while !Task.isCancelled {
                    _ = pool.secrets.current
                    warn(&cluster)
                    let nodes = pool.nodes
                    for node in nodes where running[node.name] == nil {
                        let loop = Task { await self.look(after: node.name) }
                        running[node.name] = loop
                        group.addTask {
                            await withTaskCancellationHandler {
                                await loop.value
                            } onCancel: {
                                loop.cancel()
                            }
                        }
                    }
                    for name in running.keys where !nodes.contains(where: { $0.name == name }) {
                        running.removeValue(forKey: name)?.cancel()
                    }
                    try? await Task.sleep(for: .seconds(2))
                }
                group.cancelAll()
            }
        }
    }

    /// `last`: what the file said before.
    private func warn(_ last: inout String) {
        guard let name = pool.configuration.current?.clusterName, name != last else { return }
        last = name
        guard name != pool.clusterName else { return }
        pool.logger.warning(
            "clusterName has changed, and is not in force: unpublish all volumes, then restart the controllers and nodes",
            metadata: ["file": "\(pool.configuration.path)", "kept": "\(pool.clusterName)"])
    }

    private func look(after name: String) async {
        var seen = Seen()
        while !Task.isCancelled {
            var pause = period
            if let node = pool.configuration.current?.node(name), pool.canAsk(node) {
                do {
                    // Long lists cost the target's proxy much; it must not do nothing but answer us.
                    pause = max(period, min(try await pool.restore(node, &seen) * 10, .seconds(60)))
                } catch {
                    seen.mayBeNew = true
                    pool.logger.debug("a storage node is not looked after", metadata: ["error": "\(error)"])
                }
            }
            try? await Task.sleep(for: pause)
        }
    }
}

/// What a loop has seen of its node.
struct Seen: Sendable {
    /// What looked like a leftover the last time: only what is one twice is removed.
    var subsystems: Set<String> = []
    var snapshots: Set<String> = []
    /// The target may have been restarted since its volumes' limits were looked at.
    var mayBeNew = true
    var looks = 0
}
