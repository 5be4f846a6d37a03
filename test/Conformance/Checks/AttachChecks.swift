import CSIProto
import GRPCCore
import SwiftProtobuf

/// ControllerPublishVolume and ControllerUnpublishVolume.
enum AttachChecks {
    static let topic = Topic(
        "Attaching",
        [
            Check("twice in the same way is OK", needs: [.attach]) { driver in
                let volume = try await driver.volume()
                let first = try await driver.send(volume.attachment)
                try requireEqual(try await driver.send(volume.attachment), first, "publish_context")
                try await driver.send(volume.detachment)
                try await driver.send(volume.detachment)
                return "\(first.publishContext.count) keys in publish_context"
            },
            Check("to the same node in another way is ALREADY_EXISTS", needs: [.attach]) { driver in
                let volume = try await driver.volume()
                try await driver.send(volume.attachment)
                try await driver.expect(
                    .alreadyExists, of: volume.attachment.changing { $0.readonly = true }, "read-only")
                return "ALREADY_EXISTS"
            },
            Check("an unknown node is NOT_FOUND", needs: [.attach]) { driver in
                let volume = try await driver.volume()
                for node in ["no-such-node", "\u{1F4BE}", String(repeating: "n", count: 256)] {
                    try await driver.expect(.notFound, of: volume.attachment.changing { $0.nodeID = node }, node)
                }
                try await driver.expect(.ok, of: volume.detachment.changing { $0.nodeID = "no-such-node" }, "back")
                return "NOT_FOUND; detaching from it is OK"
            },
            Check("to a second node is refused", needs: [.attach]) { driver in
                let volume = try await driver.volume()
                try await driver.send(volume.attachment)
                let second = volume.attachment.changing { $0.nodeID = "no-such-node" }
                try await driver.expect(.failedPrecondition, .notFound, of: second)
                return "with the volume attached here"
            },
            Check("an empty node_id detaches from all", needs: [.attach]) { driver in
                let volume = try await driver.volume()
                try await driver.send(volume.attachment)
                try await driver.send(volume.detachment.changing { $0.nodeID = "" })
                try await driver.expect(.ok, of: volume.attachment.changing { $0.readonly = true }, "in another way")
                return "it was detached"
            },
            Check("read-only binds the node", needs: [.attach, .controller(.publishReadonly)]) { driver in
                let volume = try await driver.volume()
                try await volume.attachIt(readOnly: true)
                try await volume.stageIt()
                // A volume that nobody has ever written may be refused: there is nothing to read.
                let outcome = try await driver.outcome(volume.publish)
                guard outcome == .ok else {
                    try requireEqual(outcome, .failedPrecondition, "NodePublishVolume")
                    return "refused: FAILED_PRECONDITION"
                }
                try require(try Disk.mount(at: volume.target)?.isReadOnly == true, "the pod can write")
                return "the pod's mount is read-only"
            },
            Check("an attached volume is not deleted under its user", needs: [.attach]) { driver in
                let volume = try await driver.volume()
                try await volume.up()
                try await driver.expect(.failedPrecondition, of: volume.deletion)
                try Payload(seed: 1).write(to: volume.payload)
                try await volume.down()
                try await driver.expect(.ok, of: volume.deletion, "once it is free")
                return "FAILED_PRECONDITION"
            },
        ])
}

/// ValidateVolumeCapabilities.
enum ValidationChecks {
    static let topic = Topic(
        "Validation",
        [
            Check("what it was made with is confirmed, and echoed") { driver in
                let volume = try await driver.volume()
                let answer = try await driver.send(volume.validation)
                try require(answer.hasConfirmed, "not confirmed: \(answer.message)")
                try requireEqual(answer.confirmed.volumeCapabilities, [volume.capability], "volume_capabilities")
                return "confirmed"
            },
            Check("all capabilities are looked at, not the first") { driver in
                let volume = try await driver.volume()
                let bad: [(String, Capability)] = [
                    ("MULTI_NODE_MULTI_WRITER", .mount("ext4", .multiNodeMultiWriter)),
                    ("a file system nobody has", .mount("no-such-fs")),
                ]
                try await forEach(bad) { capability in
                    let request = volume.validation.changing {
                        $0.volumeCapabilities = [volume.capability, capability]
                    }
                    let answer = try await driver.send(request)
                    try require(!answer.hasConfirmed, "confirmed")
                }
                return "\(bad.count) bad second ones"
            },
            Check("another volume_context or other parameters are not confirmed") { driver in
                let volume = try await driver.volume()
                var wrong = [volume.validation.changing { $0.parameters["no-such-parameter"] = "1" }]
                for key in volume.answer.volumeContext.keys {
                    wrong.append(volume.validation.changing { $0.volumeContext[key] = "something else" })
                }
                for (index, request) in wrong.enumerated() {
                    let answer = try await driver.send(request)
                    try require(!answer.hasConfirmed, "number \(index) is confirmed")
                    try require(!answer.message.isEmpty, "number \(index): no message")
                }
                return "\(wrong.count) requests"
            },
        ])
}
