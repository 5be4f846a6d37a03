import CSIProto
import GRPCCore
import SwiftProtobuf

/// Requests that must be refused, each with its code.
enum ErrorSteps {
    static let topic = Topic(
        title: "Refusals",
        steps: [
            Step("CreateVolume refuses what is ill-formed") { lab in
                try await every(badCreations) { request in
                    try await refused(.invalidArgument, "") { try await lab.csi.create(request) }
                }
                try await lab.checkNothingLeaked(expecting: [])
                return "\(badCreations.count) requests, INVALID_ARGUMENT each, and no volume made"
            },
            Step("a name may be long and strange", quick: false) { lab in
                for name in [String(repeating: "x", count: 128), "-- ../;$(reboot) ünï\u{1F4BE}", "pvmove0", "."] {
                    try await withVolume(VolumeSpec(name: name, size: 4 * MiB)) { volume in
                        try check(LifeSteps.isWellFormed(volume.id), "id \"\(volume.id)\"")
                        try check(try await lab.find(volume.id) != nil, "no logical volume \(volume.id)")
                    }
                }
                return "4 names, 4 well-formed ids"
            },
            Step("the same name for a different volume is ALREADY_EXISTS") { lab in
                let spec = VolumeSpec(name: "pvc-same-name")
                return try await withVolume(spec) { volume in
                    try await every(differing(spec)) { request in
                        try await refused(.alreadyExists, "") { try await lab.csi.create(request) }
                    }
                    try checkEqual(try await lab.csi.create(spec).volumeID, volume.id, "id of the same request")
                    try await lab.checkNothingLeaked(expecting: [volume.id])
                    return "\(differing(spec).count) different requests"
                }
            },
            Step("calls about a volume that is not there") { lab in try await missing(lab) },
            Step("calls about a volume in the wrong state") { lab in try await wrongState(lab) },
            Step("what is missing in node and controller calls", quick: false) { lab in
                let volume = try await Volume.create(VolumeSpec(name: "pvc-incomplete", size: 4 * MiB))
                return try await cleaningUp(volume) {
                    let calls = incomplete(lab, volume)
                    try await every(calls) { call in try await refused(.invalidArgument, "", call) }
                    try await volume.delete()
                    return "\(calls.count) requests, INVALID_ARGUMENT each"
                }
            },
            Step("ListVolumes pages, and refuses tokens that it did not give", quick: false) { lab in
                try await pages(lab)
            },
            Step("a second operation on the same volume is ABORTED") { lab in try await inFlight(lab) },
        ])

    /// Tries all of a table, and reports all that went wrong together.
    static func every<Value>(_ table: [(String, Value)], _ body: (Value) async throws -> Void) async throws {
        var wrong: [String] = []
        for (name, value) in table {
            do { try await body(value) } catch { wrong.append("\(name)\(text(of: error))") }
        }
        try check(wrong.isEmpty, wrong.joined(separator: "; "))
    }

    private static func pages(_ lab: Lab) async throws -> String {
        try await withVolume(VolumeSpec(name: "pvc-page-1", size: 4 * MiB)) { one in
            try await withVolume(VolumeSpec(name: "pvc-page-2", size: 4 * MiB)) { two in
                let first = try await lab.csi.list(.with { $0.maxEntries = 1 })
                try checkEqual(first.entries.count, 1, "entries on the first page")
                try check(!first.nextToken.isEmpty, "no next_token, and one volume is left")
                let second = try await lab.csi.list(.with { ($0.maxEntries, $0.startingToken) = (1, first.nextToken) })
                try check(second.nextToken.isEmpty, "next_token on the last page")
                let ids = Set((first.entries + second.entries).map(\.volume.volumeID))
                try checkEqual(ids, [one.id, two.id], "volumes on both pages")
                for token in ["no-such-token", "-1", "99999999999999999999"] {
                    try await refused(.aborted, "token \(token)") {
                        try await lab.csi.list(.with { $0.startingToken = token })
                    }
                }
                try await refused(.invalidArgument, "max_entries -1") {
                    try await lab.csi.list(.with { $0.maxEntries = -1 })
                }
                return "2 pages of 1; 3 tokens ABORTED; max_entries -1 INVALID_ARGUMENT"
            }
        }
    }

    private static func inFlight(_ lab: Lab) async throws -> String {
        let spec = VolumeSpec(name: "pvc-twice", size: 512 * MiB, erase: true)
        let creations = await twice { try await lab.csi.create(spec).volumeID }
        try check(creations.ok.count == 1 && creations.codes == [.aborted], "two CreateVolume: \(creations)")
        let volume = try await Volume.create(spec)
        return try await cleaningUp(volume) {
            try await lab.checkNothingLeaked(expecting: [volume.id])
            let deletions = await twice {
                try await volume.delete()
                return ""
            }
            try check(deletions.ok.count == 1 && deletions.codes == [.aborted], "two DeleteVolume: \(deletions)")
            try await lab.checkNothingLeaked(expecting: [])
            return "of two CreateVolume at once, and of two DeleteVolume, one each"
        }
    }

    private static func twice(
        _ call: @escaping @Sendable () async throws -> String
    ) async -> (ok: [String], codes: [RPCError.Code]) {
        await withTaskGroup(of: Result<String, any Error>.self) { group in
            for _ in 0..<2 {
                group.addTask { do { return .success(try await call()) } catch { return .failure(error) } }
            }
            var answers: (ok: [String], codes: [RPCError.Code]) = ([], [])
            for await result in group {
                switch result {
                case .success(let id): answers.ok.append(id)
                case .failure(let error): answers.codes.append((error as? RPCError)?.code ?? .unknown)
                }
            }
            return answers
        }
    }
}
