/// What volumes are made of: the values of -deviceManager.
package enum ManagerKind: String, Sendable, CaseIterable {
    /// Logical volumes in the groups of pmem-vgm.
    case lvm
    /// Namespaces of the NVDIMMs' regions.
    case direct
    /// Files below -statePath, as loop devices.
    case file

    /// Whose volume a record tells of: each manager's locations have a form of their own. Nil where it is nobody's.
    package init?(location: String) {
        if Provisioning(rawValue: location) != nil {
            self = .file
        } else if location.wholeMatch(of: /region[0-9]+(\/[0-9a-f]{1,16})?/) != nil {
            self = .direct
        } else if location.wholeMatch(of: /ndbus[0-9]+region[0-9]+(fsdax|sector)/) != nil {
            self = .lvm
        } else {
            return nil
        }
    }
}
