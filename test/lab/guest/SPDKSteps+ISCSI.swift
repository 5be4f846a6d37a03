// The same storage node over iSCSI; the last topic, since it changes the configuration.
extension SPDKSteps {
    var iscsi: Topic {
        Topic(
            title: "iSCSI",
            steps: [
                Step("the storage node's entry says iscsi, and the driver is restarted", essential: true) { lab in
                    try await RemoteISCSISteps.startDaemons(withTarget: !node.isReal)
                    try await lab.driver.stop()
                    try node.configureISCSI()
                    return "after \(try await lab.driver.start()) ms"
                },
                Step("a volume's life, with growth while it is mounted") { lab in
                    try await withVolume("pvc-iscsi", Self.old) { volume in
                        try checkEqual(volume.context["targetType"], "iscsi", "targetType")
                        try await volume.up()
                        let mount = try Kernel.mounts(at: volume.targetPath)
                        try check(mount.count == 1 && mount[0].source.hasPrefix("/dev/sd"), "\(mount)")
                        try Kernel.write("kept", to: "\(volume.targetPath)/file")
                        let grown = try await grow(volume)
                        try await volume.down()
                        try await volume.up()
                        try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "kept", "the file")
                        try await volume.down()
                        try await RemoteISCSISteps.checkNoISCSI(lab)
                        return "\(mount[0].source), \(grown)"
                    }
                },
            ])
    }
}
