import Ndctl
import Program

/// What the flags ask for, checked.
struct NamespaceOptions: Sendable, Equatable {
    /// Bytes of each namespace but the last of its mode.
    let namespaceSize: UInt64
    /// 0…100 of each region's size, together at most 100.
    let fsdaxPercent: UInt64
    let sectorPercent: UInt64

    func percent(of mode: Namespace.Mode) -> UInt64 {
        switch mode {
        case .fsdax: fsdaxPercent
        case .sector: sectorPercent
        default: 0
        }
    }
}

/// What one region needs to become what the options ask for: pure, from the region's facts. Each entry is something
/// to do or something to know; planning again after all is done yields nothing to do.
struct NamespacePlan: Equatable {
    enum Action: String {
        /// A namespace of ours that is ready.
        case keep
        /// A namespace that is not ours.
        case leave
        /// An unfinished one, which a run left that was killed.
        case destroy
        /// A namespace of ours that is not active.
        case enable
        case create
        /// Memory that stays free.
        case unused
        /// The region cannot be used.
        case skip
    }

    struct Entry: Equatable {
        let action: Action
        let mode: Namespace.Mode?
        /// Raw.
        let size: UInt64
        /// Empty where there is none yet.
        var namespace = ""
        var detail = ""
    }

    /// Own namespaces have this name and a mode that the options know.
    static let name = "pmem-csi"
    /// Of a namespace between its creation and the moment when nobody's old data can be found in it.
    static let unfinishedName = "pmem-csi.new"
    static let modes: [Namespace.Mode] = [.fsdax, .sector]
    /// LVM's metadata and a BTT's arena both need more than a few alignment units to leave anything useful.
    static let smallest: UInt64 = 64 << 20

    let region: String
    private(set) var entries: [Entry] = []

    init(_ facts: Region, _ options: NamespaceOptions) {
        region = facts.devname
        if let obstacle = facts.lastingObstacle {
            entries.append(Entry(action: .skip, mode: nil, size: facts.size, detail: obstacle))
            return
        }
        entries += facts.namespaces.map(Self.entry)
        let unfinished = facts.namespaces.filter { $0.alternateName == Self.unfinishedName }
        var space = FreeSpace(facts.removing(Set(unfinished.map(\.devname))))
        for mode in Self.modes {
            fill(mode, options, facts, &space)
        }
        noteUnassigned(options, facts, space)
    }

    func sizes(toCreate mode: Namespace.Mode) -> [UInt64] {
        entries.filter { $0.action == .create && $0.mode == mode }.map(\.size)
    }

    /// Whole bytes, rounded down; no product that a region of many TiB could make overflow.
    static func share(of size: UInt64, percent: UInt64) -> UInt64 {
        size / 100 * percent + size % 100 * percent / 100
    }

    private static func entry(for namespace: Namespace) -> Entry {
        func entry(_ action: Action, _ detail: String = "") -> Entry {
            Entry(
                action: action, mode: namespace.mode, size: namespace.rawSize, namespace: namespace.devname,
                detail: detail)
        }
        switch namespace.alternateName {
        case unfinishedName:
            return entry(.destroy, "unfinished: a run was interrupted")
        case name where !namespace.isActive:
            return entry(.enable)
        case name where modes.contains(namespace.mode):
            return entry(.keep)
        case name:
            let remedy = "`ndctl destroy-namespace -f \(namespace.devname)` frees its memory, and all in it is lost"
            return entry(.leave, "has our name, but a mode that is not ours; \(remedy)")
        case let other:
            return entry(.leave, other.isEmpty ? "foreign, without a name" : "foreign, named \(other)")
        }
    }

    private mutating func noteUnassigned(_ options: NamespaceOptions, _ facts: Region, _ space: FreeSpace) {
        let percent = options.fsdaxPercent + options.sectorPercent
        let assigned = Self.modes.reduce(0) { $0 + Self.share(of: facts.size, percent: options.percent(of: $1)) }
        let unassigned = min(facts.size - assigned, space.free)
        guard percent < 100, unassigned > 0 else { return }
        let detail = "-useforfsdax and -useforsector assign \(percent) percent of the region"
        entries.append(Entry(action: .unused, mode: nil, size: unassigned, detail: detail))
    }

    private mutating func fill(
        _ mode: Namespace.Mode, _ options: NamespaceOptions, _ facts: Region, _ space: inout FreeSpace
    ) {
        let share = Self.share(of: facts.size, percent: options.percent(of: mode))
        let own = facts.namespaces.filter { $0.alternateName == Self.name && $0.mode == mode }
            .reduce(0) { $0 + $1.rawSize }
        // More than the share may exist, made by a run with other options.
        var remaining = share > own ? share - own : 0
        while let size = space.take(upTo: min(remaining, options.namespaceSize), of: remaining) {
            entries.append(Entry(action: .create, mode: mode, size: size))
            remaining -= size
        }
        if remaining > 0 {
            entries.append(
                Entry(action: .unused, mode: mode, size: remaining, detail: space.reason(unused: remaining)))
        }
    }
}
