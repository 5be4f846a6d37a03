import CSIProto

/// The driver's start, and what it says of itself.
enum StartSteps {
    static let topic = Topic(
        title: "The driver",
        steps: [
            Step("it starts and Probe becomes ready", essential: true) { lab in
                "after \(try await lab.driver.start()) ms"
            },
            Step("an endpoint that cannot be listened on is fatal", quick: false) { lab in
                var arguments = lab.driver.arguments(endpoint: "unix:///run/nowhere/csi.sock", records: "/run/lab/none")
                arguments.removeAll { $0.hasPrefix("-metricsListen") || $0.hasPrefix("127.0.0.1:") }
                let child = try Child.start([lab.driver.program] + arguments, output: "\(lab.shared)/no-endpoint.log")
                let status = try await child.wait(atMost: .seconds(30))
                try check(status > 0, "exit status \(status)")
                return "exit status \(status)"
            },
            Step("it says who it is and what it can do") { lab in
                let info = try await lab.csi.identity { try await $0.getPluginInfo(.init(), options: CSI.options) }
                try checkEqual(info.name, "pmem-csi.intel.com", "plugin name")
                let plugin = try await lab.csi.identity {
                    try await $0.getPluginCapabilities(.init(), options: CSI.options)
                }
                let services = plugin.capabilities.map(\.service.type)
                try check(services.contains(.controllerService), "no CONTROLLER_SERVICE")
                try check(services.contains(.volumeAccessibilityConstraints), "no VOLUME_ACCESSIBILITY_CONSTRAINTS")
                let node = try await lab.csi.node { try await $0.nodeGetInfo(.init(), options: CSI.options) }
                try checkEqual(node.nodeID, Driver.node, "node id")
                try checkEqual(node.accessibleTopology.segments, ["pmem-csi.intel.com/node": Driver.node], "topology")
                return "\(info.name) \(info.vendorVersion), \(try await LifeSteps.capabilities(lab))"
            },
            Step("SIGTERM ends it, the next start takes over its socket", quick: false) { lab in
                let end = try await lab.driver.stop()
                try checkEqual(end.status, 0, "exit status")
                try await lab.driver.start()
                try await lab.driver.crash()
                try check(Kernel.exists(Driver.socket), "no socket is left: the next start would prove nothing")
                let ready = try await lab.driver.start()
                return "ended after \(end.milliseconds) ms; on a stale socket ready after \(ready) ms"
            },
        ])
}
