import Host

/// What the kernel says in /sys about iSCSI sessions, as it is now. Its methods block.
struct ISCSITree: Sendable {
    struct Session: Sendable, Hashable {
        /// Such as `session1`.
        let name: String
        let state: String

        var isLoggedIn: Bool { state == "LOGGED_IN" }
        var number: String { String(name.dropFirst("session".count)) }
    }

    struct Disk: Sendable, Hashable {
        /// Such as `sda`.
        let name: String
        let lun: UInt16
    }

    var root = "/sys"

    func sessions(of target: String) throws(HostError) -> [Session] {
        let directory = "\(root)/class/iscsi_session"
        var sessions: [Session] = []
        for name in try KernelFile.names(directory).sorted() where name.wholeMatch(of: /session[0-9]+/) != nil {
            guard try KernelFile.read("\(directory)/\(name)/targetname") == target,
                let state = try KernelFile.read("\(directory)/\(name)/state")
            else { continue }
            sessions.append(Session(name: name, state: state))
        }
        return sessions
    }

    /// The disks that a session shows: `device/target1:0:0/1:0:0:0/block/sda`.
    func disks(of session: Session) throws(HostError) -> [Disk] {
        let directory = "\(root)/class/iscsi_session/\(session.name)/device"
        var disks: [Disk] = []
        for target in try KernelFile.names(directory).sorted() where target.hasPrefix("target") {
            for unit in try KernelFile.names("\(directory)/\(target)").sorted() {
                let numbers = unit.split(separator: ":", omittingEmptySubsequences: false)
                guard numbers.count == 4, let lun = UInt16(numbers[3]) else { continue }
                disks += try KernelFile.names("\(directory)/\(target)/\(unit)/block").sorted()
                    .map { Disk(name: $0, lun: lun) }
            }
        }
        return disks
    }

    /// The LUN asked for; where none is, the only disk, or LUN 0.
    func disk(of session: Session, lun: UInt16?) throws(HostError) -> Disk? {
        let disks = try disks(of: session)
        if lun == nil, disks.count == 1 { return disks[0] }
        return disks.first { $0.lun == lun ?? 0 }
    }
}
